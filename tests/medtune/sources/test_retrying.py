from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from medtune.sources.retrying import LONGEST_WAIT_S, may_pass, wait_s


def test_only_what_may_pass_is_tried_again() -> None:
    assert [status for status in (401, 403, 404, 410, 429, 500, 503) if may_pass(status)] == [
        *(429, 500, 503)
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("", 2.0), ("30", 30.0), ("0", 2.0), ("1e9", LONGEST_WAIT_S), ("soon", 2.0), ("nan", 2.0)],
)
def test_a_server_may_ask_for_a_longer_wait(asked: str, expected: float) -> None:
    assert wait_s({"Retry-After": asked} if asked else {}, 2.0) == expected


def test_a_server_may_name_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=60)
    assert wait_s({"Retry-After": format_datetime(later, usegmt=True)}, 2.0) == pytest.approx(
        60, abs=2
    )
