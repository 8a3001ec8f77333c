"""The routes that say which models there are, and whether the server is ready."""

import time
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

from app.api.error_responses import busy
from app.assistant import Assistant


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "medtune"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class Status(BaseModel):
    status: str


def add_model_routes(app: FastAPI, assistant: Assistant) -> None:
    started = int(time.time())
    models = {name: Model(id=name, created=started) for name in assistant.engine.models}

    @app.get("/v1/models")
    async def list_models() -> ModelList:
        return ModelList(data=list(models.values()))

    @app.get("/v1/models/{model}")
    async def retrieve_model(model: str) -> Model:
        return models[assistant.known(model)]


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
