import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from medtune.runtime.imports import without
from tests.projects import ROOT, run

PROGRAMS = {
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
import stages.baselines
from medtune.config.loading import load_params
from medtune.scoring.answer_counts import TextCounter

TextCounter(use_stemmer=True)("one", "two", "three")
""",
    "guard": """
from medtune.guard.classifier import encoded_questions

encoded_questions(["a"])
""",
}
UNUSED = {
    "train": ["bitsandbytes"],
    "baselines": ["scipy", "sklearn", "torch"],
    "guard": ["torch"],
}


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
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_does_not_load_what_it_has_no_use_for(name: str, base_folder: Path) -> None:
    code = f"{PROGRAMS[name]}\nimport sys\nprint(*sys.modules)"
    loaded = run(ROOT, sys.executable, "-c", code, str(base_folder)).stdout.split()
    assert not set(UNUSED[name]) & set(loaded)
