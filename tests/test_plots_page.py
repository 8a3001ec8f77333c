"""The page of `dvc plots show`, drawn without a network in Chromium."""

import shutil
from pathlib import Path

import pytest
import vl_convert

from tests.chromium import CHROMIUM, OPTIONS
from tests.projects import ROOT, run

pytestmark = pytest.mark.slow

MARKS = """() => Object.fromEntries([...document.querySelectorAll("body > div")].map((plot) => [
  plot.id, plot.querySelectorAll("svg.marks .role-mark path").length]))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the committed plots, made by DVC, in a folder with DVC's settings alone."""
    folder = tmp_path_factory.mktemp("project")
    for name in (".dvc/config", "dvc.yaml", "params.yaml", ".dvc/plots", "plots"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (folder / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, folder / name)
    for name in ("train", "validation"):  # DVC's cache has them, Git has not
        (folder / f"plots/train/{name}.csv").write_text("step,loss\n10,2.5\n20,2.25\n")
    (folder / ".dvc/plots/vega.js").unlink(missing_ok=True)  # `make` may have written it here
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    run(folder, "dvc", "plots", "show")
    return folder / "dvc_plots/index.html"


def test_make_writes_the_script_that_the_page_loads(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert ".dvc/plots/vega.js: " in makefile and "vl_convert.javascript_bundle()" in makefile
    assert 'src="../.dvc/plots/vega.js"' in page.read_text(encoding="utf-8")


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_every_plot_is_drawn_without_a_network_or_the_page_says_what_to_do(page: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        view = browser.new_context(offline=True).new_page()
        view.goto(page.as_uri())
        without = view.inner_text("body")
        script = page.parents[1] / ".dvc/plots/vega.js"
        script.write_text(vl_convert.javascript_bundle(), encoding="utf-8")
        view.reload()
        view.wait_for_function("() => document.querySelectorAll('svg.marks').length == 9")
        marks = view.evaluate(MARKS)
        browser.close()
    assert "run make .dvc/plots/vega.js" in without
    assert len(marks) == 9 and all(marks.values()), marks
