"""The results: figures from the slices' reports, and the Markdown table of a results file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.arms import ARMS
from benchmarks.machine import hardware_text, versions_text
from benchmarks.turns import Report
from medtune.runtime.files import replacing

README = Path("benchmarks/README.md")
BLOCK = re.compile(r"<!-- results -->\n.*?<!-- /results -->", re.DOTALL)
OURS = "ours"
PUBLISHED = "hf_padded"  # the published way, not a peer at its best


def arm_results(slices: Mapping[str, Sequence[Report]], final: Mapping[str, Report]) -> Any:
    """Per arm: useful tokens/s of each slice, their median, and how many times faster ours was.

    The latter is the median over the rounds of the quotient within a round, in which all arms
    met the same machine.
    """
    rates = {arm: [r["tokens"] / r["seconds"] for r in reports] for arm, reports in slices.items()}
    results = {}
    for arm, reports in slices.items():
        results[arm] = {
            "tokens_per_s": median(rates[arm]),
            "tokens_per_s_of_slices": rates[arm],
            "seconds": sum(report["seconds"] for report in reports),
            "peak_memory_gib": reports[-1]["peak_memory_gib"],
            "validation_loss": final[arm]["validation_loss"],
        }
        if OURS in rates:
            pairs = zip(rates[OURS], rates[arm], strict=True)
            results[arm]["ours_is_faster"] = median(own / other for own, other in pairs)
    return results


def best_peer(arms: Mapping[str, Any]) -> str | None:
    """The fastest arm that is neither ours nor the published way."""
    peers = [arm for arm in arms if arm not in (OURS, PUBLISHED)]
    return max(peers, key=lambda arm: arms[arm]["tokens_per_s"], default=None)


def add_limit(
    results: dict[str, Any], per_token: float, rounds: Sequence[Mapping[str, float]]
) -> None:
    """Adds each arm's share of the limit: the best matrix product measured before its slice."""
    best = [max(rates.values()) for rates in rounds]
    results["limit"] = {
        "flops_per_token": per_token,
        "flops_per_s": median(best),
        "flops_per_s_of_shapes": {name: median(r[name] for r in rounds) for name in rounds[0]},
    }
    for arm in results["arms"].values():
        pairs = zip(arm["tokens_per_s_of_slices"], best, strict=True)
        arm["share_of_limit"] = median(rate * per_token / limit for rate, limit in pairs)


def block(results: Mapping[str, Any]) -> str:
    """The table and what it was measured on, between the comments that mark its place."""
    run, limit = results["run"], results["limit"]
    arms = results["arms"]
    lines = [
        "<!-- results -->",
        "| trainer | useful tokens/s (slices) | ours is faster | share of the limit "
        "| peak memory | validation loss |",
        "|---|---:|---:|---:|---:|---:|",
        *(_row(ARMS[name].title, arms[name]) for name in ARMS if name in arms),
        "",
        f"{run['cards']} cards, {run['tokens']:,} useful tokens, batches of {run['batch_size']}, "
        f"{run['slices']} slices; {run['model']}, {run['precision']}, seed {run['seed']}. "
        f"Limit: {limit['flops_per_s'] / 1e9:,.0f} GFLOP/s at "
        f"{limit['flops_per_token'] / 1e6:,.0f} MFLOP a useful token. "
        f"Machine: {hardware_text(results)}, load {results['machine']['load']:.1f} before a round "
        f"(more than the threads: others were at work); {versions_text(results)}.",
        "<!-- /results -->",
    ]
    return "\n".join(lines)


def write_into_readme(place: re.Pattern[str], shown: str) -> None:
    """Puts a block between the comments that mark its place."""
    text = README.read_text(encoding="utf-8")
    with replacing(README) as temporary:
        temporary.write_text(place.sub(lambda _: shown, text, count=1), encoding="utf-8")


def _row(title: str, arm: Mapping[str, Any]) -> str:
    rates = arm["tokens_per_s_of_slices"]
    faster = f"{arm['ours_is_faster']:.2f} ×" if "ours_is_faster" in arm else "–"
    cells = (
        title,
        f"{arm['tokens_per_s']:,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
        faster,
        f"{arm['share_of_limit']:.0%}",
        f"{arm['peak_memory_gib']:.2f} GiB",
        f"{arm['validation_loss']:.3f}",
    )
    return "| " + " | ".join(cells) + " |"
