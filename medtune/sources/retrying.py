"""Which failures of a server may pass, how often to try again, and how long to wait first."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

TOO_MANY_REQUESTS = 429
HUB_WAITS_S = (1.0, 3.0)  # before the second and the third try, which is the last
HTTPS_WAIT_S = 2.0  # before each further try
HTTPS_FRUITLESS_TRIES = 4  # in a row that bring no byte: then the download fails
LONGEST_WAIT_S = 300.0


def may_pass(status: int) -> bool:
    """Whether a request that got this HTTP status may succeed later."""
    return status >= 500 or status == TOO_MANY_REQUESTS


def wait_s(headers: Mapping[str, str], usual_s: float) -> float:
    """Returns how many seconds to wait: `usual_s`, or longer if the server asks for it.

    `Retry-After` is a number of seconds or a date (RFC 9110, 10.2.3).
    """
    asked = headers.get("Retry-After", "")
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):  # none, or nothing that is known
            return usual_s
    return min(max(usual_s, seconds), LONGEST_WAIT_S)
