"""A public address for a server on this machine, by Gradio's tunnel."""

import secrets

from medtune.errors import InputError


def share(port: int) -> str:
    """The address, which leads to the whole server: page and API. Raises InputError."""
    from gradio.networking import setup_tunnel

    try:
        return setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except Exception as error:  # Gradio raises a different one for each step that fails
        reason = str(error).strip().split("\n")[0].removesuffix(".")
        problem = f"no public address was to be had ({reason}): leave out --share"
        raise InputError(problem) from None
