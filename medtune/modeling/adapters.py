"""Adds a LoRA adapter to a base model, saves it with its tokenizer, and loads it again."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medtune.config.schema import Train
from medtune.modeling.loading import BASE, load_tokenizer, require
from medtune.modeling.portable_template import differing_prompts, portable_template
from medtune.modeling.prompts import PromptEncoder
from medtune.runtime.atomic_files import scratch
from medtune.runtime.errors import InputError
from medtune.runtime.imports import without
from medtune.runtime.progress import is_main_process

logger = logging.getLogger("medtune")

ADAPTER = Path("models/adapter")
FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "chat_template.jinja",
    "prompt.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


@contextmanager
def fewer_imports(model: Any) -> Iterator[None]:
    """Lets peft load bitsandbytes, which takes seconds, only if the base model is quantized."""
    if getattr(model, "is_quantized", False):
        yield
        return
    with without("bitsandbytes"):
        from peft.import_utils import is_bnb_4bit_available, is_bnb_available

        try:
            yield
        finally:  # the next model of this process may be quantized
            is_bnb_available.cache_clear()
            is_bnb_4bit_available.cache_clear()


def add_adapter(model: Any, params: Train, seed: int) -> Any:
    """Returns the model with a new LoRA adapter (Hu et al. 2021, arXiv 2106.09685) to train."""
    import torch

    with fewer_imports(model):
        from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if params.quantization != "none":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if params.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if params.neftune_noise_alpha is not None:
        from medtune.modeling.neftune import add_neftune

        add_neftune(model.get_input_embeddings(), params.neftune_noise_alpha)
    torch.manual_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=params.r,
        lora_alpha=params.lora_alpha,
        lora_dropout=params.lora_dropout,
        bias=params.bias,
        target_modules=params.target_modules,
        use_rslora=params.use_rslora,
        use_dora=params.use_dora,
        init_lora_weights=params.init_lora_weights,  # type: ignore[arg-type]
    )
    if params.target_modules != "all-linear":
        _check_targets(model, params.target_modules)
    try:
        with fewer_imports(model):
            model = get_peft_model(model, config)
    except ValueError as error:  # peft knows layers that some architectures do not call
        raise InputError(
            f"train.target_modules is {params.target_modules}, which does not fit a model of type "
            f"{model.config.model_type} ({error}): choose from {', '.join(_linear_layers(model))}"
        ) from None
    for weight in model.parameters():
        if weight.requires_grad:  # the optimiser's small steps would be lost in half precision
            weight.data = weight.data.float()
    return model


@contextmanager
def first_weights(model: Any) -> Iterator[Path | None]:
    """Yields the folder of the untrained adapter if `save_adapter` needs it, else None.

    PiSSA takes its initial weights from those of the base model. What was learned is saved as the
    difference from them: a LoRA adapter of twice the rank, which fits the unchanged base model.
    """
    config = model.peft_config["default"]
    way = config.init_lora_weights
    if not str(way).startswith("pissa"):
        yield None
        return
    with TemporaryDirectory() as folder:
        first = Path(folder) / "first"
        config.init_lora_weights = True  # otherwise peft would take them out again on loading
        model.save_pretrained(first)
        config.init_lora_weights = way
        yield first


def save_adapter(
    model: Any, encoder: PromptEncoder, folder: Path = ADAPTER, first: Path | None = None
) -> None:
    """Writes FILES: the adapter, and its tokenizer with the template it was trained on.

    If FSDP has sharded the adapter, all processes must call this; the main one writes.
    """
    from medtune.modeling.distributed import whole

    weights = {name: whole(p) for name, p in model.named_parameters() if p.requires_grad}
    if not is_main_process():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with scratch(folder) as temporary:
        if first:
            model.save_pretrained(temporary, path_initial_model_for_weight_conversion=str(first))
        else:
            model.save_pretrained(temporary, state_dict=weights)
        save_tokenizer(encoder, temporary)
        _make_portable(temporary / "adapter_config.json")
        for name in FILES:
            (temporary / name).replace(folder / name)


def save_tokenizer(encoder: PromptEncoder, folder: Path) -> None:
    """Writes the prompt format, and the tokenizer with a template that makes the trained prompts.

    The template leaves the system prompt to the conversation.
    """
    template = portable_template(encoder, with_system_prompt=False)
    if differing := differing_prompts(encoder, template, with_system_prompt=False):
        logger.warning(
            f"the chat template beside the adapter gives other tokens than the training for "
            f"{differing[0]!r}: other programs may answer differently"
        )
    encoder.tokenizer.chat_template = template
    encoder.tokenizer.save_pretrained(folder)
    _keep_backend(encoder.tokenizer, folder)
    encoder.format.save(folder / "prompt.json")


def _keep_backend(tokenizer: Any, folder: Path) -> None:
    """Makes the saved tokenizer load as tokenizer.json says if its own class would change it.

    transformers 5 builds some tokenizers anew from their settings, and does not save all of these:
    LlamaTokenizer loses `legacy`, without which text after `<s>` gets other ids.
    """
    if type(tokenizer).__name__ == "TokenizersBackend":  # it is what tokenizer.json says
        return
    if load_tokenizer(folder).backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str():
        return
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_adapter(model: Any, folder: Path = ADAPTER) -> Any:
    """Returns the base model with the adapter, in evaluation mode.

    In fp32 the adapter is merged into the weights, which is faster; in half precision merging
    would round away part of what was learned.
    """
    import torch

    require(folder / "adapter_model.safetensors", "train")
    adapted = beside_base(model, folder)
    return adapted.merge_and_unload() if model.dtype == torch.float32 else adapted


def beside_base(model: Any, folder: Path = ADAPTER) -> Any:
    """Returns the model with the adapter beside its weights, not merged, in evaluation mode."""
    with fewer_imports(model):
        from peft import PeftModel

        return PeftModel.from_pretrained(model, folder).eval()


def _check_targets(model: Any, targets: list[str]) -> None:
    """Rejects a name that no module has; peft would silently train only the others."""
    names = [name for name, _ in model.named_modules()]
    missing = [t for t in targets if not any(f".{name}".endswith(f".{t}") for name in names)]
    if missing:
        raise InputError(
            f"train.target_modules names {', '.join(missing)}, which the model does not have: its "
            f"linear layers are {', '.join(_linear_layers(model))}"
        )


def _linear_layers(model: Any) -> list[str]:
    import torch

    named = model.named_modules()
    return sorted({n.split(".")[-1] for n, kind in named if isinstance(kind, torch.nn.Linear)})


def _make_portable(path: Path) -> None:
    """Sorts what peft keeps in sets, and names the base model by its path in the project."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = str(BASE)
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
