"""The Markdown table of `python -m benchmarks.data`."""

import re
from collections.abc import Mapping
from typing import Any

from benchmarks.machine import hardware_text, versions_text

BLOCK = re.compile(r"<!-- data -->\n.*?<!-- /data -->", re.DOTALL)
STAGES = ("clean", "split", "tokenize")
TITLES = {
    "pandas": ("clean", "pandas `apply`, the same rules"),
    "datasketch": ("split", "datasketch MinHashLSH, near-duplicates only"),
    "chat_template": ("tokenize", "`apply_chat_template`, row by row"),
}


def block(results: Mapping[str, Any]) -> str:
    """The tables and what they were measured on, between the comments that mark their place."""
    sizes = {int(size): found for size, found in results["sizes"].items()}
    first, last = min(sizes), max(sizes)
    lines = [
        "<!-- data -->",
        f"| stage | {' | '.join(f'{size:,} cards' for size in sizes)} "
        "| µs a card, smallest → largest | growth | peak memory | cards/s |",
        f"|---|{'---:|' * (len(sizes) + 4)}",
        *(_stage_row(stage, sizes, results["growth"][stage]) for stage in STAGES),
        _sum_row(sizes),
        "",
        *_peer_lines(results),
        f"{_rounds(sizes[first])} rounds of {first:,} cards, {_rounds(sizes[last])} of {last:,}, "
        f"medians. Seconds are those of the whole process; µs a card leave out its start ("
        f"{', '.join(f'{stage} {s:.1f} s' for stage, s in results['start_s'].items())}). "
        f"{_found(last, sizes[last]['metrics'])} "
        f"Bound to one processor the stages wrote "
        f"{'the same bytes' if results['same_on_one_processor'] else 'OTHER BYTES'}. "
        f"Machine: {hardware_text(results)}; {versions_text(results)}.",
        "<!-- /data -->",
    ]
    return "\n".join(lines)


def _stage_row(stage: str, sizes: Mapping[int, Any], growth: float) -> str:
    rows = [found[stage] for found in sizes.values()]
    seconds = " | ".join(f"{row['seconds']:,.1f} s" for row in rows)
    return (
        f"| {stage} | {seconds} | {rows[0]['us_per_card']:.0f} → {rows[-1]['us_per_card']:.0f} "
        f"| {growth:.2f} × | {max(row['peak_memory_gib'] for row in rows):.2f} GiB "
        f"| {rows[-1]['cards_per_s']:,.0f} |"
    )


def _sum_row(sizes: Mapping[int, Any]) -> str:
    def total(size: int, name: str) -> float:
        return sum(sizes[size][stage][name] for stage in STAGES)

    first, last = min(sizes), max(sizes)
    seconds = " | ".join(f"{total(size, 'seconds'):,.1f} s" for size in sizes)
    start, end = total(first, "us_per_card"), total(last, "us_per_card")
    peak = max(found[stage]["peak_memory_gib"] for found in sizes.values() for stage in STAGES)
    return (
        f"| all three | {seconds} | {start:.0f} → {end:.0f} | {end / start:.2f} × "
        f"| {peak:.2f} GiB | {last / total(last, 'seconds'):,.0f} |"
    )


def _peer_lines(results: Mapping[str, Any]) -> list[str]:
    peers = results["peers"]
    rows = [
        f"| {TITLES[name][0]} | {TITLES[name][1]} | {peer['seconds']:,.1f} s "
        f"| {peer['us_per_card']:.0f} | {peer['ours_is_faster']:.2f} × "
        f"| {peer['peak_memory_gib']:.2f} GiB |"
        for name, peer in peers.items()
    ]
    return [
        "| stage | the obvious alternative | time | µs a card | ours is faster | peak memory |",
        "|---|---|---:|---:|---:|---:|",
        *rows,
        "",
    ]


def _rounds(found: Mapping[str, Any]) -> int:
    return len(found["clean"]["seconds_of_rounds"])


def _found(size: int, metrics: Mapping[str, Mapping[str, float]]) -> str:
    clean, split = metrics["clean"], metrics["split"]
    tokens = sum(value for name, value in metrics["tokenize"].items() if name.endswith(".tokens"))
    return (
        f"Of {size:,} cards {clean['dropped.duplicate']:,} were exact duplicates, "
        f"{clean['kept']:,} were kept; {split['groups']:,} groups, the largest "
        f"{split['largest_group_share']:.1%} of all, cut from a component of "
        f"{split['largest_component_share']:.1%}; {tokens:,} tokens."
    )
