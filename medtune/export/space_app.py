"""A Gradio Space that asks the base and the fine-tuned model the same question.

`medtune export space` copies this file as app.py, with the modules that it imports. It reads
space.json and the models in the folders, or from the repositories, that are named there.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medtune.config.schema import Evaluate
from medtune.disclaimer import DISCLAIMER
from medtune.generation.answering import answer_all
from medtune.modeling.adapters import load_adapter
from medtune.modeling.loading import load_base, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat

SETTINGS = "space.json"
FILES = ["*.json", "*.safetensors", "*.jinja"]  # of a repository
LONGEST = 1000  # characters of a question
WAITING = 20  # questions
ABOUT = f"""# Medical question-answer cards

Ask a small language model the same question before and after fine-tuning.

**{DISCLAIMER}** The answers can be wrong. Do not act on them, and do not enter personal data.
"""


class Models:
    """The two models; the base is loaded twice, because adapters may change its biases."""

    def __init__(self, folder: Path) -> None:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        base, adapter = (local(settings[name], folder) for name in ("base", "adapter"))
        prompt_format = PromptFormat.load(adapter / "prompt.json")
        self.encoder = PromptEncoder(load_tokenizer(adapter), prompt_format)
        self.models = [load_base(folder=base), load_adapter(load_base(folder=base), adapter)]
        self.params, self.seed = Evaluate(**settings["evaluate"]), settings["seed"]

    def answers(self, question: str) -> list[str]:
        """Returns the answers of the base and of the fine-tuned model."""
        if not (question := question.strip()[:LONGEST]):
            return ["", ""]
        prompts = [self.encoder.question_ids(question)]
        answered = [
            answer_all(model, self.encoder, prompts, self.params, self.seed)
            for model in self.models
        ]
        return [answer.text for (answer,) in answered]


def local(place: Mapping[str, str], folder: Path) -> Path:
    """Returns the folder with a model, which is in the Space or is downloaded from a hub."""
    from huggingface_hub import snapshot_download

    if "folder" in place:
        return folder / place["folder"]
    downloaded = snapshot_download(
        place["repository"], revision=place.get("revision"), allow_patterns=FILES
    )
    return Path(downloaded)


def build_page(models: Models) -> Any:
    import gradio as gr

    with gr.Blocks(title="medtune", analytics_enabled=False) as page:
        gr.Markdown(ABOUT)
        question = gr.Textbox(
            label="Your question", placeholder="What is gout?", max_length=LONGEST
        )
        ask = gr.Button("Ask both models", variant="primary")
        with gr.Row():
            answers = [
                gr.Textbox(label=f"{name} model", lines=5) for name in ("Base", "Fine-tuned")
            ]
        gr.on([ask.click, question.submit], models.answers, question, answers, api_name="answers")
    return page.queue(max_size=WAITING)


if __name__ == "__main__":
    build_page(Models(Path(__file__).parent)).launch()
