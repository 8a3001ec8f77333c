"""The model card of merged weights: where they come from, their licence, and how to ask them."""

from medtune.config.allowed_values import as_list
from medtune.config.schema import Params
from medtune.disclaimer import DISCLAIMER
from medtune.export.provenance import FIELD, NAME
from medtune.modeling.prompts import PromptEncoder
from medtune.report.licences import UNKNOWN_LICENCE, hub_name_of, package_of
from medtune.report.redaction import public_source

MARK = "Written by `medtune export merged`, which replaces this folder whenever it runs."
CARD = """---
{front_matter}
---

# Merged model

{base} with a LoRA adapter, trained on medical question-answer cards and merged into its weights
in fp32. {mark}

**{disclaimer}** The model makes mistakes, even where it
sounds certain.

## Licence

These weights are derived from {base}, so its licence holds for them too: {licence}. The cards come
from {cards}, whose licences hold for what the model repeats of them.

## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER")
model = AutoModelForCausalLM.from_pretrained("FOLDER")
messages = [{{"role": "user", "content": "What is gout?"}}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
answer = model.generate(**prompt)
print(tokenizer.decode(answer[0]))
```

The chat template adds the system prompt of the training ({system}), so that the prompt has the
tokens that the model was trained on. `generation_config.json` holds the decoding settings
that the scores were measured with.{penalty}
"""
PENALTY = """
The scores used a frequency penalty of {penalty}; set it in the server if it supports one."""


def model_card(params: Params, encoder: PromptEncoder, adapter_md5: str) -> str:
    """Returns README.md with the front matter of the Hugging Face hub."""
    from huggingface_hub import ModelCardData

    source = params.download.model
    package, hub_name = package_of(source), hub_name_of(source)
    datasets = [public_source(uri) for uri in as_list(params.download.dataset)]
    front_matter = ModelCardData(
        base_model=hub_name,
        language="en",
        library_name="transformers",
        license=package.spdx if package else None,
        pipeline_tag="text-generation",
        tags=["medical", "question-answering"],
    )
    front_matter[FIELD] = {NAME: adapter_md5}
    system = encoder.format.system_prompt
    penalty = params.evaluate.frequency_penalty
    return CARD.format(
        front_matter=front_matter.to_yaml(),
        base=hub_name or public_source(source),
        mark=MARK,
        disclaimer=DISCLAIMER,
        licence=package.licence if package else UNKNOWN_LICENCE,
        cards=" and ".join(f"`{uri}`" for uri in datasets),
        system=f"“{system}”" if system else "none",
        penalty=PENALTY.format(penalty=penalty) if penalty else "",
    )
