"""Writes a page that shows what the loss sees: cards token by token, what is learned marked.

Reads data/tokens/ and the tokenizer in models/base/; writes reports/tokens.html.

    python -m medtune.commands.token_page                           5 cards of each split
    python -m medtune.commands.token_page --split train --rows 50
    python -m medtune.commands.token_page --id HP:0000051/definition
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medtune.config.schema import SPLITS
from medtune.modeling.loading import BASE, require
from medtune.modeling.token_files import TOKENS, read_tokens
from medtune.report.rendering import environment
from medtune.report.run_facts import token_texts
from medtune.runtime.errors import InputError
from medtune.runtime.files import replacing
from medtune.runtime.stage import one_line_errors, set_up_logging

PAGE = Path("reports/tokens.html")
ROWS = 5


@dataclass(frozen=True)
class SplitSample:
    """Rows of one split, which has `count` of them."""

    split: str
    count: int
    rows: list[dict[str, Any]]


def parts(splits: list[str], count: int, id_: str | None = None) -> list[SplitSample]:
    """Up to `count` rows of each split, evenly spread, or those with the id."""
    from tokenizers import Tokenizer

    require(BASE / "tokenizer.json", "download@model")
    tokenizer = Tokenizer.from_file(str(BASE / "tokenizer.json"))
    found = []
    for split in splits:
        table = read_tokens(TOKENS / f"{split}.arrow")
        rows = spread(table, count)
        if id_ is not None:
            rows = table.filter(pc.field("id") == id_).to_pylist()
        for row in rows:
            row["tokens"] = token_texts(tokenizer, row["input_ids"], row["loss_start"])
        if rows:
            found.append(SplitSample(split, table.num_rows, rows))
    if not found:
        which = "any card" if id_ is None else f"a card with the id {id_}"
        raise InputError(
            f"{TOKENS} does not hold {which} in {', '.join(splits)}: data/split/ has the ids"
        )
    return found


def spread(table: pa.Table, count: int) -> list[dict[str, Any]]:
    """`count` rows, or all if there are fewer, at equal distances."""
    count = min(count, table.num_rows)
    chosen = (table.slice(n * table.num_rows // count, 1) for n in range(count))
    return [row for one in chosen for row in one.to_pylist()]


def render_page(shown: list[SplitSample]) -> str:
    """Returns the page; nothing from data is markup in it."""
    template = environment(autoescape=True).get_template("token_page.html.jinja")
    return template.render(parts=shown)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m medtune.commands.token_page",
        description="Shows cards as the model reads them.",
    )
    parser.add_argument("--split", choices=SPLITS, help="only this split (default: all)")
    parser.add_argument("--rows", type=int, default=ROWS, help="cards of each split (%(default)s)")
    parser.add_argument("--id", help="the card with this id instead")
    arguments = parser.parse_args()
    set_up_logging("token_page")
    with one_line_errors():
        if arguments.rows < 1:
            raise InputError(
                f"--rows must be at least 1, got {arguments.rows}: leave it out for {ROWS}"
            )
        splits = [arguments.split] if arguments.split else list(SPLITS)
        page = render_page(parts(splits, arguments.rows, arguments.id))
        with replacing(PAGE) as temporary:
            temporary.write_text(page, encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
