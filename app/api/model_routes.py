"""The routes that list the models."""

import time
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

from app.assistant import Assistant


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "medtune"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


def add_model_routes(app: FastAPI, assistant: Assistant) -> None:
    started = int(time.time())
    models = {name: Model(id=name, created=started) for name in assistant.engine.models}

    @app.get("/v1/models")
    async def list_models() -> ModelList:
        return ModelList(data=list(models.values()))

    @app.get("/v1/models/{model}")
    async def retrieve_model(model: str) -> Model:
        return models[assistant.known(model)]
