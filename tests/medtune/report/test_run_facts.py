import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from medtune.config.loading import load_params
from medtune.report.redaction import public_sources
from medtune.report.run_facts import (
    GENERAL,
    changed_params,
    general_answers,
    input_file,
    loss_examples,
    read_splits,
    token_texts,
)
from medtune.runtime.atomic_files import write_table
from medtune.runtime.errors import InputError

END = "<|end|>"


@pytest.fixture(scope="module")
def bytes_tokenizer() -> Any:
    """A tokenizer whose tokens are single bytes, and one control token."""
    alphabet = sorted(ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={byte: n for n, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([END])
    return tokenizer


def test_tokens_keep_their_text_and_say_what_is_learned(bytes_tokenizer: Any) -> None:
    ids = bytes_tokenizer.encode(f"aβ\n{END}b µ{END}").ids
    tokens = token_texts(bytes_tokenizer, {"input_ids": ids, "loss_start": 5})
    assert [token.text for token in tokens] == ["a", "β", "\n", END, "b", " ", "µ", END]
    assert [token.learned for token in tokens] == [False] * 4 + [True] * 4
    assert [n for n, token in enumerate(tokens) if token.control] == [3, 7]


def test_what_is_said_between_two_answers_is_not_learned(bytes_tokenizer: Any) -> None:
    ids = bytes_tokenizer.encode(f"ab{END}cd{END}").ids
    row = {"input_ids": ids, "loss_start": 1, "masked_spans": [[3, 4]]}
    tokens = token_texts(bytes_tokenizer, row)
    assert "".join(token.text for token in tokens if token.learned) == f"b{END}d{END}"


def test_text_that_looks_like_a_control_token_is_none(bytes_tokenizer: Any) -> None:
    ids = [i for letter in END for i in bytes_tokenizer.encode(letter).ids]
    tokens = token_texts(bytes_tokenizer, {"input_ids": ids, "loss_start": 0})
    assert "".join(token.text for token in tokens) == END
    assert not any(token.control for token in tokens)


def test_examples_are_the_first_cards_of_three_kinds(
    bytes_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models/adapter").mkdir(parents=True)
    bytes_tokenizer.save("models/adapter/tokenizer.json")

    def chosen(kinds: str) -> list[str]:
        rows = [
            {"id": str(n), "kind": kind, "input_ids": [n, n + 1], "loss_start": 1}
            for n, kind in enumerate(kinds)
        ]
        examples = loss_examples(pa.Table.from_pylist(rows))
        assert all(
            [token.learned for token in tokens] == [False, True] for tokens in examples.values()
        )
        return list(examples)

    assert chosen("aabacd") == ["0", "2", "4"]
    assert chosen("aaaab") == ["0", "4", "1"]
    assert chosen("aa") == ["0", "1"]


@pytest.mark.slow
def test_changed_params_are_those_that_differ_from_the_default_preset() -> None:
    params = {name: load_params(name).model_dump() for name in ("download", "split", "train")}
    sources = params["download"].items()
    params["download"] = {key: value and public_sources(value) for key, value in sources}
    assert changed_params(params) == []
    params["train"] |= {"lr": 2e-4, "target_modules": ["q_proj"]}
    params["download"] |= {"dataset": "file://…/cards.csv"}
    changed = {key: (usual, value) for key, usual, value in changed_params(params)}
    assert list(changed) == ["download.dataset", "train.target_modules", "train.lr"]
    assert changed["train.lr"] == (1e-3, 2e-4)


def test_files_are_named_with_size_and_hash(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"x" * 1500)
    file = input_file(path, "train")
    assert (file.size_mb, file.sha256) == (0.0015, hashlib.sha256(b"x" * 1500).hexdigest())
    with pytest.raises(InputError, match=r"gone is missing: run dvc repro train$"):
        input_file(tmp_path / "gone", "train")


def test_general_answers_pair_both_models_or_are_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"question": "Capital of France?", "prediction": "Paris", "stopped": True}]
    write_table(GENERAL["base"], pa.Table.from_pylist(rows))
    assert general_answers() == []
    write_table(GENERAL["finetuned"], pa.Table.from_pylist([rows[0] | {"prediction": "Gout"}]))
    (pair,) = general_answers()
    assert pair["question"] == "Capital of France?"
    assert (pair["base"]["prediction"], pair["finetuned"]["prediction"]) == ("Paris", "Gout")


def test_kinds_are_counted_per_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    splits = {"train": ["a", "b", "a"], "validation": ["b"], "test": []}
    for name, kinds in splits.items():
        table = pa.table({"kind": pa.array(kinds, pa.string())})
        write_table(Path(f"data/split/{name}.parquet"), table)
    assert read_splits() == {"train": {"a": 2, "b": 1}, "validation": {"b": 1}, "test": {}}
