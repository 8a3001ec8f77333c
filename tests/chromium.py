"""Chromium, where there is one, for the tests of pages."""

import shutil
from typing import Any

import pytest

TIMEOUT_MS = 20_000  # of whatever a page is waited for
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), "")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def violations(page: Any) -> list[Any]:
    """Returns what axe finds against accessibility, each with the elements."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
