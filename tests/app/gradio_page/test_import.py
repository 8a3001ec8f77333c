"""Importing the page's package imports Gradio, which takes most of the chat's start."""

import inspect
import sys
from pathlib import Path

import gradio
import pytest

from tests.projects import ROOT, run

STUBS = """
import sys
opened = []
sys.addaudithook(lambda event, about: opened.append(str(about[0])) if event == "open" else None)
import app.gradio_page
print(sum(name.endswith(".pyc") for name in opened) > 100)
print([name for name in opened if name.endswith(".pyi")])
"""


@pytest.mark.slow
def test_gradio_reads_and_writes_no_stubs_for_editors() -> None:
    assert run(ROOT, sys.executable, "-c", STUBS).stdout == "True\n[]\n"
    assert Path(inspect.getfile(gradio.Chatbot)).name == "chatbot.py"  # is found again
