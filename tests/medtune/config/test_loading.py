import subprocess
from pathlib import Path
from typing import Any

import pytest

from medtune.config.allowed_values import SPLITS
from medtune.config.loading import load_params, read_yaml, validate
from medtune.runtime.errors import InputError

SHIPPED = Path("params.yaml")


@pytest.fixture
def content() -> Any:
    return read_yaml(SHIPPED)


def write(folder: Path, text: str) -> None:
    (folder / "params.yaml").write_text(text, encoding="utf-8")


def test_every_problem_is_reported_at_once(content: Any) -> None:
    content["train"]["lr"] = -1
    content["train"]["optim"] = "adam"
    content["train"]["target_modules"] = 3
    content["evaluate"]["top_p"] = "high"
    del content["compare"]["confidence"]
    with pytest.raises(InputError) as caught:
        validate(content)
    assert str(caught.value) == (
        "train.target_modules must be 'all-linear' or a valid list, got 3; "
        "train.optim must be 'adamw_torch' or 'paged_adamw_8bit', got 'adam'; "
        "train.lr must be greater than 0, got -1; "
        "evaluate.top_p must be a valid number, got 'high'; "
        "compare.confidence is missing: add it, or restore the file with `git checkout params.yaml`"
        " (params.yaml)"
    )


@pytest.mark.parametrize(
    ("section", "key", "hint"),
    [
        ("train", "lora_alfa", "train.lora_alfa is unknown: did you mean lora_alpha?"),
        ("train", "learning_rate", r"train.learning_rate is unknown: did you mean lr\?"),
        ("train", "batch_size", "did you mean per_device_train_batch_size"),
        ("tokenize", "max_seq_length", "did you mean max_length_tokens"),
        ("compare", "rank", "compare.rank is unknown: known keys are resamples"),
        ("compare", "zzz", "compare.zzz is unknown: known keys are resamples, confidence, "),
    ],
)
def test_an_unknown_key_gets_a_hint(content: Any, section: str, key: str, hint: str) -> None:
    content[section][key] = 1
    with pytest.raises(InputError, match=hint):
        validate(content)


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (["wer", "wer"], "metrics: wer and wer are both metrics.wer: drop one"),
        (["owner/wer", "ter", "wer"], "metrics: owner/wer and wer are both metrics.wer: drop one"),
        (
            [{"name": "rouge", "value": "rouge1"}, {"name": "own/rouge", "value": "rouge1"}],
            r"rouge and own/rouge are both metrics\.rouge\.rouge1: drop one",
        ),
    ],
)
def test_metrics_of_one_name_are_refused_with_what_collides(
    content: Any, metrics: list[Any], said: str
) -> None:
    content["evaluate"]["metrics"] = metrics
    with pytest.raises(InputError, match=said):
        validate(content)
    content["evaluate"]["metrics"] = ["wer", {"name": "owner/wer", "value": "share"}]
    assert len(validate(content).evaluate.metrics) == 2


def test_the_gate_knows_its_scores(content: Any) -> None:
    content["compare"]["fail_if_worse"] = {"rougeL": 0, "perplexity": 0.5}
    assert validate(content).compare.fail_if_worse == {"rougeL": 0, "perplexity": 0.5}
    for best in ({"best.rougeL": 0.0}, {"best": {"rougeL": 0.0}}):  # -S writes the second
        content["compare"]["fail_if_worse"] = best
        assert validate(content).compare.fail_if_worse == {"best.rougeL": 0.0}
    content["compare"]["fail_if_worse"] = {"rouge": 0.0, "bleu": -1.0}
    with pytest.raises(InputError) as caught:
        validate(content)
    assert "compare.fail_if_worse.rouge must be 'rouge1', 'rouge2'," in str(caught.value)
    assert "fail_if_worse.bleu must be greater than or equal to 0, got -1.0" in str(caught.value)


def test_primary_scores_are_known_and_named_once(content: Any) -> None:
    assert validate(content).compare.primary == ["rougeL", "content_f1"]
    for names, problem in (
        (["rougel"], r"compare.primary.* must be 'rouge1', "),
        ([], r"compare.primary .*at least 1"),
        (["facts", "facts"], r"primary: name each score once"),
    ):
        content["compare"]["primary"] = names
        with pytest.raises(InputError, match=problem):
            validate(content)


def test_a_misspelt_section_gets_a_hint(content: Any) -> None:
    content["tokenise"] = {}
    with pytest.raises(InputError, match=r"tokenise is unknown: did you mean tokenize\?"):
        validate(content)


