from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from medtune.modeling.loading import load_base, resolve_precision
from medtune.runtime.errors import InputError


@pytest.mark.parametrize(
    "error",
    [AttributeError("no attribute 'dropout'"), ImportError("\nthis needs timm\nas it says")],
)
def test_a_model_that_transformers_cannot_build_is_refused_in_one_line(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    (tmp_path / "config.json").touch()
    with pytest.raises(InputError) as caught:
        load_base(folder=tmp_path)
    (line,) = str(caught.value).splitlines()
    assert str(error).split("\n")[:2][-1] in line
    assert line.endswith(": choose another download.model")


@pytest.mark.parametrize(("native_bf16", "expected"), [(True, "bf16"), (False, "fp16")])
def test_auto_is_the_half_precision_that_the_gpu_has(
    native_bf16: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(including_emulation: bool = True) -> Any:
        return native_bf16 or including_emulation  # as torch answers on a T4

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert resolve_precision("auto") == expected


def test_auto_is_fp32_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_precision("auto") == "fp32"
    assert resolve_precision("bf16") == "bf16"
