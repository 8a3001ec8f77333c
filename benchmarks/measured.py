"""Compares the rates of a benchmark's arms, and describes where they were measured."""

import importlib.metadata
import os
import platform
from pathlib import Path

import pandas as pd

OURS = "medtune"


def compare(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns each arm's median, slowest and fastest rate, and how many times faster medtune was.

    The last is the median over the rounds of the ratio within a round, in which all arms had the
    same machine.
    """
    arms = list(dict.fromkeys(rows["arm"]))
    rates = rows.pivot(index="round", columns="arm", values="tokens_per_s")[arms]
    quotients = (1 / rates).mul(rates[OURS], axis=0).median()
    table = pd.DataFrame(index=pd.Index(arms, name=""))
    table["tokens/s (rounds)"] = [
        f"{rate.median():,.0f} ({rate.min():,.0f}–{rate.max():,.0f})" for _, rate in rates.items()
    ]
    table["medtune is faster"] = [f"{quotient:.2f} ×" for quotient in quotients]
    return table


def show(table: pd.DataFrame, *packages: str, output: Path | None, rows: pd.DataFrame) -> None:
    """Prints a table as Markdown with the machine and versions; saves the rows behind it as CSV."""
    print(table.to_markdown(disable_numparse=True))
    print(f"\n{machine()}; {versions(*packages)}")
    if output:
        rows.to_csv(output, index=False)


def machine() -> str:
    """Describes the machine well enough to judge figures, without anything that identifies it."""
    return f"{_processor()}, {os.cpu_count()} cores"


def versions(*packages: str) -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)


def _processor() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
