"""Tiny random models of each architecture that transformers has for causal language.

python -m tests.architectures                 # prints the table of docs/architectures.md
python -m tests.architectures qwen3 gemma2    # of these only
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, RepetitionPenaltyLogitsProcessor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.generation.cache_choice import NoCache, make_cache
from medtune.generation.generate import generate
from medtune.generation.kv_cache import SharedPrefixCache
from medtune.generation.padded_cache import PaddedCache
from medtune.modeling.collation import padded
from medtune.modeling.forward import row_logits
from medtune.modeling.logit_checks import enable_prefix_sharing
from medtune.modeling.token_losses import supervised_losses
from medtune.runtime.errors import InputError
from tests.tiny_models import by_transformers

KINDS = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
# fmt: off
NAMES = {  # how large a size is here, and what configurations call it
    128: "vocab_size vocab_size_per_layer_input word_embed_proj_dim decoder_vocab_size "
         "unpadded_vocab_size ngram_vocab_size_base",
    96: "intermediate_size ffn_dim d_ff n_inner ffn_hidden_size decoder_ffn_dim "
        "encoder_ffn_dim dim_ff dff feed_forward_size intermediate_size_mlp "
        "dense_intermediate_size shared_intermediate_size",
    64: "hidden_size d_model n_embd dim_model emb_dim embedding_size attention_hidden_size "
        "lru_width word_embed_proj_dim input_embedding_size output_embedding_size "
        "embedding_dim adapter_in_dim adapter_input_size adapter_out_dim",
    32: "moe_intermediate_size shared_expert_intermediate_size expert_ffn_hidden_size "
        "shared_experts_intermediate_size moe_shared_expert_intermediate_size image_size",
    16: "head_dim v_head_dim kv_lora_rank q_lora_rank swa_head_dim mamba_d_state state_size "
        "ssm_state_size linear_key_head_dim linear_value_head_dim hidden_size_per_layer_input "
        "mamba_d_head mamba_head_dim mamba_headdim dim_head kv_channels attention_head_size "
        "qk_nope_head_dim index_head_dim chunk_size mamba_chunk_size linear_head_dim "
        "patch_size ple_embed_dim lightning_head_dim",
    8: "mamba_n_heads mamba_num_heads n_mamba_heads qk_rope_head_dim rotary_dim laurel_rank "
       "time_step_rank mamba_dt_rank d_rel "
       "hc_lowrank gated_norm_rank o_lora_rank adapter_rank router_hidden_size index_topk",
    4: "num_attention_heads n_head n_heads num_heads decoder_attention_heads num_experts "
       "encoder_attention_heads n_routed_experts num_local_experts moe_num_experts "
       "num_hidden_layers n_layer n_layers num_layers num_blocks decoder_layers "
       "encoder_layers num_encoder_layers num_decoder_layers "
       "num_decoder_attention_heads num_encoder_attention_heads "
       "swa_num_attention_heads linear_num_value_heads index_n_heads linear_num_heads "
       "n_experts",
    2: "num_key_value_heads num_kv_heads num_experts_per_tok num_experts_per_token "
       "swa_num_key_value_heads linear_num_key_heads "
       "moe_topk moe_k depth moe_num_experts_per_tok",
    1: "n_group topk_group num_expert_group",
}
# fmt: on
SIZES = {name: size for size, names in NAMES.items() for name in names.split()}
FIXED = {
    "initializer_range": 0.2,
    "init_std": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "is_decoder": True,
    "use_cache": True,
}
CACHES = {SharedPrefixCache: "shared prefix", PaddedCache: "padded", NoCache: "none"}
PREFIX = [40, 41, 42, 43]
ROWS = [[*PREFIX, 20, 21, 22], [*PREFIX, 30, 31, 32, 33, 34, 35], [*PREFIX, 20, 50, 51, 52]]
STARTS = [6, 5, 5]
PROMPTS = [[*PREFIX, 60, 61, 62, 63, 64], [*PREFIX, 70], [*PREFIX, 80, 81, 82], [*PREFIX, 60, 91]]
PARAMS: Evaluate = load_params("evaluate").model_copy(
    # The penalty keeps a random model from repeating one token for ever.
    update={"max_new_tokens": 8, "repetition_penalty": 9.0, "frequency_penalty": 0.0}
)
ROTARY = {"rope_type": "default", "rope_theta": 1e4}
SMALL_HEADS = {"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 16}
BLT = {
    "hidden_size": 64,
    "hidden_size_global": 64,
    "intermediate_size": 96,
    "vocab_size": 128,
    "num_hidden_layers": 2,
} | SMALL_HEADS
# Sparse attention: of keys that tie for the last place, any may be chosen, so there must be none.
INDEXED = {"index_n_heads": 32, "pad_token_id": None}
SPECIAL: dict[str, dict[str, Any]] = {  # what an architecture needs beyond this
    "bailing_hybrid": {"layer_group_size": 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "blt": {
        "encoder_hash_byte_group_vocab": 64,
        "encoder_config": BLT,
        "decoder_config": BLT,
        "global_config": BLT,
        "patcher_config": BLT,
    },
    "cohere_compass_text": {"rope_parameters": {"full_attention": ROTARY}},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8},
        "ffn_config": {"moe_num_experts": 4},
    },
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note_text": {
        **INDEXED,
        "head_dim": 24,
        "layer_types": ["indexed_attention", "sliding_attention"] * 2,
        "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
        "per_layer_config": {},
    },
    "falcon_h1": {"mamba_d_ssm": 128},
    "gemma3n_text": {"num_kv_shared_layers": 1},
    "glm_moe_dsa": INDEXED,
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "longcat_flash": {"head_dim": 8},
    "mamba2": {"num_heads": 8},
    "ministral": {"head_dim": 16},
    "nemotron": {"num_key_value_heads": 2},
    "qwen4_exp_text": {
        "layer_types": ["linear_attention", "full_attention"] * 2,
        "indexer_n_heads": 4,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 8,
        "indexer_compress_ratio": 2,
    },
    "reformer": {
        "axial_pos_embds": False,
        "attn_layers": ["local"] * 4,
        "attention_head_size": 16,
        "hidden_dropout_prob": 0.0,
        "local_attention_probs_dropout_prob": 0.0,
    },
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "zamba": {
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "attention_hidden_size": 128,
        "attention_head_dim": 32,
    },
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "hybrid_layer_ids": [1, 3],
        "attention_hidden_size": 128,
        "attention_head_dim": 32,
    },
    "zaya": {"num_experts_per_tok": 1, "layer_types": ["hybrid"] * 4},
}


def shrunk(kind: str) -> dict[str, Any]:
    """Returns the options that make the configuration of an architecture small."""
    options = _shrunk(CONFIG_MAPPING[kind]().to_dict()) | SPECIAL.get(kind, {})
    if "text_config" in options and f"{kind}_text" in SPECIAL:
        options["text_config"] = shrunk(f"{kind}_text")
    return options


def _shrunk(default: dict[str, Any]) -> dict[str, Any]:
    options = {
        n: value
        for n, value in (SIZES | FIXED).items()
        if default.get(n) is not None or (n in FIXED and n in default)
    }
    nested = {
        name: _shrunk(part)
        for name, part in default.items()
        if name.endswith("_config") and isinstance(part, dict)
    }
    if "qk_rope_head_dim" in options:  # multi-head latent attention: several widths, no groups
        options.pop("head_dim", None)
        options["num_key_value_heads"] = options["num_attention_heads"]
    return options | nested


def tiny_model(kind: str) -> Any:
    torch.manual_seed(0)
    config = CONFIG_MAPPING[kind](**shrunk(kind))
    return AutoModelForCausalLM.from_config(config).eval()


@dataclass(frozen=True)
class Outcome:
    """What became of an architecture: how it runs, or why it is refused or not tried."""

    status: str  # equal · refused · not tried · WRONG
    batches: str = ""  # packed · padded
    cache: str = ""
    reason: str = ""


def outcome(kind: str) -> Outcome:
    """Compares losses, gradients and answers with those of the model's own forward and generate."""
    try:
        model = tiny_model(kind)
    except Exception as error:
        return Outcome("not tried", reason=first_line(error))
    try:
        packs = enable_prefix_sharing(model)
    except InputError as error:
        return Outcome("refused", reason=first_line(error))
    found = Outcome("equal", "packed" if packs else "padded")
    problem = wrong_losses(model) or wrong_answers(model)
    found = replace(found, cache=CACHES[make_cache(model, [[5, 6]], 1).__class__])
    if problem:
        return replace(found, status="WRONG", reason=problem)
    return replace(found, reason=differs_from_generate(model))


