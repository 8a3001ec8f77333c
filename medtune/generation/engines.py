"""Finds the program that answers the test questions in place of medtune's own loop."""

from types import ModuleType

from medtune.generation import openvino, vllm

ENGINES = {"openvino": openvino, "vllm": vllm}


def find_engine(name: str) -> ModuleType | None:
    """Returns the module of an `evaluate.engine`, None for medtune.

    Raises InputError if the engine is not installed.
    """
    engine = ENGINES.get(name)
    if engine:
        engine.check_installed()
    return engine
