import io
import json
import math
import random
from pathlib import Path

import httpx2
import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medtune.runtime import paths
from medtune.sources.hub import call_hub
from medtune.sources.hub_address import parse_uri
from tests.fetching import fetched, message, tree
from tests.hub_server import HubServer, git_sha1

DATA = {
    "README.md": b"# Cards",
    "load.py": b"import os",
    "dataset_infos.json": b"{}",
    "en/train.parquet": bytes(range(256)) * 40,
    "en/more.csv": b"question,answer\n",
    "english.jsonl": b"{}\n",
    "de/train.json": b"[]",
}
MODEL = {
    "config.json": b"{}",
    "model.safetensors": b"weights" * 999,
    "pytorch_model.bin": b"pickle",
    "modeling_own.py": b"import os",
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "onnx/config.json": b"{}",
}


@pytest.fixture
def hub(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    hub_server.repositories = {"datasets/o/cards": dict(DATA), "o/tiny": dict(MODEL)}
    # Chunks smaller than the files, so that a download can resume after one.
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 512)
    return hub_server


def only(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    return {name: files[name] for name in names}


@pytest.mark.slow
def test_dataset_gives_its_tables_and_nothing_else(hub: HubServer, tmp_path: Path) -> None:
    wanted = only(DATA, "en/train.parquet", "en/more.csv", "english.jsonl", "de/train.json")
    assert fetched("hub://o/cards@main", tmp_path) == wanted


@pytest.mark.slow
def test_model_gives_safetensors_and_tokenizer_only(hub: HubServer, tmp_path: Path) -> None:
    wanted = only(
        MODEL, "config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"
    )
    assert fetched("hub://o/tiny@main", tmp_path, "model") == wanted


@pytest.mark.slow
def test_subset_is_a_folder_or_else_a_prefix(hub: HubServer, tmp_path: Path) -> None:
    folder = fetched("hub://o/cards@main/en", tmp_path / "1")
    assert folder == only(DATA, "en/train.parquet", "en/more.csv")
    assert fetched("hub://o/cards@main/engl", tmp_path / "2") == only(DATA, "english.jsonl")
    said = message("hub://o/cards@main/fr", tmp_path / "3")
    assert "under fr" in said
    assert "de/train.json" in said


CARD = b"""---
configs:
- config_name: questions
  data_files:
  - {split: train, path: en/train.parquet}
  - {split: test, path: [en/test.parquet, more.parquet]}
- config_name: german
  data_files: de/*.parquet
---
# Cards
"""


@pytest.mark.slow
def test_a_split_is_what_the_readme_says(hub: HubServer, tmp_path: Path) -> None:
    names = ("en/train.parquet", "en/test.parquet", "more.parquet", "de/a.parquet")
    files = {name: name.encode() for name in names}
    hub.repositories["datasets/o/cards"] = {**files, "README.md": CARD}
    test = fetched("hub://o/cards@main/questions?split=test", tmp_path / "1")
    assert test == only(files, "en/test.parquet", "more.parquet")
    assert fetched("hub://o/cards@main/german", tmp_path / "2") == only(files, "de/a.parquet")
    said = message("hub://o/cards@main/questions?split=validation", tmp_path / "3")
    assert said.endswith("has no split validation, only train, test")
    said = message("hub://o/cards@main?split=train", tmp_path / "4")
    assert "questions" in said and "german" in said and "?split=train" in said


@pytest.mark.slow
def test_a_split_is_told_by_the_names_of_files(hub: HubServer, tmp_path: Path) -> None:
    files = {f"data/{name}-00000-of-00001.parquet": name.encode() for name in ("train", "test")}
    hub.repositories["datasets/o/cards"] = {**files, "README.md": b"# Cards"}
    assert fetched("hub://o/cards@main?split=test", tmp_path / "1") == only(
        files, "data/test-00000-of-00001.parquet"
    )
    hub.repositories["datasets/o/cards"] = dict(DATA)
    found = fetched("hub://o/cards@main/de?split=train", tmp_path / "2")
    assert found == only(DATA, "de/train.json")


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (CARD.replace(b"de/*.parquet", b"https://example.org/a.json"), "keeps its data elsewhere"),
        (b"---\nconfigs: [\n---\n", "whose header can't be read"),
    ],
)
def test_a_readme_that_leads_elsewhere_or_nowhere_is_refused(
    hub: HubServer, tmp_path: Path, card: bytes, said: str
) -> None:
    hub.repositories["datasets/o/cards"]["README.md"] = card
    assert said in message("hub://o/cards@main?split=train", tmp_path)


