from medtune.modeling.collation import (
    Cards,
    by_length,
    common_prefix_length,
    padded,
)


def test_a_common_prefix_ends_with_the_shortest_row() -> None:
    assert common_prefix_length([[5, 6, 7], [5, 6], [5, 6, 8]]) == 2
    assert common_prefix_length([[5, 6], [7, 6]]) == 0
    assert common_prefix_length([[5, 6]]) == 2


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
    cards = Cards.all(rows).chosen([2, 0, 1])
    assert cards.supervised_counts() == [2, 3, 1]
    assert Cards.all(rows).supervised_counts() == [3, 1, 2]
    assert [sum(map(len, own)) for own in cards.supervised()] == [2, 3, 1]
    labels = padded(cards.input_ids, cards.loss_start, 0, cards.masked_spans)["labels"]
    assert labels[:, 1:].tolist() == [
        [-100, 7, -100, -100, 2],
        [6, -100, 8, 2, -100],
        [2, -100, -100, -100, -100],
    ]
