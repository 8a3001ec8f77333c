from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("xllamacpp", reason="is in requirements-dev.txt")

from benchmarks.exports import gaps, without_end

END = 9


def counting(ids: torch.Tensor) -> SimpleNamespace:
    """A model whose logit of a token is the token, plus ten for the one that follows the last."""
    logits = torch.arange(10.0).repeat(1, ids.shape[1], 1)
    logits[0, -1, (int(ids[0, -1]) + 1) % 10] += 10
    return SimpleNamespace(logits=logits)


def test_answers_are_cut_before_their_first_end() -> None:
    assert without_end([[1, END, 2], [1, 2], [END]], {END}) == [[1], [1, 2], []]


def test_a_gap_is_that_of_the_first_tokens_that_differ_or_of_the_end() -> None:
    own, other = [[2, 3], [2, 3], [2]], [[2, 3], [2, 5, 1], [2, 4]]
    found = gaps(counting, [[1], [1], [1]], own, other, END)
    assert found == [10 + 3 - 5, END - 4]
