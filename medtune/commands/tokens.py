"""`medtune tokens`: a page that shows what the loss sees, card by card and token by token.

Reads data/tokens/ and the tokenizer in models/base/; writes reports/tokens.html.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtune.config.allowed_values import SPLITS, SplitName
from medtune.runtime.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLES = (
    "medtune tokens",
    "medtune tokens --split train --rows 50",
    "medtune tokens --id MONDO:0005393/definition",
)
PAGE = Path("reports/tokens.html")
ROWS = 5


@dataclass(frozen=True)
class SplitSample:
    """Some rows of a split that has `count` rows."""

    split: str
    count: int
    rows: list[dict[str, Any]]


def parts(splits: Sequence[str], count: int, id_: str | None = None) -> list[SplitSample]:
    """Returns up to `count` evenly spread rows of each split, or those with the id."""
    import pyarrow.compute as pc
    from tokenizers import Tokenizer

    from medtune.modeling.loading import BASE, require
    from medtune.modeling.token_files import TOKENS, read_tokens
    from medtune.report.run_facts import token_texts

    require(BASE / "tokenizer.json", "download@model")
    tokenizer = Tokenizer.from_file(str(BASE / "tokenizer.json"))
    found = []
    for split in splits:
        table = read_tokens(TOKENS / f"{split}.arrow")
        rows = evenly_spaced_rows(table, count)
        if id_ is not None:
            rows = table.filter(pc.field("id") == id_).to_pylist()
        for row in rows:
            row["tokens"] = token_texts(tokenizer, row)
        if rows:
            found.append(SplitSample(split, table.num_rows, rows))
    if not found:
        which = "any card" if id_ is None else f"a card with the id {id_}"
        raise InputError(
            f"{TOKENS} does not have {which} in {', '.join(splits)}: see the ids in data/split/"
        )
    return found


def evenly_spaced_rows(table: "pa.Table", count: int) -> list[dict[str, Any]]:
    """Returns `count` rows at equal distances, or all if there are fewer."""
    count = min(count, table.num_rows)
    chosen = (table.slice(n * table.num_rows // count, 1) for n in range(count))
    return [row for one in chosen for row in one.to_pylist()]


def render_page(shown: list[SplitSample]) -> str:
    """Returns the page, with the data escaped."""
    from medtune.report.rendering import environment

    template = environment(autoescape=True).get_template("token_page.html.jinja")
    return template.render(parts=shown)


def tokens(
    split: Annotated[SplitName | None, typer.Option(help="Show only this split.")] = None,
    rows: Annotated[int, typer.Option(help="The number of cards from each split.", min=1)] = ROWS,
    id_: Annotated[
        str | None, typer.Option("--id", help="Show only the card with this id.", metavar="ID")
    ] = None,
) -> None:
    """Write a page of cards as the loss sees them, token by token."""
    from medtune.runtime.atomic_files import replacing

    page = render_page(parts([split] if split else list(SPLITS), rows, id_))
    with replacing(PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(PAGE)
