"""Calculates the memory that train and evaluate take, from config.json and params.yaml.

No weights are loaded and no model is built, so the result is instant and does not depend on the
device being in this machine. The tensors that autograd keeps of a layer are counted one by one. On
a CPU the allocator holds more than the live tensors: PROCESS, HEAP, CACHE and CHOICE_TOKENS were
fitted to the measured peaks in tests/medtune/preflight/test_memory.py. CUDA_CONTEXT and CUDA_HEAP
are allowances: on an H100 the sum was 5 % below what a step of a model of 1.1B took.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from medtune.config.schema import Params, Train
from medtune.generation.batch_limits import GPU_TOKENS_AT_ONCE, TOKENS_AT_ONCE
from medtune.modeling.batch_limits import (
    CPU_LOGITS_AT_ONCE,
    LOGITS_AT_ONCE,
    LOSS_BATCH,
    MOST_PACKED,
)
from medtune.runtime.errors import InputError
from medtune.training.batch_plan import auto_tokens

FIELDS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
)
NF4_BYTES, DOUBLE_QUANTIZED_BYTES = 0.5625, 0.508  # of a weight with its share of the scales
LOGIT_BYTES = 12  # logits, log-probabilities and their gradient, each in fp32
SCORED_LOGIT_BYTES = 8  # the same without a gradient
PROCESS = 450 * 2**20  # Python and its libraries on a CPU
HEAP = 1.7  # what the CPU's allocator holds for each byte of activations
CACHE = 1.1  # for each byte of the cache, which is reserved at the start; sliding windows take 1.6
CHOICE_TOKENS = 550  # of the options of eight questions, the longest of MMLU
CUDA_CONTEXT = 600 * 2**20
CUDA_HEAP = 1.1


@dataclass(frozen=True)
class Decoder:
    """The sizes of a dense decoder built like Llama: also Mistral, Qwen and Gemma."""

    hidden: int
    intermediate: int
    layers: int
    queries: int  # heads · dim of a head
    keys: int  # key/value heads · dim of a head
    vocabulary: int
    tied: bool  # the head is the embedding
    stored_bytes: int  # of a weight in the files

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads config.json; raises InputError for another kind of model."""
        whole = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config: dict[str, Any] = whole.get("text_config", whole)
        missing = [field for field in FIELDS if not isinstance(config.get(field), int)]
        if missing or any("experts" in key for key in config):
            raise InputError(
                f"memory is only known for dense models built like Llama, not for "
                f"{config.get('model_type', 'this one')}"
            )
        hidden, intermediate, layers, heads, vocabulary = (config[field] for field in FIELDS)
        head = config.get("head_dim") or hidden // heads
        dtype = config.get("dtype", config.get("torch_dtype", whole.get("torch_dtype")))
        return cls(
            hidden=hidden,
            intermediate=intermediate,
            layers=layers,
            queries=heads * head,
            keys=(config.get("num_key_value_heads") or heads) * head,
            vocabulary=vocabulary,
            tied=whole.get("tie_word_embeddings", config.get("tie_word_embeddings", True)),
            stored_bytes=2 if dtype in ("bfloat16", "float16") else 4,
        )

    @property
    def linear(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of a layer's linear modules."""
        attention = {"q_proj": (self.hidden, self.queries), "o_proj": (self.queries, self.hidden)}
        attention |= dict.fromkeys(("k_proj", "v_proj"), (self.hidden, self.keys))
        wide = dict.fromkeys(("gate_proj", "up_proj"), (self.hidden, self.intermediate))
        return attention | wide | {"down_proj": (self.intermediate, self.hidden)}

    @property
    def linear_weights(self) -> int:
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear.values())

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        norms = (2 * self.layers + 1) * self.hidden
        return self.linear_weights + norms + self.embedding * (1 if self.tied else 2)

    def targets(self, train: Train) -> dict[str, tuple[int, int]]:
        """The linear modules of a layer that get an adapter."""
        names = list(self.linear)
        if train.target_modules != "all-linear":
            names = [name.rpartition(".")[2] for name in train.target_modules]
        if unknown := set(names) - set(self.linear):
            raise InputError(
                f"train.target_modules names {', '.join(sorted(unknown))}, which the model does "
                f"not have: its linear layers are {', '.join(sorted(self.linear))}"
            )
        return {name: self.linear[name] for name in names}

    def trained(self, train: Train) -> int:
        """The number of trained parameters."""
        sizes = self.targets(train).values()
        magnitudes = sum(outputs for _, outputs in sizes) if train.use_dora else 0
        return self.layers * (train.r * sum(map(sum, sizes)) + magnitudes)


@dataclass(frozen=True)
class Batches:
    """The largest batches of a run, in tokens."""

    train: int  # a training batch, all rows together
    supervised: int  # its tokens that the loss covers
    longest: int  # its longest row
    scored: int  # the batch whose likelihood evaluate computes
    scored_answers: int  # its answers alone
    answered: int  # rows that are answered together
    cached: int  # prompt and new tokens of such a row


def merged(batches: Batches, decoder: Decoder, train: Train) -> Batches:
    """Returns the largest batches of one process on a GPU, where a pass may take a whole step."""
    if train.neftune_noise_alpha is not None and train.tokens_per_pass == "auto":
        return batches
    step = batches.train * train.gradient_accumulation_steps
    if train.tokens_per_pass == "auto":
        sizes = (decoder.hidden, decoder.intermediate, decoder.layers, decoder.vocabulary)
        least = train.per_device_train_batch_size * batches.longest
        tokens = min(step, max(auto_tokens(train, *sizes), least))
    else:
        tokens = min(step, max(train.tokens_per_pass, batches.longest))
    supervised = round(batches.supervised * tokens / batches.train)
    return replace(batches, train=tokens, supervised=supervised)


