"""The routes that say whether the server runs, and whether it would take a request now."""

from fastapi import FastAPI
from pydantic import BaseModel

from app.api.error_responses import busy
from app.assistant import Assistant


class Status(BaseModel):
    status: str


def add_status_routes(app: FastAPI, assistant: Assistant) -> None:
    @app.get("/health")
    async def health() -> Status:
        """Whether the server runs."""
        return Status(status="ok")

    @app.get("/ready")
    async def ready() -> Status:
        """Whether a request would be accepted now."""
        if not assistant.engine.is_ready:
            raise busy(assistant.engine.limits.retry_after_s)
        return Status(status="ready")
