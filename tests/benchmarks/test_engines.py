import sys
from pathlib import Path

import pytest

from benchmarks.engines import Job, started
from medtune.runtime.errors import InputError

JOB = Job("models/base", threads=1, questions=2, longest=4, max_new_tokens=6, ends=[2])
GENAI = """
from types import SimpleNamespace

class SchedulerConfig:
    pass

class ContinuousBatchingPipeline:
    def __init__(self, folder, scheduler, device, properties):
        print("a line that is no answer")
        assert scheduler.max_num_seqs == 2 and not scheduler.enable_prefix_caching
        assert properties["INFERENCE_PRECISION_HINT"] == properties["KV_CACHE_PRECISION"] == "f32"

    def get_config(self):
        return SimpleNamespace()

    def generate(self, inputs, configs):
        (config,) = {id(config): config for config in configs}.values()
        assert (config.max_new_tokens, config.stop_token_ids) == (6, {2}) and not config.do_sample
        return [SimpleNamespace(m_generation_ids=[ids[0][::-1].tolist()]) for ids in inputs]
"""
MODULES = {
    "openvino.py": "Tensor = lambda ids: ids",
    "openvino_genai.py": GENAI,
    "optimum/exporters/openvino.py": "main_export = lambda *arguments, **named: None",
    "optimum/intel.py": "OVConfig = dict",
    "openvino_genai-1.2.dist-info/METADATA": "Name: openvino-genai\nVersion: 1.2\n",
}


@pytest.fixture
def openvino(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules in the place of OpenVINO's that answer with the prompt, read backwards."""
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_an_engine_answers_turn_by_turn_and_ends_with_its_context(openvino: Path) -> None:
    with started({"openvino": sys.executable}, JOB) as engines:
        engine = engines["openvino"]
        assert (engine.package, engine.version) == ("openvino-genai", "1.2")
        assert engine([[5, 6], [7, 8, 9]], 0) == [[6, 5], [9, 8, 7]]
        assert engine([[1, 3]], 0) == [[3, 1]]
    assert engine.process.returncode == 0


def test_an_engine_that_fails_says_which(openvino: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (openvino / "openvino.py").write_text("raise ImportError('no such processor')")
    with (
        pytest.raises(InputError, match="the arm openvino stopped: its error stands above"),
        started({"openvino": sys.executable}, JOB),
    ):
        pass
    assert "no such processor" in capfd.readouterr().err