@pytest.mark.slow
def test_branch_is_resolved_to_a_commit_and_the_pin_is_told(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commit = hub.commit("datasets/o/cards")
    with caplog.at_level("INFO", logger="medtune"):
        fetched("hub://o/cards@main/de", tmp_path / "1")
    assert f"revision main is commit {commit}: write @{commit} to pin it" in caplog.text
    caplog.clear()
    fetched(f"hub://o/cards@{commit}/de", tmp_path / "2")
    assert "to pin it" not in caplog.text


@pytest.mark.parametrize(
    ("uri", "target"),
    [("hub://o/cards", "dataset"), ("hub://cards@main", "dataset"), ("hub://o/n@main/x", "model")],
)
def test_incomplete_hub_uri_shows_the_whole_form(uri: str, target: str, tmp_path: Path) -> None:
    assert "write hub://owner/name@revision" in message(uri, tmp_path, target)


def test_model_without_safetensors_is_refused(hub: HubServer, tmp_path: Path) -> None:
    del hub.repositories["o/tiny"]["model.safetensors"]
    assert "has no safetensors" in message("hub://o/tiny@main", tmp_path, "model")


@pytest.mark.parametrize("status", [401, 403])
def test_gated_repository_says_how_to_log_in(hub: HubServer, tmp_path: Path, status: int) -> None:
    hub.closed["o/tiny"] = (status, "GatedRepo")
    said = message("hub://o/tiny@main", tmp_path, "model")
    assert f"is gated: accept its terms on {hub.url}/o/tiny" in said
    assert "log in with `hf auth login` or set HF_TOKEN" in said


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_without_a_reason_says_how_to_log_in(
    hub: HubServer, tmp_path: Path, status: int
) -> None:
    hub.closed["datasets/o/cards"] = (status, "")
    said = message("hub://o/cards@main", tmp_path)
    assert "is missing, private or gated" in said
    assert f"{hub.url}/datasets/o/cards and log in with `hf auth login`" in said


def test_any_other_refusal_names_its_status(hub: HubServer, tmp_path: Path) -> None:
    hub.closed["o/tiny"] = (410, "")
    assert "the hub answered 410" in message("hub://o/tiny@main", tmp_path, "model")


def test_missing_repository_and_revision_are_told_apart(hub: HubServer, tmp_path: Path) -> None:
    assert "check the owner and name" in message("hub://o/none@main", tmp_path)
    assert "no such revision" in message("hub://o/cards@v2", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("reset", [False, True])
def test_dropped_connection_does_not_harm_the_file(
    hub: HubServer, tmp_path: Path, reset: bool
) -> None:
    hub.drops["en/train.parquet"], hub.reset = 2048, reset
    assert fetched("hub://o/cards@main/en", tmp_path) == only(
        DATA, "en/train.parquet", "en/more.csv"
    )
    assert not hub.drops
    assert reset or hub.ranges == ["bytes=2048-"]


def test_a_busy_hub_is_asked_again_when_it_says(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("medtune.sources.hub.time.sleep", waited.append)
    request = httpx2.Request("GET", hub.url)
    answers = [httpx2.Response(429, headers={"Retry-After": "7"}, request=request)]
    answers += [httpx2.Response(status, request=request) for status in (503, 200)]

    def call() -> int:
        return answers.pop(0).raise_for_status().status_code

    repository = parse_uri("hub://o/cards@main", "dataset")
    assert call_hub(repository, call, (1.0, 3.0)) == 200
    assert waited == [7.0, 3.0]
    hub.refusals = [(429, "")]  # its library asks again by itself
    assert fetched("hub://o/cards@main/en/more.csv", tmp_path) == only(DATA, "en/more.csv")


@pytest.mark.slow
def test_wrong_hash_of_a_large_file_is_refused(hub: HubServer, tmp_path: Path) -> None:
    hub.corrupted["en/train.parquet"] = b"x" * len(DATA["en/train.parquet"])
    said = message("hub://o/cards@main", tmp_path)
    assert "en/train.parquet has hash" in said
    assert "refused" in said


@pytest.mark.slow
def test_wrong_hash_of_a_small_file_is_refused_with_both(hub: HubServer, tmp_path: Path) -> None:
    hub.corrupted["en/more.csv"] = b"question,answes\n"
    said = message("hub://o/cards@main", tmp_path)
    assert git_sha1(b"question,answes\n") in said
    assert git_sha1(DATA["en/more.csv"]) in said


def test_path_that_leaves_the_folder_is_refused(hub: HubServer, tmp_path: Path) -> None:
    hub.repositories["datasets/o/cards"]["en/../../outside.csv"] = b"x"
    assert "outside the folder: refused" in message("hub://o/cards@main", tmp_path)


def test_more_than_the_disk_holds_is_refused_before_it_comes(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "RESERVE_BYTES", 2**62)
    said = message("hub://o/cards@main", tmp_path)
    assert said.startswith("dataset o/cards@main on ") and "takes 0.00 GB, but the disk has" in said


def test_unreachable_hub_gets_one_line(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "check the network" in message("hub://o/cards@main", tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in message("hub://o/cards@main", tmp_path)


def parquet(rows: int) -> bytes:
    """Rows of a kilobyte each, which nothing compresses."""
    rng = random.Random(0)
    texts = [f"{n} {rng.randbytes(500).hex()}" for n in range(rows)]
    table = pa.table({"question": texts, "score": [math.nan] * rows, "image": [b"x"] * rows})
    pq.write_table(table, buffer := io.BytesIO())
    return buffer.getvalue()


@pytest.mark.slow
def test_some_rows_of_a_split_come_without_the_rest(hub: HubServer, tmp_path: Path) -> None:
    files = {f"data/train-0000{n}-of-00006.parquet": parquet(100) for n in range(6)}
    hub.repositories["datasets/o/cards"] = {**files, "README.md": b"# Cards"}
    (found,) = fetched("hub://o/cards@main?split=train[20:30]", tmp_path / "1").items()
    name, content = found
    rows = [json.loads(line) for line in content.splitlines()]
    assert name == "o-cards-train.jsonl"
    assert [int(row["question"].split()[0]) for row in rows] == [*range(20, 30)]
    assert rows[0] | {"question": ""} == {"question": "", "score": None, "image": None}
    assert hub.read and not hub.read & set([*files][2:])
    (content,) = fetched("hub://o/cards@main?split=train[:101]", tmp_path / "2").values()
    assert len(content.splitlines()) == 101  # the last row is of the second file
    said = message("hub://o/cards@main?split=train[600:601]", tmp_path / "3")
    assert said.endswith("has no row 600 in its split train: ask for earlier ones")
    assert "asks for no rows" in message("hub://o/cards@main?split=train[5:5]", tmp_path / "4")


@pytest.mark.parametrize("rows", ["[:1%]", "[:x]", "[5:]", "[:5", "[5]", "[0:5]&seed=1"])
def test_a_range_that_counts_no_rows_is_named(rows: str, tmp_path: Path) -> None:
    uri = f"hub://o/cards@main/en?split=train{rows}"
    assert message(uri, tmp_path) == (
        f"{uri}: {rows} is not a range of rows: write [:1000] for the first 1,000, or a range such "
        "as [1000:2000]"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content"),
    [("train.parquet", b"PAR1 and then nothing"), ("train.jsonl", b"no JSON\n")],
)
def test_rows_that_cannot_be_read_are_one_line(
    hub: HubServer, tmp_path: Path, name: str, content: bytes
) -> None:
    hub.repositories["datasets/o/cards"] = {name: content}
    said = message("hub://o/cards@main?split=train[:5]", tmp_path)
    assert "datasets can't read its files (" in said and "\n" not in said


@pytest.mark.slow
def test_rows_come_from_csv_and_json_lines_too(hub: HubServer, tmp_path: Path) -> None:
    rows = [{"question": f"Q{n}", "answer": f"A{n}"} for n in range(9)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    table = "question,answer\n" + "".join("{question},{answer}\n".format(**row) for row in rows)
    for name, content in (("train.jsonl", lines), ("train.csv", table.encode())):
        hub.repositories["datasets/o/cards"] = {name: content}
        (found,) = fetched("hub://o/cards@main?split=train[2:4]", tmp_path / name).values()
        assert [json.loads(line) for line in found.splitlines()] == rows[2:4]


def test_a_folder_of_save_to_disk_comes_whole(hub: HubServer, tmp_path: Path) -> None:
    files = {"train/data-00000-of-00001.arrow": b"rows", "train/state.json": b"{}"}
    hub.repositories["datasets/o/cards"] = files
    assert fetched("hub://o/cards@main/train", tmp_path) == files


def saved_by_datasets(folder: Path) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    """The files of a DatasetDict that `save_to_disk` wrote, and the rows of its split `train`."""
    import datasets

    rows = [{"question": f"Q{n}", "answer": f"A{n}"} for n in range(5)]
    splits = {name: datasets.Dataset.from_list(rows) for name in ("train", "test")}
    datasets.DatasetDict(splits).save_to_disk(folder)
    return tree(folder), rows


@pytest.mark.slow
def test_what_describes_a_folder_of_save_to_disk_is_not_read_as_cards(
    hub: HubServer, tmp_path: Path
) -> None:
    files, rows = saved_by_datasets(tmp_path / "saved")
    assert {"dataset_dict.json", "train/dataset_info.json", "train/state.json"} < files.keys()
    hub.repositories["datasets/o/cards"] = files
    arrow = "data-00000-of-00001.arrow"
    split = only(files, f"train/{arrow}")
    assert fetched("hub://o/cards@main?split=train", tmp_path / "1") == split
    states = only(files, f"test/{arrow}", "test/state.json", "train/state.json")
    assert fetched("hub://o/cards@main", tmp_path / "2") == split | states
    (found,) = fetched("hub://o/cards@main?split=train[1:3]", tmp_path / "3").values()
    assert [json.loads(line) for line in found.splitlines()] == rows[1:3]
