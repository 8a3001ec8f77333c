"""Serves base and fine-tuned model: a chat page, and OpenAI's chat API.

python -m app                                     on http://127.0.0.1:8000
python -m app --port 9000 --cors-origin http://localhost:5173
MEDTUNE_API_KEY=… python -m app --host 0.0.0.0    asks for the key as a bearer token
"""

import argparse
import logging
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import fields
from types import FrameType
from typing import Any

from app.limits import Limits
from medtune.config.loading import load_params
from medtune.disclaimer import DISCLAIMER
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging

logger = logging.getLogger("medtune")

KEY = "MEDTUNE_API_KEY"
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
GRACE_S = 5  # for answers on their way when the server is stopped


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        problem = f"{host}:{port} cannot be listened on ({reason}): choose another --port"
        raise InputError(problem) from None


def share(host: str, port: int) -> str:
    """A public address that leads here, by Gradio's tunnel, as long as this process lives."""
    from gradio.networking import setup_tunnel

    try:
        return setup_tunnel(host, port, secrets.token_urlsafe(32), None, None)
    except Exception as error:  # of the network, of Gradio's service, of the program it fetches
        problem = f"no public address could be had ({error}): try again, or leave --share out"
        raise InputError(" ".join(problem.split())) from None


def serve(options: argparse.Namespace, limits: Limits) -> None:
    from app.loading import check_files, load
    from app.page import mount_page
    from app.server import create_app

    params, scope = load_params("evaluate", "guard.scope")
    check_files()
    key = os.environ.get(KEY)
    if options.share and not key:
        raise InputError(f"--share lets everybody in: set {KEY}, which is then asked for")
    if options.host not in LOOPBACK and not key:
        logger.warning(f"whoever can reach {options.host} is answered: set {KEY} to ask for it")
    with listen(options.host, options.port) as listener:
        logger.info("loads the models")
        assistant = load(params, scope, limits)
        app = create_app(assistant, key, options.cors_origin, hosts_of(options))
        mount_page(app, assistant, key)
        host, port = listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        if options.share:
            address = share(host, port)
        print(f"{address} (chat page), {address}/v1 (API), {address}/docs (how to)", flush=True)
        run(app, listener)


def hosts_of(options: argparse.Namespace) -> list[str]:
    """The names that requests may call the server by; any where others may reach it."""
    if options.share or options.host not in LOOPBACK:
        return ["*"]
    return [*LOOPBACK, *options.allowed_host]


def run(app: Any, listener: socket.socket) -> None:
    """Serves until it is interrupted; what streams to open pages is ended first."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_S)
    server = uvicorn.Server(config)
    leave = server.handle_exit

    def stop(number: int, frame: FrameType | None) -> None:
        app.state.close_page()
        leave(number, frame)

    server.handle_exit = stop  # type: ignore[assignment, method-assign]
    with suppress(KeyboardInterrupt):  # the way to stop it
        server.run(sockets=[listener])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description=f"Serves base and fine-tuned model. {KEY}, if set, is asked of clients.",
        epilog=DISCLAIMER,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves the whole network")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument(
        "--cors-origin", action="append", default=[], help="a page that may call the server"
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        help="another name of this machine, such as a proxy's; *.example.org is all of its names",
    )
    parser.add_argument(
        "--share", action="store_true", help="a public address too, by Gradio's tunnel"
    )
    for limit in fields(Limits):
        name, default = limit.name.replace("_", "-"), limit.default
        parser.add_argument(
            f"--{name}", type=type(default), default=default, help=limit.metadata["help"]
        )
    return parser.parse_args()


def main() -> None:
    options = parse()
    set_up_logging("app")
    with one_line_errors():
        serve(
            options,
            Limits(**{field.name: getattr(options, field.name) for field in fields(Limits)}),
        )


if __name__ == "__main__":
    main()
