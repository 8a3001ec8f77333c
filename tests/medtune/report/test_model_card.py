import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from medtune.config.loading import load_params
from medtune.modeling.adapters import add_adapter, save_adapter
from medtune.modeling.loading import load_base, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.report.facts import Facts
from medtune.report.model_card import render_model_card
from tests.medtune.report.test_score_rows import choices

pytestmark = pytest.mark.slow


def test_front_matter_is_what_the_hub_reads(facts: Facts) -> None:
    data = ModelCard(render_model_card(facts)).data
    assert data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (data.library_name, data.pipeline_tag) == ("peft", "text-generation")
    assert (data.license, data.language) == ("apache-2.0", "en")
    rouge = next(result for result in data.eval_results if result.metric_name == "ROUGE-L")
    assert (rouge.metric_type, rouge.metric_value) == ("rouge", 0.3)
    assert rouge.dataset_name.endswith("(test split, n = 9)")


def test_card_of_a_local_base_model_names_neither_hub_model_nor_licence(facts: Facts) -> None:
    local = {"model": "file://models/mine", "dataset": "file://cards.csv"}
    card = render_model_card(replace(facts, params=facts.params | {"download": local}))
    data = ModelCard(card).data
    assert (data.base_model, data.license) == (None, None)
    assert "| base model | file://models/mine | see the source | see the source |" in card


def test_card_tables_keep_their_columns_whatever_the_data_holds(facts: Facts) -> None:
    card = render_model_card(facts)
    assert "| &lt;b>a\\|b&lt;/b> | 9 |" in card
    assert "| modules with an adapter | q_proj, v_proj |" in card
    assert "| lr | 0.001 |" in card and "| answer | 0.250 | 0.250 |" in card


def test_card_says_what_was_forgotten_or_that_it_was_not_measured(facts: Facts) -> None:
    assert "did not measure what the model forgot" in render_model_card(facts)
    facts.metrics["compare_scores"] |= choices("general", -0.15, -0.05)
    card = render_model_card(facts)
    assert "| general questions | 0.500 | 0.400 | -0.100 | -0.150 to -0.050 |" in card
    assert "did not measure" not in card


@pytest.mark.parametrize("style", ["chat", "question_answer"])
@pytest.mark.parametrize("system", [None, "Say \"hi\"\nand 'bye'."])
def test_code_of_the_card_loads_the_adapter_and_asks_as_in_training(
    facts: Facts,
    base_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    style: str,
    system: str | None,
) -> None:
    params = load_params("train")
    shutil.copytree(base_folder, tmp_path / "models/base")
    monkeypatch.chdir(tmp_path)
    encoder = PromptEncoder(load_tokenizer(), PromptFormat(style, system))
    save_adapter(add_adapter(load_base(), params, seed=0), encoder)
    prompt = {"prompt_style": style, "system_prompt": system, "disclaimer": None}
    card = render_model_card(replace(facts, prompt=prompt))
    (code,) = re.findall("```python\n(.*?)```", card, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    ids = names["inputs"]["input_ids"][0].tolist()
    assert ids == encoder.question_ids("What is gout?")
    assert type(names["model"]).__name__ == "PeftModelForCausalLM"
