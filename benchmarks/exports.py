"""Compares the greedy answers of exported models in other engines with those of medtune.

Merges the trained adapter, writes GGUF files of each type to a temporary folder, and asks
transformers and llama.cpp's server the same test questions as medtune asks itself, by token ids
and without penalties. Prints how many answers are equal, how close the two tokens were at each
first difference, and the scores. Reads models/, data/tokens/ and data/split/.

    python -m benchmarks.exports
    python -m benchmarks.exports --questions 20 --types f16
    python -m benchmarks.exports --questions 150 --without-transformers
"""

import argparse
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

import pandas as pd
import pyarrow as pa
import torch

from benchmarks.generate import Answering, Ids, equal_tokens, load
from benchmarks.measured import OURS, machine, versions
from medtune.config.loading import load_params
from medtune.content.columns import with_content
from medtune.export.gguf import TYPES, unsupported, write_gguf, write_quantized
from medtune.export.merged import Merged, merge
from medtune.modeling.adapters import load_adapter
from medtune.modeling.loading import BASE, load_base, load_tokenizer
from medtune.modeling.token_files import TOKENS, read_tokens
from medtune.runtime.atomic_files import read_table
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging
from medtune.scoring.answer_counts import TextCounter
from medtune.scoring.predictions import SCHEMA, prediction_table
from medtune.scoring.scores import score_table

logger = logging.getLogger("medtune")

CONTEXT = 2048  # tokens of llama.cpp's cache
TRANSFORMERS = "transformers, merged"
Cards = list[dict[str, Any]]


@contextmanager
def llama_server(path: Path) -> Iterator[str]:
    """Starts llama.cpp's server in this process; yields its address. An f32 file rounds nothing."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.n_gpu_layers = CONTEXT, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
    if path.stem == "f32":
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        disabled = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.flash_attn_type = disabled
    params.fit_params, params.warmup, params.verbosity = False, False, -1
    server = xllamacpp.Server(params)  # ends with this variable
    yield server.listening_address


def llama_cpp(merged: Merged, folder: Path, type_: str, prompts: Ids, tokens: int) -> Ids:
    path = folder / f"{type_}.gguf"
    (write_gguf if type_ in TYPES else write_quantized)(merged, path, type_)
    logger.info(f"{type_}: {path.stat().st_size / 2**20:.0f} MiB")
    with llama_server(path) as address:
        answers = [_complete(address, prompt, tokens) for prompt in prompts]
    path.unlink()
    return answers


def _complete(address: str, prompt: list[int], tokens: int) -> list[int]:
    body = {"prompt": prompt, "temperature": 0, "n_predict": tokens, "return_tokens": True}
    header = {"Content-Type": "application/json"}
    with urlopen(Request(f"{address}/completion", json.dumps(body).encode(), header)) as answer:
        return list(json.load(answer)["tokens"])


def without_end(answers: Ids, ends: set[int]) -> Ids:
    """Cuts each answer before its first end token, which not every engine returns."""
    cuts = [next((n for n, i in enumerate(ids) if i in ends), len(ids)) for ids in answers]
    return [ids[:cut] for ids, cut in zip(answers, cuts, strict=True)]


def gaps(model: Any, prompts: Ids, own: Ids, other: Ids, end: int) -> list[float]:
    """Returns, for each answer that differs, by how much medtune's logits favour its own token."""
    found = []
    for prompt, ours, theirs in zip(prompts, own, other, strict=True):
        if ours == theirs:
            continue
        count = equal_tokens(ours, theirs)
        tokens = [ids[count] if count < len(ids) else end for ids in (ours, theirs)]
        with torch.no_grad():
            logits = model(torch.tensor([prompt + ours[:count]])).logits[0, -1]
        found.append(float(logits[tokens[0]] - logits[tokens[1]]))
    return found


def scores(cards: Cards, answers: Ids, tokenizer: Any, most: int) -> dict[str, float]:
    columns = [
        {
            "prediction": tokenizer.decode(ids, skip_special_tokens=True).strip(),
            "stopped": len(ids) < most,
            "new_tokens": len(ids),
        }
        for ids in answers
    ]
    counter = TextCounter(load_params("evaluate").use_stemmer)
    table = prediction_table(cards, columns, counter).select(SCHEMA.names)
    split = [read_table(Path(f"data/split/{name}.parquet"), "split") for name in ("test", "train")]
    asked = split[0].filter(pa.compute.is_in(split[0]["id"], table["id"]))
    table = with_content(table, asked, split[1])
    return {name: value for name, value in score_table(table).items() if not isnan(value)}


def answers_of(
    merged: Merged, types: list[str], prompts: Ids, answering: Answering, slow: bool
) -> Any:
    """Yields the name of each engine with its answers, without end tokens, and its seconds."""
    arms: dict[str, Any] = {OURS: lambda: answering.ours(prompts)}
    if slow:
        alone = Answering(merged.model, answering.params, answering.ends)
        arms[TRANSFORMERS] = lambda: alone.one_by_one(prompts)
    most = answering.params.max_new_tokens
    with TemporaryDirectory() as folder:
        for type_ in types:
            arms[f"llama.cpp, {type_}"] = lambda type_=type_: llama_cpp(
                merged, Path(folder), type_, prompts, most
            )
        for name, arm in arms.items():
            start = time.perf_counter()
            answers = without_end(arm(), answering.ends)
            yield name, answers, time.perf_counter() - start


def compare(types: list[str], count: int, slow: bool) -> pd.DataFrame:
    cards = read_tokens(TOKENS / "test.arrow").to_pylist()[:count]
    prompts = [card["input_ids"][: card["prompt_length"]] for card in cards]
    merged = merge(Path())
    if problem := unsupported(merged):
        raise InputError(f"medtune cannot write this model as GGUF, because {problem}")
    answering = load(BASE, None)
    answering.model = load_adapter(load_base())
    answering.ends = set(merged.end_ids)
    tokenizer, most = load_tokenizer(), answering.params.max_new_tokens
    rows, own = [], Ids()
    for name, answers, seconds in answers_of(merged, types, prompts, answering, slow):
        own = own or answers
        model, end = answering.model, merged.encoder.end_id
        found = gaps(model, prompts, own, answers, end)
        row = {"engine": name, "equal answers": f"{len(own) - len(found)} of {len(own)}"}
        row["gap of the logits: median, largest"] = (
            f"{median(found):.3f}, {max(found):.3f}" if found else ""
        )
        row |= {n: f"{value:.3f}" for n, value in scores(cards, answers, tokenizer, most).items()}
        rows.append(row | {"seconds": f"{seconds:.0f}"})
        logger.info(f"{name}: {row['equal answers']} in {seconds:.0f} s; gaps {sorted(found)}")
    return pd.DataFrame(rows).set_index("engine")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add: Any = parser.add_argument
    add("--questions", type=int, default=1000)
    add("--without-transformers", action="store_true", help="leave out the slowest engine")
    add("--types", nargs="*", default=[*TYPES, "q4_k_m"], help="types of GGUF files")
    options = parser.parse_args()
    set_up_logging("benchmark")
    with one_line_errors():
        table = compare(options.types, options.questions, not options.without_transformers)
        print(table.to_markdown(disable_numparse=True))
        print(f"\n{machine()}; {versions('torch', 'transformers', 'xllamacpp')}")


if __name__ == "__main__":
    main()