def wrong_losses(model: Any) -> str:
    """Says what is wrong with losses and gradients of a batch; empty if nothing is."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    gradients = []
    model.train(model.config.model_type == "reformer")  # it has no gradients in evaluation mode
    losses, _ = supervised_losses(model, padded(ROWS, STARTS, pad_id=0))
    losses.sum().backward()
    gradients.append(taken_gradients(weights))
    expected = []
    for ids, start in zip(ROWS, STARTS, strict=True):
        logits = row_logits(model, ids)
        own = cross_entropy(logits[start - 1 : -1], torch.tensor(ids[start:]), reduction="none")
        own.sum().backward()
        expected.append(own.detach())
    gradients.append(taken_gradients(weights))
    model.eval()
    difference = float((losses.detach() - torch.cat(expected)).abs().max())
    if difference > 1e-3 * float(torch.cat(expected).abs().max()):
        return f"losses differ by {difference:.2g}"
    difference = float((gradients[0] - gradients[1]).norm() / gradients[1].norm())
    return f"gradients differ by {difference:.2g}" if not difference < 1e-2 else ""


def taken_gradients(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    found = [w.new_zeros(w.numel()) if w.grad is None else w.grad.flatten() for w in weights]
    for weight in weights:
        weight.grad = None
    return torch.cat(found)


def wrong_answers(model: Any) -> str:
    """Says what is wrong with greedy answers, of which some end early; empty if nothing is."""
    free = generate(model, PROMPTS, PARAMS, {-1})
    ends = {free[0][2], free[2][4]}
    for prompt, found in zip(PROMPTS, generate(model, PROMPTS, PARAMS, ends), strict=True):
        expected = step_by_step(model, prompt, ends)
        if found != expected:
            return f"an answer is {found}, but must be {expected}"
    return ""


@torch.no_grad()
def step_by_step(model: Any, prompt: list[int], ends: set[int]) -> list[int]:
    """The greedy answer by the model's own forward pass over all of a row, at each step."""
    ids = list(prompt)
    penalty = RepetitionPenaltyLogitsProcessor(PARAMS.repetition_penalty)
    while len(ids) < len(prompt) + PARAMS.max_new_tokens and (ids == prompt or ids[-1] not in ends):
        logits = penalty(torch.tensor([ids]), row_logits(model, ids)[-1:])
        ids.append(int(logits.argmax()))
    return ids[len(prompt) :]


def differs_from_generate(model: Any) -> str:
    """Says whether transformers itself answers in another way than its forward pass."""
    try:
        answers = [by_transformers(model, prompt, PARAMS, {-1}) for prompt in PROMPTS]
    except Exception as error:
        return f"transformers cannot answer with so small a model ({first_line(error)})"
    if answers != [step_by_step(model, prompt, {-1}) for prompt in PROMPTS]:
        return "`generate` of transformers differs from its own forward pass"
    return ""


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[-1].strip()[:200]}"


def table(outcomes: dict[str, Outcome]) -> str:
    """Returns a Markdown table of what became of each architecture."""
    lines = ["| architecture | result | batches | cache | reason |", "|---|---|---|---|---|"]
    for kind, found in outcomes.items():
        cells = (f"`{kind}`", found.status, found.batches, found.cache, found.reason)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table({kind: outcome(kind) for kind in sys.argv[1:] or KINDS}), end="")
