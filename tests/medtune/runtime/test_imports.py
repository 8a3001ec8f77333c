import subprocess
import sys
from importlib.util import find_spec

import pytest

from medtune.runtime.imports import without
from tests.projects import ROOT

STAGES = {
    "train": """
import sys
from pathlib import Path
from medtune.config.loading import load_params
from medtune.modeling.adapters import add_adapter
from medtune.modeling.loading import load_base

add_adapter(load_base("fp32", folder=Path(sys.argv[1])), load_params("train"), seed=0)
import medtune.training.loop
""",
    "baselines": """
from medtune.config.loading import load_params
from medtune.scoring.text_scorer import TextScorer

TextScorer(use_stemmer=True)("one", "two", "three")
""",
}
UNUSED = {"train": ["bitsandbytes"], "baselines": ["scipy", "sklearn"]}


def test_a_hidden_package_is_there_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with without("wave"):
        assert find_spec("wave") is None
        with pytest.raises(ImportError):
            import wave
    import wave

    assert wave


def test_a_package_that_is_loaded_is_not_hidden() -> None:
    with without("json"):
        import json

        assert json.dumps(1) == "1"


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_does_not_load_what_its_libraries_offer_beside(stage, base_folder) -> None:
    code = f"{STAGES[stage]}\nimport sys\nprint(*sys.modules)"
    command = [sys.executable, "-c", code, str(base_folder)]
    loaded = subprocess.check_output(command, cwd=ROOT, text=True).split()
    assert not set(UNUSED[stage]) & set(loaded)