def train_bytes(
    decoder: Decoder, train: Train, batches: Batches, gpu: bool, half: bool, shards: int = 1
) -> int:
    """Returns the peak of a training process in bytes, on its GPU or in main memory.

    `half` says that the model computes in bf16 or fp16; FSDP divides the weights into `shards`.
    """
    width = 2 if half else 4
    base = decoder.parameters * width / shards
    stored = decoder.parameters * decoder.stored_bytes
    if train.quantization != "none":
        packed = DOUBLE_QUANTIZED_BYTES if train.bnb_4bit_use_double_quant else NF4_BYTES
        rest = 4 * (decoder.parameters - decoder.linear_weights)  # peft converts them to fp32
        base = (packed * decoder.linear_weights + rest) / shards
    moments = 2 if train.optim == "paged_adamw_8bit" else 8
    best = 4 if train.load_best_model_at_end else 0
    adapter = decoder.trained(train) * (4 + 4 + moments + best)
    changed = train.use_dora or train.bias != "none" or train.lora_dropout > 0
    is_fused = gpu and shards == 1 and train.quantization == "none" and not changed
    a_layer = batches.train * _kept_bytes(decoder, train, batches.longest, half, is_fused)
    activations = decoder.layers * a_layer
    if train.gradient_checkpointing:
        activations = a_layer + decoder.layers * batches.train * decoder.hidden * width
    logits = LOGIT_BYTES * batches.supervised * decoder.vocabulary
    has_graphs = gpu and not train.gradient_checkpointing
    if shards == 1 and not has_graphs:
        logits = min(logits, LOGIT_BYTES * (LOGITS_AT_ONCE if gpu else CPU_LOGITS_AT_ONCE))
    if gpu:
        return round(CUDA_CONTEXT + base + adapter + CUDA_HEAP * (activations + logits))
    loading = base + stored if stored != base else base
    if not half and train.quantization == "none" and decoder.parameters <= MOST_PACKED:
        base += 2 * 4 * (decoder.linear_weights + decoder.embedding)  # packed for both directions
    return round(PROCESS + max(loading, base + adapter + HEAP * activations + logits))


def _kept_bytes(decoder: Decoder, train: Train, longest: int, half: bool, is_fused: bool) -> int:
    """Returns the bytes that autograd keeps for one token in one layer.

    Both norms keep their input. Attention keeps queries, its output and, repeated for each head,
    keys and values; the feed-forward layer keeps gate, activation and up. A module with an adapter
    keeps its input, which modules with the same input share. In half precision each keeps a copy
    instead, unless medtune.training.fused_layers applies and nothing is dropped. The norms compute
    in fp32. Attention's mask has an fp32 number for each key.
    """
    hidden, wide = decoder.hidden, decoder.intermediate
    inputs = {name: size for name, (size, _) in decoder.targets(train).items()}
    norms = 2 * hidden * 4
    width = 2 if half else 4
    read = sum(inputs.values()) * width
    if not half or is_fused:
        after_norms = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
        shared = sum(hidden for names in after_norms if inputs.keys() & set(names))
        read = width * (shared + inputs.get("o_proj", 0) + inputs.get("down_proj", 0))
    inside = width * (4 * decoder.queries + 3 * wide + train.r * len(inputs))
    dropped = (1 if half else 5) * sum(inputs.values()) if train.lora_dropout else 0
    return norms + read + inside + dropped + 4 * longest


def evaluate_bytes(
    decoder: Decoder, params: Params, batches: Batches, gpu: bool, half: bool
) -> int:
    """Returns the peak of an evaluate process in bytes; arguments as for `train_bytes`."""
    width = 2 if half else 4
    weights = decoder.parameters * width + 4 * decoder.trained(params.train)
    if not gpu and not half:  # medtune.modeling.onednn packs a copy
        weights += 4 * (decoder.linear_weights + decoder.embedding)
    logits = SCORED_LOGIT_BYTES * decoder.vocabulary
    pass_bytes = width * (2 * decoder.hidden + 2 * decoder.intermediate)  # of a token
    choices = CHOICE_TOKENS * logits if params.evaluate.choice_questions != 0 else 0
    cache = 2 * decoder.keys * decoder.layers * width * batches.answered * batches.cached
    at_once = GPU_TOKENS_AT_ONCE if gpu else TOKENS_AT_ONCE
    prompts = min(max(at_once, batches.cached), batches.answered * batches.cached)
    references = min(
        prompts * batches.scored_answers / batches.scored, LOGITS_AT_ONCE / decoder.vocabulary
    )
    references = max(references, batches.scored_answers / LOSS_BATCH)  # at least one row
    reading = references * logits + prompts * pass_bytes
    answering = CACHE * cache + max(reading, batches.answered * logits)
    if params.evaluate.engine != "medtune":  # references are scored in a separate pass
        scored = min(batches.scored_answers, LOGITS_AT_ONCE / decoder.vocabulary)
        answering = max(answering, scored * logits + batches.scored * pass_bytes)
    largest = max(choices, answering)
    if gpu:
        return round(CUDA_CONTEXT + weights + CUDA_HEAP * largest)
    return round(PROCESS + weights + largest)
