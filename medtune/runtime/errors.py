"""The exception whose message is written for the user."""


class InputError(Exception):
    """A problem that the user can fix. The message is one line: fact, value, remedy."""
