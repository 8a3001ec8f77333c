"""`medtune votes`: counts the votes of the chat's blind test.

Writes reports/votes.json with the counts, and reports/votes.js, from which the report shows them.
No stage reads them, so the pipeline's outputs do not depend on votes.

The win rate is the share of votes for the fine-tuned model, with a tie as half a vote. Votes on one
pair of answers belong together, so the interval covers the choice of questions.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtune.runtime.errors import InputError

if TYPE_CHECKING:
    from medtune.judging.vote_file import Vote

EXAMPLES = ("medtune votes", "medtune votes --all")
RESULTS = Path("reports/votes.json")
SCORES = Path("metrics/compare_scores.json")


def summary(votes: Sequence["Vote"], confidence: float) -> dict[str, Any]:
    """Returns counts and win rate with its interval, in all and for each kind of question."""
    kinds = {
        kind: [vote for vote in votes if vote.kind == kind]
        for kind in sorted({vote.kind for vote in votes})
    }
    rates = {kind: {"n": len(own), **win_rate(own, confidence)} for kind, own in kinds.items()}
    return {**counts_of(votes), **win_rate(votes, confidence), "kinds": rates}


def win_rate(votes: Sequence["Vote"], confidence: float) -> dict[str, float]:
    """Returns the win rate and its interval, a jackknife's over questions, between 0 and 1.

    There is no interval with fewer than two questions, or if all votes are the same.
    """
    import numpy as np

    from medtune.comparison.seeds import estimate, jackknife
    from medtune.scoring.scores import Score

    score = Score(name="win_rate", title="win rate", higher_is_better=True, columns=())
    numbers = {pair: n for n, pair in enumerate(dict.fromkeys(vote.pair for vote in votes))}
    rows = np.array([[(vote.outcome + 1) / 2, 1.0] for vote in votes])
    groups = np.array([numbers[vote.pair] for vote in votes])
    found = estimate(jackknife(score, rows, groups)[None], confidence)
    low, high = found.ci_low, found.ci_high
    return {
        "win_rate": found.value,
        "ci_low": low if math.isnan(low) else max(low, 0.0),
        "ci_high": high if math.isnan(high) else min(high, 1.0),
    }


def counts_of(votes: Sequence["Vote"]) -> dict[str, float]:
    """Counts votes.

    `first_share` is the share of votes for answer A among those for one answer: 0.5, unless voters
    prefer a side. `agreement_of` explains `agreement` and `kappa`.
    """
    choices = Counter(vote.choice for vote in votes)
    outcomes = Counter(vote.outcome for vote in votes)
    decided = choices["a"] + choices["b"]
    return {
        "n": len(votes),
        "voters": len({vote.voter for vote in votes}),
        "questions": len({vote.pair for vote in votes}),
        "wins": outcomes[1],
        "losses": outcomes[-1],
        "both_good": choices["both_good"],
        "both_bad": choices["both_bad"],
        "first_share": choices["a"] / decided if decided else math.nan,
        "median_seconds": median(vote.seconds for vote in votes) if votes else math.nan,
        **agreement_of(votes),
    }


def agreement_of(votes: Sequence["Vote"]) -> dict[str, float]:
    """Returns how far voters agree on win, tie or loss where two of them saw the same answers.

    `agreement` is the share of equal pairs of votes. `kappa` sets chance to 0 (Scott's π, 1955:
    Cohen's κ with each pair in both orders). Both are NaN where no two voters meet.
    """
    from medtune.judging.verdict_counts import kappa

    by_pair: dict[str, list[int]] = defaultdict(list)
    for vote in votes:
        by_pair[vote.pair].append(vote.outcome)
    pairs = [pair for outcomes in by_pair.values() for pair in combinations(outcomes, 2)]
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    equal = sum(a == b for a, b in pairs)
    return {
        "pairs": len(pairs),
        "agreement": equal / len(pairs) if pairs else math.nan,
        "kappa": kappa(first + second, second + first),
    }


def of_this_model(votes: Sequence["Vote"], every: bool) -> list["Vote"]:
    """Returns the votes on the adapter in models/adapter, or on any."""
    from medtune.judging.vote_file import adapter_digest

    digest = adapter_digest()
    return [vote for vote in votes if every or vote.adapter == digest]


def lines_of(counts: Mapping[str, Any], left_out: int, confidence: float) -> list[str]:
    """Returns the counts as sentences, the main one first."""
    from medtune.report.number_formats import number, percent

    rate = win_rate_text(counts)
    lines = [
        f"win rate of the fine-tuned model: {rate} ({percent(confidence)} interval; "
        "a tie counts as half a win)",
        f"{counts['n']} votes of {counts['voters']} voters on {counts['questions']} pairs of "
        f"answers: {counts['wins']} for the fine-tuned model, {counts['losses']} for the base "
        f"model, {counts['both_good']} both good, {counts['both_bad']} both bad",
        f"agreement between voters: {number(counts['agreement'], 2)} of {counts['pairs']} pairs "
        f"of votes, κ = {number(counts['kappa'], 2)} (0 is chance, 1 full agreement)",
        f"votes for the left answer: {number(counts['first_share'], 2)} of those for one answer; "
        f"median time of a vote: {number(counts['median_seconds'], 1)} s",
    ]
    if left_out:
        lines.append(f"left out: {left_out} votes on answers of other adapters (--all counts them)")
    return lines


def win_rate_text(counts: Mapping[str, Any]) -> str:
    from medtune.report.number_formats import number

    low, high = (number(counts[name], 2) for name in ("ci_low", "ci_high"))
    between = "no interval" if "n/a" in (low, high) else f"{low} to {high}"
    return f"{number(counts['win_rate'], 2)} ({between})"


def rows_of(counts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns the table of kinds, with its header."""
    found = [(kind, str(own["n"]), win_rate_text(own)) for kind, own in counts["kinds"].items()]
    return [("kind", "votes", "win rate"), *found]


def write_script(lines: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes the counts for the report that shows the present scores, if there are any."""
    from medtune.report.costs import run_mark
    from medtune.runtime.atomic_files import read_json, replacing

    if not SCORES.is_file():
        return
    run = run_mark(read_json(SCORES, "compare"))
    content = {"run": run, "lines": lines, "columns": rows[0], "rows": rows[1:]}
    with replacing(RESULTS.with_suffix(".js")) as temporary:
        temporary.write_text(f"window.votes = {json.dumps(content)};\n", encoding="utf-8")


def votes(
    every: Annotated[
        bool, typer.Option("--all", help="Count votes on other adapters' answers too.")
    ] = False,
) -> None:
    """Count the votes of the blind test on the chat page.

    Votes are cast on the chat page (`make chat`, then "Blind test") and kept in data/votes/.
    """
    from medtune.config.loading import load_params
    from medtune.judging.vote_file import VOTES, read_votes
    from medtune.report.rendering import markdown_table
    from medtune.runtime.atomic_files import read_json, write_json

    cast = read_votes()
    counted = of_this_model(cast, every)
    left_out = len(cast) - len(counted)
    if not counted:
        of_others = f" on the answers of models/adapter, but {left_out} on others" * bool(left_out)
        raise InputError(f"{VOTES} has no votes{of_others}: vote on the page of `make chat`")
    confidence = load_params("compare.confidence")
    write_json(RESULTS, summary(counted, confidence))
    counts = read_json(RESULTS, "votes")
    lines, rows = lines_of(counts, left_out, confidence), rows_of(counts)
    if not every:
        write_script(lines, rows)
    print("\n".join([*lines, "", markdown_table(rows), "", str(RESULTS)]))