def test_the_keys_inside_an_optional_section_are_named(content: Any) -> None:
    content["clean"] |= {"reader": "columns", "columns": {"question": "q", "answr": "a"}}
    with pytest.raises(InputError) as caught:
        validate(content)
    assert "clean.columns.answer is missing" in str(caught.value)
    assert "clean.columns.answr is unknown: did you mean answer?" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"max_question_words": 1, "min_question_words": 3},
            r"min_question_words \(3\) exceeds",
        ),
        (
            {"max_answer_words": 1, "min_answer_words": 2},
            r"clean: min_answer_words \(2\) exceeds max_answer_words \(1\)",
        ),
        ({"rules": {"htlm": False}}, r"clean.rules.htlm is unknown: did you mean html\?"),
        ({"rules": {"html": False}}, "clean.rules.encoding is missing"),
        ({"personal_data": "off"}, "personal_data must be 'ignore', 'count', 'mask' or 'drop'"),
        ({"encoding": "cp1525"}, r"encoding must be one that Python knows, .*, got 'cp1525'"),
        ({"encoding": "base64"}, "encoding must be one that Python knows"),
        ({"max_unreadable_share": 2}, "max_unreadable_share must be less than or equal to 1"),
    ],
)
def test_cleaning_has_possible_limits_and_known_rules(
    content: Any, change: Any, message: str
) -> None:
    content["clean"] |= change
    with pytest.raises(InputError, match=message):
        validate(content)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": 0.5, "validation": 0.1, "test": 0.1}, "split.shares: shares must add up to 1"),
        ({"train": 800, "validation": 0.1, "test": 0.1}, "or all be counts of records"),
        ({"train": 8.5, "validation": 1.0, "test": 1.0}, "they add up to 10.5"),
        (
            {"train": 0.9, "validation": 0.1, "test": 0.0},
            "split.shares.test must be greater than 0",
        ),
    ],
)
def test_shares_must_make_three_splits(content: Any, shares: Any, message: str) -> None:
    content["split"]["shares"] = shares
    with pytest.raises(InputError, match=message):
        validate(content)


def test_shares_may_be_counts_which_limit_a_split_like_max_records(content: Any) -> None:
    content["split"]["shares"] = {"train": 800, "validation": 50, "test": 150}
    content["split"]["max_records"] = {"train": None, "validation": 72, "test": 100}
    split = validate(content).split
    assert split.shares.fraction("train") == 0.8
    assert [split.limit(name) for name in SPLITS] == [800, 50, 100]
    content["split"]["shares"] = {"train": 0.8, "validation": 0.1, "test": 0.1}
    split = validate(content).split
    assert [split.limit(name) for name in SPLITS] == [None, 72, 100]


@pytest.mark.slow
def test_numbers_are_read_as_dvc_writes_them(content: Any, tmp_path: Path) -> None:
    for text, value in (("1e-05", 1e-5), ("1e-4", 1e-4), ("0.0002", 2e-4)):
        path = tmp_path / "params.yaml"
        path.write_text(SHIPPED.read_text().replace("lr: 1.0e-3", f"lr: {text}"))
        assert validate(read_yaml(path)).train.lr == value


def test_only_the_named_parts_are_returned() -> None:
    seed, split = load_params("seed", "split")
    assert seed == 42
    assert split.shares.train == 0.75
    assert load_params("download.model").startswith("pypi://")
    with pytest.raises(AttributeError):
        load_params("train").shares  # noqa: B018


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "params.yaml is missing: restore it"),
        (b"seed: \xff\n", r"params.yaml is not UTF-8 \(byte 6\)"),
        (b"seed: [1\n", r"params.yaml, line 2 is not valid YAML"),
        (b"", "the file must be a valid dictionary"),
        (b"seed: 1\nseed: 2\n", "params.yaml, line 2 is not valid YAML"),
    ],
)
def test_a_broken_file_gets_one_clear_line(
    text: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "params.yaml").write_bytes(text)
    with pytest.raises(InputError, match=message) as caught:
        load_params("seed")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_refused_change_says_how_to_undo_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], check=True)

    def message() -> str:
        with pytest.raises(InputError) as caught:
            load_params("seed")
        return str(caught.value)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    shipped = (Path(__file__).parents[3] / "params.yaml").read_text(encoding="utf-8")
    write(tmp_path, shipped.replace("seed: 42", "seed: -1"))
    refused = "seed must be greater than or equal to 0, got -1 (params.yaml)"
    assert message() == refused
    git("init", "-q")
    write(tmp_path, shipped)
    git("add", "params.yaml")
    git("commit", "-qm", "shipped")
    write(tmp_path, shipped.replace("seed: 42", "seed: -1"))
    assert message() == f"{refused}; `git checkout params.yaml` undoes all changes in the file"
    git("add", "params.yaml")  # as DVC does while an experiment runs
    assert message().endswith("undoes all changes in the file")
    git("reset", "-q")
    git("checkout", "-q", "params.yaml")
    assert load_params("seed") == 42
    write(tmp_path, shipped.replace("seed: 42", "seed: -1"))
    git("commit", "-qam", "wrong")
    assert message() == refused, "git checkout would not help"
    copy = tmp_path / ".dvc/tmp/exps/tmp1abc"
    copy.mkdir(parents=True)
    git("mv", "params.yaml", str(copy))
    monkeypatch.chdir(copy)
    assert message() == refused, "the file of a queued experiment is a copy"
