"""The published presets at the size of a tiny model."""

import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks import full_size
from medtune.config.loading import read_yaml
from medtune.modeling.loading import BASE, load_tokenizer
from tests import warm_python

pytestmark = pytest.mark.slow

WORDS = 512


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    monkeypatch.setattr(full_size, "SHAPES", dict.fromkeys(full_size.SHAPES, "tiny"))
    monkeypatch.setattr(full_size, "WORDS", {"tiny": WORDS})
    path = tmp_path / "cards.json"
    organs = ("liver", "lung", "heart", "skin", "eye", "ear", "bone", "blood", "brain", "gut")
    cards = [
        {"input": f"What is {organ} disease {n}?", "output": f"A fever of the {organ}, kind {n}."}
        for organ in organs
        for n in range(20)
    ]
    path.write_text(json.dumps([{"instruction": "Answer."} | card for card in cards]))
    return Namespace(data=path, cards=16, new_tokens=4)


def test_a_project_has_the_settings_of_its_preset(options: Namespace, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    full_size.write_project("med-llama", folder, options)
    params = read_yaml(folder / "params.yaml")
    assert params["preset"] == "med-llama"
    assert params["train"]["neftune_noise_alpha"] == 5
    assert params["split"]["max_records"]["train"] == options.cards
    tokenizer = load_tokenizer(folder / BASE)
    assert len(tokenizer) <= WORDS
    said = [{"role": "user", "content": "What is asthma?"}]
    text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_preset_is_measured_from_its_cards_to_its_answers(
    options: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(warm_python.folder() / "python"))
    monkeypatch.setattr(full_size, "SAMPLE_S", 0.02)
    folder = tmp_path / "project"
    folder.mkdir()
    found = full_size.measure("medical-education", folder, options)
    assert found["steps"] == 2
    assert min(found["training, s"], found["answers, s"], found["GiB"]) > 0
