"""Finds the program that answers the test questions in place of medtune's own loop."""

from types import ModuleType

from medtune.config.schema import Evaluate
from medtune.generation import openvino, vllm

ENGINES = {"openvino": openvino, "vllm": vllm}


def find_engine(params: Evaluate) -> ModuleType | None:
    """Returns the module of `evaluate.engine`, None for medtune.

    Raises InputError if the engine is not installed, or cannot answer with these parameters.
    """
    engine = ENGINES.get(params.engine)
    if engine:
        engine.check(params)
    return engine
