"""The command line, and a made-up run whose data tries to break out of its place on a page."""

from collections.abc import Callable
from typing import Any

import pytest

from medtune.__main__ import command_line
from medtune.config.loading import load_params
from medtune.report.facts import Facts
from medtune.report.run_facts import InputFile, RunFacts, Token
from medtune.scoring.scores import SCORES

SECTIONS = ("download", "clean", "split", "tokenize", "train", "evaluate", "compare")
LEAKS = ("question", "answer", "ngram13")
SPLITS = ("train", "validation", "test")
TOKENS = ("tokens", "supervised_tokens", "truncated")
FIELDS = {"base": 0.2, "finetuned": 0.3, "difference": 0.1, "ci_low": 0.05, "ci_high": 0.15}
HOSTILE = '</script></td><img src=x onerror=alert(1)>"&<!-- costs -->'


def texts(picture: Any) -> str:
    """What a picture says, a line for each text."""
    from matplotlib.text import Text

    picture.draw_without_rendering()
    return "\n".join(text.get_text() for text in picture.findobj(Text))


def flat_scores(prefix: str = "", **changes: float | None) -> dict[str, Any]:
    """Flat metrics as compare writes them, the same for each score."""
    fields = FIELDS | {"p_value": 0.0004} | changes
    return {f"{prefix}{s.name}.{key}": value for s in SCORES for key, value in fields.items()}


def system_scores() -> dict[str, Any]:
    """Metrics of all systems: the fill-in rule is the best without training in every score."""
    flat: dict[str, Any] = {"n": 9, "groups": 8, "verdict": "no change"}
    flat["verdict.sentence"] = "The fine-tuning made no change that 9 test cards could show."
    lead = {"difference": 0.05, "ci_low": -0.01, "ci_high": 0.11, "p_value": 0.2}
    for score in SCORES:
        values = {"finetuned": 0.3, "base": 0.2, "few_shot": 0.22, "fill_in": 0.25}
        for system, value in values.items():
            flat |= {f"{system}.{score.name}": value, f"{system}.{score.name}.validation": value}
            if system != "finetuned":
                flat |= {f"{system}.{score.name}.{field}": n for field, n in lead.items()}
        if score.better:
            flat[f"best.{score.name}"] = "fill_in"
    for name in ("rougeL", "content_f1"):
        flat |= {f"primary.{name}.best": "unclear", f"primary.{name}.base": "better"}
    return flat


def part(name: str, **changes: float | None) -> dict[str, Any]:
    return {f"{name}.n": 9, f"{name}.groups": 8, **flat_scores(f"{name}.", **changes)}


def answer(name: str, difference: float, **changes: Any) -> dict[str, Any]:
    row = {"id": name, "kind": "onset", "topic": "heart", "question": f"What is {name}?"}
    row |= {"reference": "A short answer.", "base": "Yes.", "finetuned": "No."}
    row |= {"base_score": 0.5, "finetuned_score": 0.5 + difference, "difference": difference}
    return row | {"base_stopped": True, "finetuned_stopped": False} | changes


@pytest.fixture
def medtune() -> Callable[..., int]:
    """Runs a command in this process and returns its exit code."""

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as stopped:
            command_line()(list(arguments), prog_name="medtune")
        return int(stopped.value.code or 0)

    return run


@pytest.fixture
def metrics() -> dict[str, dict[str, Any]]:
    leaks = {f"leak{kind}.{n}": 0.25 for kind in ("", "_random_split") for n in LEAKS}
    lengths = part("11-20 words") | part("1-5 words") | part("6-10 words")
    return {
        "clean": {"records_in": 12, "kept": 11, "dropped.duplicate": 1, "dropped.not_text": 0},
        "split": {"train": 8, "validation": 2, "test": 9, "groups": 10, **leaks},
        "tokenize": {f"{split}.{n}": 5 for split in SPLITS for n in TOKENS},
        "train": {"train_loss": 1.25, "steps": 1350, "tokens": 69312},
        "compare_systems": system_scores(),
        "compare_scores": {"n": 9, "groups": 8, **flat_scores()},
        "compare_kinds": part("<b>a|b</b>") | part("onset"),
        "compare_topics": part("bones", difference=0.3) | part("heart", difference=-0.1),
        "compare_lengths": lengths,
    }


@pytest.fixture
def facts(metrics: dict[str, dict[str, Any]]) -> Facts:
    hostile = dict.fromkeys(("kind", "topic", "question", "reference", "finetuned"), HOSTILE)
    general = {"prediction": HOSTILE, "stopped": False}
    learned = Token("Paris", learned=True, control=False, ids=(7,))
    sections = load_params(*SECTIONS)
    return Facts(
        preset="default",
        seed=42,
        params={name: part.model_dump() for name, part in zip(SECTIONS, sections, strict=True)},
        metrics=metrics,
        curves={"train": [(1, 2.0), (10, 1.0)], "validation": [(10, 1.5)]},
        answers=[answer(HOSTILE, -0.25, **hostile, base=""), answer("a", 0.0), answer("b", 0.125)],
        prompt={"prompt_style": "chat", "system_prompt": 'Say "hi".', "disclaimer": None},
        adapter={"target_modules": ["v_proj", "q_proj"]},
        run=RunFacts(
            changed=[("train.lr", 1e-3, 2e-4)],
            files=[InputFile("models/base/model.safetensors", 538.1, "0a" * 32)],
            examples={
                HOSTILE: [
                    Token("<|end|>", False, True, (2,)),
                    Token(HOSTILE, False, False, (3, 4)),
                    learned,
                ]
            },
            general=[{"question": HOSTILE, "base": general, "finetuned": general}],
        ),
    )
