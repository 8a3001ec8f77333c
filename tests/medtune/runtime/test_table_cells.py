from decimal import Decimal

import pytest

from medtune.runtime.table_cells import text_of


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("text", "text"),
        ("", ""),
        (7, "7"),
        (0.5, "0.5"),
        (206.0, "206"),
        (-1.0, "-1"),
        (1e300, "1e+300"),
        ("half \ud83d", "half \ufffd"),
        (Decimal("1.50"), "1.50"),
        (10**4000, "1" + "0" * 4000),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (Decimal("NaN"), None),
        (True, None),
        (["list"], None),
        ({"a": 1}, None),
        (b"bytes", None),
    ],
)
def test_only_text_and_numbers_are_text(cell, text):
    assert text_of(cell) == text
