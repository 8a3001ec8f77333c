"""The obvious alternatives to the stages clean, split and tokenize, each in one process.

Run it in the folder of a project whose stages have run: python -m benchmarks.data_peers NAME
OPTIONS, where OPTIONS is JSON. Prints JSON: seconds without imports, cards in and what came out.
"""

import json
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

RAW = Path("data/raw/cards.parquet")
RECORDS = Path("data/clean/records.parquet")
SPLITS = ("train", "validation", "test")

Result = dict[str, Any]


def pandas_apply(_: Mapping[str, Any]) -> Result:
    """Cleans with `DataFrame.apply` and our rules, and writes Parquet."""
    import pandas as pd

    from medtune.cards.filtering import filter_cards
    from medtune.config.loading import load_params

    clean = load_params("clean")
    start = time.perf_counter()
    frame = pd.read_parquet(RAW)
    verdicts = frame.apply(
        lambda card: filter_cards([(card.question, card.answer)], clean)[0][0], axis=1
    )
    frame["question"] = [verdict.question for verdict in verdicts]
    frame["answer"] = [verdict.answer for verdict in verdicts]
    good = [verdict.reason is None for verdict in verdicts]
    kept = frame[good].drop_duplicates(["question", "answer"])
    kept.to_parquet("pandas.parquet", compression="zstd")
    return {"seconds": time.perf_counter() - start, "cards": len(frame), "kept": len(kept)}


def datasketch_lsh(options: Mapping[str, Any]) -> Result:
    """Finds near-duplicate answers with MinHashLSH, verified by their exact Jaccard similarity.

    Needs datasketch and pyarrow, but not medtune. It does not do the rest of the stage: no
    topics, no shared 13-grams, no components, no leak rates, no assignment.
    """
    import pyarrow.parquet as pq
    from datasketch import MinHash, MinHashLSH

    threshold, permutations = options["threshold"], options["permutations"]
    start = time.perf_counter()
    answers = pq.read_table(RECORDS, columns=["answer"]).column(0).to_pylist()
    shingles = [_shingles(answer, options["words"]) for answer in answers]
    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    pairs = 0
    for row, sketch in enumerate(MinHash.generator(shingles, num_perm=permutations)):
        if not shingles[row]:
            continue
        own = set(shingles[row])
        for other in index.query(sketch):
            shared = len(own.intersection(shingles[other]))
            pairs += shared >= threshold * (len(own) + len(shingles[other]) - shared)
        index.insert(row, sketch)
    return {"seconds": time.perf_counter() - start, "cards": len(answers), "pairs": pairs}


def _shingles(text: str, size: int) -> list[bytes]:
    words = ["^", *re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()), "$"]
    return list({" ".join(words[n : n + size]).encode() for n in range(len(words) - size + 1)})


def chat_template(_: Mapping[str, Any]) -> Result:
    """Tokenizes prompt and answer of each card with `apply_chat_template`, one after the other.

    Ids and the prompt's length, from which labels follow, stay in memory; nothing is written.
    """
    import pyarrow.parquet as pq

    from medtune.config.loading import load_params
    from medtune.modeling.loading import load_tokenizer

    system = load_params("tokenize.system_prompt")
    opening = [{"role": "system", "content": system}] if system else []
    encode = partial(load_tokenizer().apply_chat_template, return_dict=False)
    start = time.perf_counter()
    rows = []
    for split in SPLITS:
        table = pq.read_table(f"data/split/{split}.parquet", columns=["question", "answer"])
        for card in table.to_pylist():
            asked = [*opening, {"role": "user", "content": card["question"]}]
            prompt = encode(asked, add_generation_prompt=True)
            whole = encode([*asked, {"role": "assistant", "content": card["answer"]}])
            rows.append((whole, len(prompt)))
    tokens = sum(len(ids) for ids, _ in rows)
    return {"seconds": time.perf_counter() - start, "cards": len(rows), "tokens": tokens}


PEERS: dict[str, Callable[[Mapping[str, Any]], Result]] = {
    "pandas": pandas_apply,
    "datasketch": datasketch_lsh,
    "chat_template": chat_template,
}

if __name__ == "__main__":
    print(json.dumps(PEERS[sys.argv[1]](json.loads(sys.argv[2]))))
