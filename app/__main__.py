"""Starts the chat server: `medtune chat`, or `python -m app`."""

import inspect
import logging
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from importlib.util import find_spec
from types import FrameType
from typing import Annotated, Any

import typer

from app.limits import Limits
from medtune.commands.base import Command, add, new_app
from medtune.runtime.errors import InputError

logger = logging.getLogger("medtune")

KEY = "MEDTUNE_API_KEY"
PACKAGES = ("fastapi", "fastapi_offline", "gradio", "markdown_it", "starlette", "uvicorn")
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
GRACE_S = 5  # that unfinished answers get when the server stops
EXAMPLES = (
    "medtune chat",
    "medtune chat --port 9000 --cors-origin http://localhost:5173",
    "MEDTUNE_API_KEY=… medtune chat --host 0.0.0.0",
)


@dataclass(frozen=True)
class Options:
    """Where the server listens and who may call it."""

    host: str
    port: int
    cors_origin: list[str]
    allowed_host: list[str]
    share: bool
    region: str | None = None


def listen(host: str, port: int) -> socket.socket:
    """Opens the port. Connections send each piece of an answer at once, as they inherit from it.

    asyncio would set that itself, but only for sockets that name TCP as their protocol.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        problem = f"could not listen on {host}:{port} ({reason}): choose another --port"
        raise InputError(problem) from None


def open_tunnel(host: str, port: int) -> str:
    """Opens Gradio's tunnel for the life of this process, and returns its public address."""
    from gradio.networking import setup_tunnel

    try:
        return setup_tunnel(host, port, secrets.token_urlsafe(32), None, None)
    except Exception as error:  # from the network, Gradio's service or the program it downloads
        problem = f"could not get a public address ({error}): try again, or leave out --share"
        raise InputError(" ".join(problem.split())) from None


def check_packages() -> None:
    """Raises ModuleNotFoundError for a missing package, before the imports that take seconds."""
    for name in PACKAGES:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def check_files() -> None:
    """Raises InputError with the command that makes a missing file, before anything is loaded."""
    from medtune.guard.classifier import MODEL
    from medtune.modeling.adapters import ADAPTER
    from medtune.modeling.loading import require
    from medtune.modeling.prompts import PromptFormat

    require(ADAPTER / "adapter_model.safetensors", "train")
    PromptFormat.load(ADAPTER / "prompt.json", "train")
    require(MODEL, "guard")


def serve(options: Options, limits: Limits) -> None:
    from medtune.config.loading import load_params
    from medtune.guard.notices import check_region

    check_region(options.region)
    params, scope = load_params("evaluate", "guard.scope")
    check_packages()
    check_files()
    key = os.environ.get(KEY)
    if options.share and not key:
        raise InputError(f"--share opens the server to everybody: set {KEY} to require a key")
    if options.host not in LOOPBACK and not key:
        logger.warning(f"anybody who can reach {options.host} may ask: set {KEY} to require a key")
    with listen(options.host, options.port) as listener:
        logger.info("loading the models")
        from app.api.server import create_app  # these imports take seconds
        from app.gradio_page.mounting import mount_page
        from app.loading import load

        assistant = load(params, scope, options.region, limits)
        app = create_app(assistant, key, options.cors_origin, hosts_of(options))
        mount_page(app, assistant, key)
        host, port = listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        if options.share:
            address = open_tunnel(host, port)
        print(f"{address} (chat page), {address}/v1 (API), {address}/docs (API guide)", flush=True)
        run(app, listener, limits)


def hosts_of(options: Options) -> list[str]:
    """Returns the host names that requests may use; any, if other machines may connect."""
    if options.share or options.host not in LOOPBACK:
        return ["*"]
    return [*LOOPBACK, *options.allowed_host]


def run(app: Any, listener: socket.socket, limits: Limits) -> None:
    """Serves until it is interrupted, and then first ends the streams to open pages."""
    import uvicorn

    from app.connections import protocol_with

    config = uvicorn.Config(
        app,
        http=protocol_with(limits),
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)
    leave = server.handle_exit

    def stop(number: int, frame: FrameType | None) -> None:
        app.state.close_page()
        leave(number, frame)

    server.handle_exit = stop  # type: ignore[assignment, method-assign]
    with suppress(KeyboardInterrupt):  # the way to stop it
        server.run(sockets=[listener])


def with_limits(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for each field of Limits, with its default and its help."""
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    for limit in fields(Limits):
        option: Any = Annotated[type(limit.default), typer.Option(help=limit.metadata["help"])]
        parameters.append(
            inspect.Parameter(
                limit.name, inspect.Parameter.KEYWORD_ONLY, default=limit.default, annotation=option
            )
        )
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return function


@with_limits
def chat(
    host: Annotated[
        str, typer.Option(help="Listen on this address; 0.0.0.0 serves the whole network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Listen on this port; 0 picks a free one.")] = 8000,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A page that may call the server; may be repeated."),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Another host name of the server, such as a proxy's; *.example.org allows all of "
            "its subdomains; may be repeated.",
        ),
    ] = None,
    share: Annotated[
        bool, typer.Option("--share", help="Also get a public address from Gradio's tunnel.")
    ] = False,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="The region whose emergency numbers the notices name, such as US or DE; "
            'without one, "your local emergency number".',
        ),
    ] = None,
    **limits: float,
) -> None:
    """Serve both models with a chat page and an API.

    The API speaks OpenAI's protocol. Clients must send the key in MEDTUNE_API_KEY, if it is set.
    """
    options = Options(host, port, cors_origin or [], allowed_host or [], share, region)
    serve(options, Limits(**limits))  # type: ignore[arg-type]


READ = ("models", "data/predictions", "data/split")  # the cards and answers of the page too


class AppCommand(Command):
    installed_by = "make .venv/app"


def register(cli: typer.Typer) -> None:
    """Adds the chat to `medtune`, which finds this function as an entry point."""
    add(cli, chat, *EXAMPLES, cls=AppCommand, reads=READ)


def main() -> None:
    cli = new_app("The chat.")
    register(cli)
    cli(prog_name="medtune chat")


if __name__ == "__main__":
    main()
