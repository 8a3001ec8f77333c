from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader

from medtune.export import llama_quantizer
from medtune.export.gguf import export_gguf
from medtune.export.llama_quantizer import check_quantizer
from medtune.export.provenance import adapter_md5, text_in_gguf
from medtune.modeling.adapters import ADAPTER
from medtune.runtime.errors import InputError
from tests.chat_tokenizers import smollm2
from tests.medtune.export.conftest import MakeRun


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    return smollm2(tmp_path / "tokenizer")


@pytest.mark.parametrize("type_", ["q4_k_m", "Q5_0", "iq4_xs"])
def test_without_the_quantizer_an_error_names_the_commands(
    type_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_quantizer, "PACKAGE", "not_installed")
    with pytest.raises(InputError) as caught:
        check_quantizer(type_, Path("out/full.gguf"), Path("out/s.gguf"), " --experiment tiny")
    assert str(caught.value).endswith(
        "run `pip install not_installed` and try again, or `medtune export gguf --experiment tiny "
        "--type f32 out/full.gguf` and then "
        f"`llama-quantize out/full.gguf out/s.gguf {type_.upper()}`"
    )


@pytest.mark.slow
def test_a_k_quant_comes_with_the_types_that_its_rows_fell_back_to(
    make_run: MakeRun, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("cyllama", reason="is in requirements-dev.txt")
    make_run(hidden_size=64, intermediate_size=256)
    with caplog.at_level("INFO", "medtune"):
        path = export_gguf(Path(), Path("out"), "q4_k_m")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(path).tensors}
    assert kinds["blk.0.attn_q.weight"] == "Q5_0"
    assert kinds["blk.0.ffn_down.weight"] in ("Q4_K", "Q6_K")  # the only rows of 256 weights
    assert "chose larger types for 14 of 16, whose rows are no multiple of 256" in caplog.text
    assert text_in_gguf(path, "medtune.adapter_md5") == adapter_md5(ADAPTER)
    assert sorted(each.name for each in path.parent.iterdir()) == ["Modelfile", path.name]


@pytest.mark.slow
def test_a_type_that_needs_more_than_weights_leaves_no_file(make_run: MakeRun) -> None:
    pytest.importorskip("cyllama", reason="is in requirements-dev.txt")
    make_run(hidden_size=256, intermediate_size=256)
    with pytest.raises(InputError, match=r"^llama\.cpp could not write the type iq2_xxs \("):
        export_gguf(Path(), Path("out"), "iq2_xxs")
    assert not list(Path("out").iterdir())
