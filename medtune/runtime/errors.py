"""The one exception that a user is meant to read."""


class InputError(Exception):
    """Something the user can mend. Its text is one line: the fact, the value, the remedy."""
