import torch

from medtune.modeling.collation import Cards, by_length, padded, training_order


def test_every_row_comes_once_an_epoch() -> None:
    order = training_order(333, batch_size=4, seed=1, epoch=0)
    assert sorted(row for batch in order for row in batch) == list(range(333))
    assert max(map(len, order)) == 4


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    torch.manual_seed(0)
    first = training_order(333, 4, seed=1, epoch=0)
    torch.manual_seed(9)
    assert training_order(333, 4, seed=1, epoch=0) == first
    assert training_order(333, 4, seed=1, epoch=1) != first
    assert training_order(333, 4, seed=2, epoch=0) != first


def test_by_length_goes_from_short_to_long() -> None:
    assert by_length([5, 1, 3, 1], batch_size=3) == [[1, 3, 2], [0]]


def test_prompt_and_padding_are_masked_in_labels() -> None:
    batch = padded([[5, 6, 7, 2], [8, 2]], loss_start=[2, 1], pad_id=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 2], [8, 2, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, -100, 7, 2], [-100, 2, -100, -100]]


def test_masked_spans_have_no_label_and_are_not_counted() -> None:
    rows = {
        "input_ids": [[5, 6, 7, 8, 2], [8, 2], [5, 6, 7, 8, 9, 2]],
        "loss_start": [1, 0, 2],
        "masked_spans": [[[2, 3]], [], [[3, 4], [4, 5]]],
        "question": ["a", "b", "c"],
    }
    cards = Cards.of(rows, [2, 0, 1])
    assert cards.supervised_counts() == [2, 3, 1]
    labels = padded(cards.input_ids, cards.loss_start, 0, cards.masked_spans)["labels"]
    assert labels[:, 1:].tolist() == [
        [-100, 7, -100, -100, 2],
        [6, -100, 8, 2, -100],
        [2, -100, -100, -100, -100],
    ]
