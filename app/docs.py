"""Serves the API's documentation at /docs: Swagger UI, with the files of fastapi-offline.

FastAPI's own page loads them from a CDN.
"""

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from app.static import HEADERS, Page

FILES = "docs/files"
POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def add_docs(app: FastAPI) -> None:
    """Serves the page and its files; its URLs are relative, so that a proxy may add a path."""
    page = get_swagger_ui_html(
        title=f"{app.title}: API",
        openapi_url="openapi.json",
        swagger_js_url=f"{FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{FILES}/swagger-ui.css",
        swagger_favicon_url=f"{FILES}/favicon.png",
    )

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        headers = HEADERS | {"Content-Security-Policy": POLICY}
        return HTMLResponse(page.body, headers=headers)

    app.mount(f"/{FILES}", Page(packages=[("fastapi_offline", "static")]))
