"""Small tokenizers with the special tokens and the chat templates of published models.

Vocabularies are learned from a few lines; what they make of text that looks like a control token
is what the large ones do.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from medtune.modeling.loading import load_tokenizer

CORPUS = [
    "What is gout? A joint disease with pain, swelling and crystals of uric acid.",
    "How is Marfan syndrome inherited? Autosomal dominant inheritance. Question: Answer: system",
    "<|im_start|>user <|im_end|>assistant <|start_header_id|> <|reserved_special_token_1|>",
] * 4
SMOLLM2_TOKENS = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>"),
    *("<filename>", "<gh_stars>", "<issue_start>", "<issue_comment>", "<issue_closed>"),
    *("<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>"),
    *("<jupyter_script>", "<empty_output>"),
]
SMOLLM2_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TINYLLAMA_TOKENS = ["<unk>", "<s>", "</s>"]
TINYLLAMA_TEMPLATE = (
    "{% for message in messages %}\n"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token }}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n"
    "{% endfor %}"
)
LLAMA32_NAMED = {
    0: "<|begin_of_text|>",
    1: "<|end_of_text|>",
    4: "<|finetune_right_pad_id|>",
    6: "<|start_header_id|>",
    7: "<|end_header_id|>",
    8: "<|eom_id|>",
    9: "<|eot_id|>",
    10: "<|python_tag|>",
}
RESERVED = [n for n in range(256) if n not in LLAMA32_NAMED]
LLAMA32_TOKENS = [
    LLAMA32_NAMED.get(n) or f"<|reserved_special_token_{RESERVED.index(n)}|>" for n in range(256)
]
LLAMA32_TEMPLATE = (
    "{{- bos_token }}\n"
    "{%- if not date_string is defined %}\n"
    "    {%- set date_string = strftime_now('%d %b %Y') %}\n"
    "{%- endif %}\n"
    "{%- if messages[0]['role'] == 'system' %}\n"
    "    {%- set system_message = messages[0]['content']|trim %}\n"
    "    {%- set messages = messages[1:] %}\n"
    "{%- else %}\n    {%- set system_message = '' %}\n{%- endif %}\n"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}\n"
    "{{- 'Cutting Knowledge Date: December 2023\\nToday Date: ' + date_string + '\\n\\n' }}\n"
    "{{- system_message + '<|eot_id|>' }}\n"
    "{%- for message in messages %}\n"
    "    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}\n"
    "    {{- message['content'] | trim + '<|eot_id|>' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n"
    "{%- endif %}\n"
)
LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def smollm2(folder: Path) -> Any:
    """Bytes; the special tokens stand first in the vocabulary; no BOS is added."""
    config = {"unk_token": "<|endoftext|>", "chat_template": SMOLLM2_TEMPLATE}
    config |= {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    return byte_level(folder, SMOLLM2_TOKENS, config)


def byte_level(
    folder: Path, special: list[str], config: dict[str, Any], plain: Sequence[str] = ()
) -> Any:
    """Bytes, with special tokens and added ones that are `plain`."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(CORPUS, byte_trainer(special))
    backend.add_tokens([*plain])
    return saved(folder, backend, {"tokenizer_class": "TokenizersBackend"} | config)


def tinyllama(folder: Path, tokenizer_class: str = "LlamaTokenizer") -> Any:
    return sentencepiece(folder, TINYLLAMA_TEMPLATE, tokenizer_class)


def sentencepiece(
    folder: Path,
    template: str,
    tokenizer_class: str = "LlamaTokenizer",
    special: Sequence[AddedToken] = (),
    legacy: bool = False,
) -> Any:
    """A blank before each text, characters or else bytes, a BOS is added."""
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Metaspace()
    learned.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    model = json.loads(learned.to_str())["model"]
    pieces = [*TINYLLAMA_TOKENS, *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    cuts = [(piece[:cut], piece[cut:]) for piece in model["vocab"] for cut in range(1, len(piece))]
    merges = [pair for pair in cuts if set(pair) <= vocabulary.keys()]  # as the published ones
    backend = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    strip = decoders.Strip(" ", 1, 0)
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip]
    )
    backend.add_special_tokens([*TINYLLAMA_TOKENS, *special])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    config = {"tokenizer_class": tokenizer_class, "legacy": legacy, "unk_token": "<unk>"}
    config |= {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    return saved(folder, backend, config | {"chat_template": template})


def llama32(folder: Path) -> Any:
    """Bytes, whole words looked up first; 256 special tokens behind them, a BOS is added."""
    backend = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(LLAMA3_WORDS), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(CORPUS, byte_trainer([]))
    backend.add_special_tokens(LLAMA32_TOKENS)
    bos = LLAMA32_TOKENS[0]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
    )
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos}
    config |= {"eos_token": "<|eot_id|>", "clean_up_tokenization_spaces": True}
    return saved(folder, backend, config | {"chat_template": LLAMA32_TEMPLATE})


def byte_trainer(special_tokens: list[str]) -> Any:
    return trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def saved(folder: Path, backend: Any, config: dict[str, Any]) -> Any:
    """The tokenizer as medtune loads a published one: from its files."""
    folder.mkdir(parents=True)
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return load_tokenizer(folder)
