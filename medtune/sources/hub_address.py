"""What a hub:// address names: a repository at a revision, and what to take of it."""

import os
import re
from dataclasses import dataclass

from medtune.runtime.errors import InputError

URI = re.compile(
    r"hub://([\w-][\w.-]*/[\w-][\w.-]*)@([^/?]+)(?:/([^?]+))?(?:\?split=([\w.-]+)(?:\[(\d*):(\d+)\])?)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Repository:
    target: str
    name: str
    revision: str
    subset: str
    split: str = ""
    rows: range | None = None  # of the split; None for all

    @property
    def endpoint(self) -> str:
        return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")

    def __str__(self) -> str:
        return f"{self.target} {self.name}@{self.revision} on {self.endpoint}"


def parse_uri(uri: str, target: str) -> Repository:
    match = URI.fullmatch(uri)
    whole, bracket, after = uri.partition("[")
    if not match and target == "dataset" and bracket and URI.fullmatch(whole):
        raise InputError(
            f"{uri}: {bracket}{after} is not a range of rows: write [:1000] for the first 1,000, "
            "or a range such as [1000:2000]"
        )
    if not match or (target == "model" and (match[3] or match[4])):
        subset = "[/subset][?split=name[:rows]]" if target == "dataset" else ""
        raise InputError(
            f"{uri} is not a {target} on a hub: write hub://owner/name@revision{subset}"
        )
    rows = range(int(match[5] or 0), int(match[6])) if match[6] else None
    if rows is not None and not rows:
        raise InputError(f"{uri} asks for no rows: write a range such as [:1000] or [1000:2000]")
    subset = (match[3] or "").rstrip("/")
    return Repository(target, match[1], match[2], subset, match[4] or "", rows)
