"""Writes the base model with the adapter in it, as a folder that transformers and vLLM load.

Its tokenizer renders the prompts of the training; its card names the base model and its licence.

    medtune export merged
    medtune export merged --experiment NAME FOLDER
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medtune.config.schema import Evaluate, Params, Train
from medtune.export import folders
from medtune.export.folders import check_folder
from medtune.export.merged_model_card import MARK, model_card
from medtune.export.provenance import WEIGHTS, adapter_md5
from medtune.export.run_files import TEST_CARDS, read_run_params
from medtune.modeling.adapters import ADAPTER, beside_base
from medtune.modeling.chat_templates import FIXED_DATE
from medtune.modeling.loading import BASE, load_base, load_tokenizer, require
from medtune.modeling.portable_template import differing_prompts, portable_template
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import read_tokens
from medtune.runtime.atomic_files import replacing
from medtune.runtime.errors import InputError

logger = logging.getLogger("medtune")

CARD = "README.md"
COMPARED_CARDS = 8
TOLERANCE = 1e-2  # of a logit, if the base model was not quantised


@dataclass(frozen=True)
class Merged:
    """A model in fp32 with its adapter merged; `template` goes with its tokenizer."""

    model: Any
    encoder: PromptEncoder
    template: str
    params: Params
    adapter_md5: str

    @property
    def end_ids(self) -> list[int]:
        """The tokens that end an answer: the template's end of turn and the base model's own."""
        eos = self.model.generation_config.eos_token_id  # an id, a list of ids, or None
        ends = {self.encoder.end_id, *(eos if isinstance(eos, list) else [eos])}
        return sorted(ends - {None})


def export_merged(root: Path, folder: Path) -> None:
    """Replaces the folder; raises InputError if it has anything else in it."""
    check_folder(folder, CARD, MARK, folders.MERGED, "merged")
    merged = merge(root)
    model, tokenizer = merged.model, merged.encoder.tokenizer
    model.generation_config = generation_config(merged)
    model.config._name_or_path = ""
    tokenizer.chat_template = merged.template
    with replacing(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        card = model_card(merged.params, merged.encoder, merged.adapter_md5)
        (temporary / CARD).write_text(card, encoding="utf-8")
        for path in temporary.iterdir():
            path.chmod(0o644)  # safetensors lets nobody else read what it writes


def merge(root: Path) -> Merged:
    """Merges the adapter of a run into its base model, in fp32, and says what that changed."""
    adapter = root / ADAPTER
    require(adapter / WEIGHTS, "train")
    params = read_run_params(root)
    prompt_format = PromptFormat.load(adapter / "prompt.json", "train")
    encoder = PromptEncoder(load_tokenizer(adapter), prompt_format)
    model = merge_and_compare(root, params.train, test_cards(root))
    template = _with_own_date(portable_template(encoder))
    if differing := differing_prompts(encoder, template):
        logger.warning(
            f"the chat template alone gives other tokens than the training for {differing[0]!r}: "
            "other programs may answer differently"
        )
    return Merged(model, encoder, template, params, adapter_md5(adapter))


def _with_own_date(template: str) -> str:
    """Keeps the date of the training where a program gives today's: llama.cpp sets the variable."""
    if "date_string" not in template:
        return template
    return f"{{%- set date_string = {json.dumps(FIXED_DATE)} %}}{template}"


def merge_and_compare(root: Path, train: Train, cards: list[list[int]]) -> Any:
    """Returns the merged model, after comparing its logits with those of the trained model.

    The trained model has its adapter beside its base weights, which are quantised if it was
    trained with them so. Merging into the unquantised weights then changes the logits.
    """
    quantized = train.quantization != "none"
    adapted = adapted_base(root, train if quantized else None)
    before = logits(adapted, cards)
    model = (adapted_base(root) if quantized else adapted).merge_and_unload()
    if not cards:
        logger.info(f"the logits were not compared: run dvc repro tokenize to get {TEST_CARDS}")
        return model
    after = logits(model, cards)
    largest = (after - before).abs().max().item()
    same = (after.argmax(-1) == before.argmax(-1)).double().mean().item()
    if not quantized and largest > TOLERANCE:
        raise InputError(
            f"the adapter cannot be merged: it changes a logit by {largest:.3g}; keep it beside "
            "the base model, as docs/chat.md shows"
        )
    what = f"trained model, whose base weights are {train.quantization}" if quantized else "adapter"
    logger.info(
        f"{len(cards)} test cards, {len(before)} tokens: the logits differ from those of the "
        f"{what} by at most {largest:.2g}; the likeliest token is the same for {same:.1%}"
    )
    return model


def adapted_base(root: Path, quantized: Train | None = None) -> Any:
    """Returns the base model with the adapter beside its weights: fp32, or as it was trained."""
    if quantized is None:
        model = load_base("fp32", folder=root / BASE)
    else:
        model = load_base(
            quantized.precision,
            quantized.quantization,
            root / BASE,
            quantized.bnb_4bit_use_double_quant,
        )
    return beside_base(model, root / ADAPTER)


def test_cards(root: Path) -> list[list[int]]:
    """Returns the ids of some test cards, prompt and answer; none if there is no token file."""
    if not (root / TEST_CARDS).exists():
        return []
    return read_tokens(root / TEST_CARDS)["input_ids"][:COMPARED_CARDS].to_pylist()


def logits(model: Any, cards: list[list[int]]) -> Any:
    """Returns the logits of all tokens of the cards, (tokens, vocabulary), in fp32 on the CPU."""
    import torch

    with torch.inference_mode():
        rows = [
            model(torch.tensor([ids], device=model.device)).logits[0].float().cpu() for ids in cards
        ]
    return torch.cat(rows) if rows else torch.empty(0, 0)


def generation_config(merged: Merged) -> Any:
    """Returns how transformers and vLLM decode by default: as the section `evaluate` says."""
    from transformers import GenerationConfig

    evaluate: Evaluate = merged.params.evaluate
    # transformers would choose among the 50 likeliest tokens; 0 leaves out none.
    sampling = {"temperature": evaluate.temperature, "top_p": evaluate.top_p, "top_k": 0}
    tokenizer = merged.encoder.tokenizer
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=merged.end_ids,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=evaluate.max_new_tokens,
        repetition_penalty=evaluate.repetition_penalty,
        do_sample=evaluate.temperature > 0,
        **(sampling if evaluate.temperature > 0 else {}),
    )
