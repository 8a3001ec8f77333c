import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from medtune.commands.tokens import PAGE, parts, render_page
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import SCHEMA, TOKENS, token_writer
from tests import chat_tokenizers

Run = Callable[..., int]
HOSTILE = "<script>alert('&')</script>\n<|im_end|>"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token files of SmolLM2-like tokens: 20 cards to train on, 2 for each other split."""
    encoder = PromptEncoder(
        chat_tokenizers.smollm2(tmp_path / "models/base"), PromptFormat("chat", None)
    )
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").touch()
    for split, count in (("train", 20), ("validation", 2), ("test", 2)):
        rows: list[dict[str, Any]] = []
        for n in range(count):
            prompt = encoder.question_ids(HOSTILE)
            answer = encoder.answer_ids("µ🙂")[: None if n else -1]
            row = dict.fromkeys(SCHEMA.names[:6], HOSTILE) | {"id": f"{split}:{n}"}
            row |= {"input_ids": [*prompt, *answer, encoder.end_id], "truncated": n == 0}
            rows.append(row | {"prompt_length": len(prompt), "loss_start": len(prompt)})
        with token_writer(TOKENS / f"{split}.arrow") as writer:
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))


def ids(split: str, *arguments: Any) -> list[str]:
    (part,) = parts([split], *arguments)
    return [row["id"] for row in part.rows]


def test_rows_are_spread_evenly_and_no_more_than_there_are() -> None:
    assert ids("train", 4) == ["train:0", "train:5", "train:10", "train:15"]
    assert ids("test", 99) == ["test:0", "test:1"]


def test_one_card_is_found_in_its_split() -> None:
    (part,) = parts(["train", "validation", "test"], 5, "validation:1")
    assert (part.split, part.count, [row["id"] for row in part.rows]) == (
        *("validation", 2),
        ["validation:1"],
    )


def test_every_id_is_shown_once_though_an_answer_is_cut_within_a_character() -> None:
    (part,) = parts(["train"], 20)
    for row in part.rows:
        tokens = row["tokens"]
        assert [i for token in tokens for i in token.ids] == row["input_ids"]
        assert (tokens[-1].text, tokens[-1].learned) == ("<|im_end|>", True)
        answer = "".join(token.text for token in tokens if token.learned)
        assert answer == ("µ🙂<|im_end|>" if not row["truncated"] else "µ�<|im_end|>")
        learned = [i for token in tokens if token.learned for i in token.ids]
        assert learned == row["input_ids"][row["loss_start"] :]


@pytest.mark.slow
def test_data_is_escaped_and_nothing_is_fetched() -> None:
    page = render_page(parts(["train", "test"], 3))
    tags = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            assert not {"src", "onerror", "onclick"} & {name for name, _ in attrs}

    Tags().feed(page)
    assert "script" not in tags and "link" not in tags and {"mark", "input"} <= tags
    assert "http://" not in page and "https://" not in page and "url(" not in page
    assert "&lt;script&gt;" in re.sub("<.*?>", "", page)
    assert "default-src 'none'" in page


@pytest.mark.slow
def test_learned_control_and_plain_tokens_have_their_own_markup() -> None:
    page = render_page(parts(["train"], 1, "train:3"))
    (line,) = re.findall('<p class="tokens">(.*?)</p>', page, re.DOTALL)
    prompt, learned = line.split("<mark>")
    assert '<i class="control" title="1">&lt;|im_start|&gt;</i>' in prompt
    assert learned.endswith('<i class="control" title="2">&lt;|im_end|&gt;</i></mark>')
    assert len(re.findall("<i", learned)) == 3 and "µ</i>" in learned
    assert re.findall(r"title=\"[\d ]+ [\d ]+\"", learned), "a character of several tokens is one"
    assert "↵</i>\n" in prompt
    assert "the answer is cut" not in page
    assert "the answer is cut" in render_page(parts(["train"], 1, "train:0"))


@pytest.mark.slow
def test_the_command_writes_the_same_page_twice(medtune: Run) -> None:
    def run(*arguments: str) -> str:
        assert medtune("tokens", *arguments) == 0
        return PAGE.read_text(encoding="utf-8")

    first = run()
    assert run() == first
    assert [f'id="{split}"' in first for split in ("train", "validation", "test")] == [True] * 3
    assert "5 of 20 cards, evenly spread" in first
    only = run("--split", "test", "--rows", "1")
    assert 'id="train"' not in only and "1 of 2 cards." in only


@pytest.mark.slow
def test_what_cannot_be_shown_is_one_line(medtune: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert medtune("tokens", "--id", "none:1") == 1
    error = capsys.readouterr().err
    assert error.startswith("tokens: data/tokens does not have a card with the id none:1 in train")
    assert error.count("\n") == 1
    assert medtune("tokens", "--rows", "0") == 2
    assert "should be greater than or equal to 1" in capsys.readouterr().err
    assert not PAGE.exists()


@pytest.mark.slow
def test_missing_inputs_name_the_stage_that_makes_them(
    medtune: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (TOKENS / "test.arrow").unlink()
    assert medtune("tokens") == 1
    assert "test.arrow is missing: run dvc repro tokenize" in capsys.readouterr().err
    Path("models/base/tokenizer.json").unlink()
    assert medtune("tokens") == 1
    assert "tokenizer.json is missing: run dvc repro download@model" in capsys.readouterr().err
