"""Memory that a stage has freed stays in the process, where the next tensor finds it."""

import platform
import sys

import pytest

from tests.projects import ROOT, run

pytestmark = pytest.mark.slow

KEPT = """
import sys, numpy, psutil
from medtune.generation.freed_memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
before = psutil.Process().memory_info().rss
numpy.ones(2**24)  # 128 MiB, freed at once
print((psutil.Process().memory_info().rss - before) / 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is of the GNU C library")
@pytest.mark.parametrize(("way", "least", "most"), [("keep", 100, 150), ("free", 0, 30)])
def test_freed_memory_stays_in_the_process(way: str, least: float, most: float) -> None:
    kept = run(ROOT, sys.executable, "-c", KEPT, way).stdout
    assert least <= float(kept) <= most
