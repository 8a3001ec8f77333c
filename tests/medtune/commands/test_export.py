from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., int]
pytestmark = pytest.mark.usefixtures("new_project")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("merged",), "models/adapter/adapter_model.safetensors is missing: run dvc repro train"),
        (("merged", "params.yaml"), "is a file: name a folder"),
        (("gguf",), "models/adapter/adapter_model.safetensors is missing: run dvc repro train"),
        (
            ("gguf", "--type", "int4"),
            "--type must be one of f32, f16, q8_0, or a type of llama.cpp such as q4_k_m, got int4",
        ),
        (("gguf", "--type", "q9_k"), "llama.cpp has no type q9_k: name another one, such as q4"),
        (("gguf", "params.yaml"), "params.yaml is in the way: name a folder or a new file ending"),
        (("space", "params.yaml"), "params.yaml is a file: name a folder"),
        (("space", "--adapter", "a"), "--adapter must be owner/name or owner/name@revision, got a"),
        (("space", "--base", "a/b/c"), "--base must be owner/name or owner/name@revision, got a/b"),
        (("space", "new"), "models/adapter/adapter_config.json is missing: run dvc repro train"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_exported_is_one_line(
    arguments: tuple[str, ...], line: str, medtune: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medtune("export", *arguments) == 1
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["params.yaml"]
