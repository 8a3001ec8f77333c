"""The exception whose message is written for the user."""


class InputError(Exception):
    """A problem that the user can fix. The message is one line: fact, value, remedy."""


def in_one_line(error: Exception) -> str:
    """Returns the type of an error and the first line of its message."""
    lines = (line.strip() for line in str(error).splitlines())
    return f"{type(error).__name__} {next(filter(None, lines), '')}".strip()
