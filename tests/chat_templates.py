"""The structure of published chat templates, rebuilt small, each with a fitting tokenizer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from tests.chat_tokenizers import byte_level, llama32, sentencepiece, smollm2, tinyllama

QUESTION = "What is gout?"
TURNS = [
    {"role": "user", "content": "How does Crohn's disease present? β"},
    {"role": "assistant", "content": "With pain."},
    {"role": "user", "content": QUESTION},
]
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}"
)
ANSWERS = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
OFF = "'<think>\n\n</think>\n\n' if enable_thinking is defined and not enable_thinking else "
# Only the last answer, and none of a later question's history, has a thought before it.
QWEN3 = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if loop.index0 > ns.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{{ GENERATION }}{% endif %}"
)
SMOLLM3 = (
    "{% if enable_thinking is not defined %}{% set enable_thinking = true %}{% endif %}"
    "{{ '<|im_start|>system\nToday Date: ' + strftime_now('%d %B %Y') + '\n' }}"
    "{{ 'Reasoning Mode: ' + ('/think' if enable_thinking else '/no_think') + '\n\n' }}"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}"
    "{% set messages = messages[1:] %}{% endif %}{{ '<|im_end|>\n' }}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and not enable_thinking %}{{ '<think>\n\n</think>\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{{ '' if enable_thinking else '<think>\n\n</think>\n' }}{% endif %}"
)
GLM = (
    "[gMASK]<sop>{% for m in messages %}{% if m.role == 'assistant' %}"
    "{{ '<|assistant|>\n<think></think>\n' + m.content }}{% else %}"
    "{{ '<|' + m.role + '|>\n' + m.content }}{% if m.role == 'user' %}"
    "{{ '/nothink' if enable_thinking is defined and not enable_thinking else '' }}{% endif %}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}"
    "{{ '\n<think></think>' if enable_thinking is defined and not enable_thinking else '' }}"
    "{% endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
    "{% elif m.role == 'user' %}{{ '<｜User｜>' + m.content }}{% else %}"
    "{{ '<｜Assistant｜>' + HISTORY + m.content + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' + GENERATION }}{% endif %}"
)
GPT_OSS = (
    "{{ '<|start|>system<|message|>Current date: ' + strftime_now('%Y-%m-%d') + '<|end|>' }}"
    "{% for m in messages %}{{ '<|start|>' + m.role }}"
    "{% if m.role == 'assistant' %}{{ '<|channel|>final' }}{% endif %}"
    "{{ '<|message|>' + m.content }}"
    "{{ '<|return|>' if m.role == 'assistant' and loop.last else '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
GRANITE = (
    "{{ '<|start_of_role|>system<|end_of_role|>Today is ' + strftime_now('%B %d, %Y') + '.' }}"
    "{% if thinking %}{{ ' Think first.' }}{% endif %}{{ '<|end_of_text|>\n' }}"
    "{% for m in messages %}{{ '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content }}"
    "{{ '<|end_of_text|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"
)
COMMAND_R = (
    "{{ bos_token }}{% for m in messages %}{{ '<|START_OF_TURN_TOKEN|>' }}"
    "{{ {'user': '<|USER_TOKEN|>', 'system': '<|SYSTEM_TOKEN|>'}[m.role] or '<|CHATBOT_TOKEN|>' }}"
    "{{ m.content + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% set first = '' %}{% if messages[0].role == 'system' %}"
    "{% set first = messages[0].content + '\n\n' %}{% set messages = messages[1:] %}{% endif %}"
    "{% for m in messages %}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else 'user') + '\n' }}"
    "{{ (first if loop.first else '') + m.content + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MAGISTRAL = (
    "{# [THINK] … [/THINK] #}{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}"
    "{{ '[SYSTEM_PROMPT]' + m.content + '[/SYSTEM_PROMPT]' }}{% elif m.role == 'user' %}"
    "{{ '[INST]' + m.content + '[/INST]' }}{% else %}{{ m.content + eos_token }}{% endif %}"
    "{% endfor %}"
)
LLAMA2 = (
    "{% set first = '' %}{% if messages[0].role == 'system' %}"
    "{% set first = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}"
    "{% set messages = messages[1:] %}{% endif %}"
    "{% for m in messages %}{% if m.role == 'user' %}"
    "{{ bos_token + '[INST] ' + (first if loop.first else '') + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL = (
    "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}"
    "{% set messages = messages[1:] %}{% endif %}{{ bos_token }}"
    "{% for m in messages %}{% if m.role == 'user' %}"
    "{{ '[INST] ' + (system + '\n\n' if system is defined and loop.last else '') }}"
    "{{ m.content + '[/INST]' }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
VICUNA = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content + ' ' }}"
    "{% elif m.role == 'user' %}{{ 'USER: ' + m.content + ' ' }}"
    "{% else %}{{ 'ASSISTANT: ' + m.content + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ GENERATION }}{% endif %}"
)
PHI3 = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """`ending` is what the trained prompt has after the question; `thinks` refuses it at first."""

    make: Callable[[Path], Any]
    ending: str
    thinks: bool = False


def of_bytes(
    template: str | dict[str, str], special: str, eos: str, bos: str | None = None, plain: str = ""
) -> Callable[[Path], Any]:
    chat: Any = template
    if isinstance(template, dict):
        chat = [{"name": name, "template": text} for name, text in template.items()]
    config = {"chat_template": chat, "eos_token": eos, "bos_token": bos}
    tokens = [*dict.fromkeys([*special.split(), eos, *([bos] if bos else [])])]
    return lambda folder: byte_level(folder, tokens, config, plain.split())


def of_pieces(template: str, special: str = "", **options: bool) -> Callable[[Path], Any]:
    tokens = [AddedToken(text, special=True, **options) for text in special.split()]
    return lambda folder: sentencepiece(folder, template, special=tokens)


def chatml(template: str | dict[str, str]) -> Callable[[Path], Any]:
    return of_bytes(template, "<|im_start|>", "<|im_end|>", plain="<think> </think>")


def deepseek(history: str, generation: str) -> Callable[[Path], Any]:
    template = DEEPSEEK.replace("HISTORY", history).replace("GENERATION", generation)
    special = "<｜User｜> <｜Assistant｜>"
    bos, eos = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
    return of_bytes(template, special, eos, bos, "<think> </think>")


def qwen3(generation: str) -> Callable[[Path], Any]:
    return chatml(QWEN3.replace("GENERATION", generation))


CLOSED = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
FAMILIES = {
    "smollm2": Family(smollm2, "<|im_end|>\n<|im_start|>assistant\n"),
    "llama-3.2": Family(llama32, "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
    "chatml-without-generation-prompt": Family(
        chatml(CHATML), "<|im_end|>\n<|im_start|>assistant\n"
    ),
    "hermes-3": Family(
        chatml({"tool_use": "{{ tools }}", "default": CHATML + ANSWERS}),
        "<|im_end|>\n<|im_start|>assistant\n",
    ),
    "qwen3": Family(qwen3(OFF + "''"), CLOSED),
    "qwen3.6": Family(qwen3(OFF + "'<think>\n'"), CLOSED),
    "qwen3-thinking": Family(qwen3("'<think>\n'"), CLOSED, thinks=True),
    "smollm3": Family(chatml(SMOLLM3), "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n"),
    "glm-4.5": Family(
        of_bytes(
            GLM,
            "[gMASK] <sop> <|user|> <|system|> <|assistant|>",
            "<|endoftext|>",
            plain="<think> </think> /nothink",
        ),
        "/nothink<|assistant|>\n<think></think>\n",
    ),
    "deepseek-r1-distill": Family(
        deepseek("''", "'<think>\n'"), "<｜Assistant｜><think>\n\n</think>\n\n", thinks=True
    ),
    "deepseek-v3.1": Family(
        deepseek("'</think>'", "('<think>' if thinking else '</think>')"), "<｜Assistant｜></think>"
    ),
    "gpt-oss": Family(
        of_bytes(GPT_OSS, "<|start|> <|channel|> <|message|> <|end|>", "<|return|>"),
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "granite-3": Family(
        of_bytes(GRANITE, "<|start_of_role|> <|end_of_role|>", "<|end_of_text|>"),
        "<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>",
    ),
    "command-r": Family(
        of_bytes(
            {"rag": "{{ documents }}", "default": COMMAND_R},
            "<|START_OF_TURN_TOKEN|> <|USER_TOKEN|> <|SYSTEM_TOKEN|> <|CHATBOT_TOKEN|>",
            "<|END_OF_TURN_TOKEN|>",
            "<BOS_TOKEN>",
        ),
        "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    ),
    "gemma-3": Family(
        of_bytes(GEMMA, "<start_of_turn>", "<end_of_turn>", "<bos>"),
        "<end_of_turn>\n<start_of_turn>model\n",
    ),
    "magistral": Family(
        of_bytes(
            MAGISTRAL,
            "[SYSTEM_PROMPT] [/SYSTEM_PROMPT] [INST] [/INST] [THINK] [/THINK]",
            "</s>",
            "<s>",
        ),
        "[/INST]",
    ),
    "tinyllama": Family(tinyllama, "</s>\n<|assistant|>\n"),
    "llama-2": Family(of_pieces(LLAMA2), " [/INST]"),
    "llama-2-legacy": Family(lambda to: sentencepiece(to, LLAMA2, legacy=True), " [/INST]"),
    "mistral-0.1": Family(of_pieces(MISTRAL), "[/INST]"),
    "mistral-0.3": Family(of_pieces(MISTRAL, "[INST] [/INST]"), "[/INST]"),
    "vicuna": Family(of_pieces(VICUNA.replace("GENERATION", "'ASSISTANT:'")), " ASSISTANT:"),
    "vicuna-with-a-last-blank": Family(
        of_pieces(VICUNA.replace("GENERATION", "'ASSISTANT: '")), " ASSISTANT:"
    ),
    "phi-3": Family(
        of_pieces(PHI3, "<|user|> <|system|> <|assistant|> <|end|>", rstrip=True),
        "<|end|><|assistant|>",
    ),
}
