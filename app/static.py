"""Serves the React page at /web, if it was built."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

BUILT = Path(__file__).parent / "web/dist"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asks whether the page has changed before it is shown again
}


class Page(StaticFiles):
    """Files that may load nothing from other sites, and that no other page may embed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


def mount_web(app: FastAPI, folder: Path = BUILT) -> None:
    """Serves the page at /web, or says there how to build it."""
    if not (folder / "index.html").is_file():

        @app.get("/web", include_in_schema=False)
        @app.get("/web/{path:path}", include_in_schema=False)
        async def not_built() -> Response:
            return PlainTextResponse("the React page is not built: run make web\n", 404)

        return

    @app.get("/web", include_in_schema=False)
    async def web() -> Response:
        return RedirectResponse("/web/")

    app.mount("/web", Page(directory=folder, html=True))
