"""The chat page at `/`, made with Gradio: its tabs (chat, comparison, blind test and quiz), its
conversations, ratings and notices of emergencies, the nearest training cards beside an answer, and
the filter that lets only the page's own events through.
"""

import inspect
from typing import Any


def _import_gradio() -> None:
    """Imports Gradio, which at each start spends seconds on type stubs that nobody here reads.

    Gradio writes none for a class whose source file it cannot find.
    """
    find = inspect.getfile

    def find_others(object: Any) -> str:
        if str(getattr(object, "__module__", None)).startswith("gradio."):
            raise OSError("no stub is wanted")
        return find(object)

    inspect.getfile = find_others
    try:
        import gradio  # noqa: F401
    finally:
        inspect.getfile = find


_import_gradio()
