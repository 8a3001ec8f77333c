import numpy as np
import pytest

from medtune.content.encoder import DIMENSIONS, encoded

pytestmark = pytest.mark.slow  # the encoder takes a second to load


def test_texts_of_one_meaning_are_nearer_than_others() -> None:
    heart, cardiac, weather = encoded(["Heart attack", "Myocardial infarction", "Rain tomorrow"])
    assert heart @ cardiac > heart @ weather + 0.2


def test_no_text_has_no_vector() -> None:
    assert encoded([]).shape == (0, DIMENSIONS)


def test_a_vector_hardly_depends_on_the_texts_beside_it() -> None:
    texts = ["A long text about painful joints and their causes", "gout", " GOUT\n"]
    together = encoded(texts)
    np.testing.assert_allclose(together, [encoded([text])[0] for text in texts], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(together[1], together[2], atol=1e-6)
