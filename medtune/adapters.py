"""The LoRA adapter: put on a base model, saved with its tokenizer, loaded again."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medtune.errors import InputError
from medtune.models import BASE, require
from medtune.params import Train
from medtune.prompts import PromptEncoder

ADAPTER = Path("models/adapter")
FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "chat_template.jinja",
    "prompt.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


def add_adapter(model: Any, params: Train, seed: int) -> Any:
    """The model with a fresh LoRA adapter (Hu et al. 2021, arXiv 2106.09685), ready to train."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if params.quantization != "none":
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=params.gradient_checkpointing
        )
    elif params.gradient_checkpointing:
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    if params.neftune_noise_alpha is not None:
        _add_neftune(model, params.neftune_noise_alpha)
    torch.manual_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=params.r,
        lora_alpha=params.lora_alpha,
        lora_dropout=params.lora_dropout,
        bias=params.bias,
        target_modules=params.target_modules,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        if "arget modules" not in str(error):
            raise
        linear = sorted(
            {
                name.split(".")[-1]
                for name, module in model.named_modules()
                if isinstance(module, torch.nn.Linear)
            }
        )
        raise InputError(
            f"train.target_modules {params.target_modules} are not in the model: its linear layers "
            f"are {', '.join(linear)}"
        ) from None


def save_adapter(model: Any, encoder: PromptEncoder, folder: Path = ADAPTER) -> None:
    """Writes FILES: the adapter, and its tokenizer with the template it was trained on."""
    encoder.tokenizer.chat_template = encoder.template
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".adapter.", dir=folder.parent) as name:
        temporary = Path(name)
        model.save_pretrained(temporary)
        encoder.tokenizer.save_pretrained(temporary)
        encoder.format.save(temporary / "prompt.json")
        _make_portable(temporary / "adapter_config.json")
        for name in FILES:
            (temporary / name).replace(folder / name)


def load_adapter(model: Any, folder: Path = ADAPTER) -> Any:
    """The base model with the adapter merged into its weights, in evaluation mode."""
    from peft import PeftModel

    require(folder / "adapter_model.safetensors", "train")
    return PeftModel.from_pretrained(model, folder).merge_and_unload().eval()


def _make_portable(path: Path) -> None:
    """Sorts what peft holds in sets and names the base model by its place in the project."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = str(BASE)
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _add_neftune(model: Any, alpha: float) -> None:
    """Adds uniform noise of size alpha / sqrt(seq · dim) to embeddings (arXiv 2310.05914)."""
    import torch

    def add_noise(module: Any, _: Any, output: Any) -> Any:
        if not module.training:
            return output
        magnitude = alpha / (output.size(1) * output.size(2)) ** 0.5
        return output + torch.empty_like(output).uniform_(-magnitude, magnitude)

    model.get_input_embeddings().register_forward_hook(add_noise)
