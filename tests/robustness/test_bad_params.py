"""Whatever stands in params.yaml, it is read or refused in one line, before a model is loaded.

A long run, with other cases:

    python -m pytest tests/robustness/test_bad_params.py --fuzz-cases 20000 --hypothesis-seed 1
"""

import re
import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtune.config.loading import read_yaml, validate
from medtune.runtime.errors import InputError

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
SHIPPED = re.sub(r"( +|^)#.*\n?", "\n", PARAMS, flags=re.MULTILINE).splitlines()  # read faster
SETTING = re.compile(r"(?P<key> *\w+:) (?P<value>.+)")
SETTINGS = [n for n, line in enumerate(SHIPPED) if SETTING.fullmatch(line)]
EDITS = ("value", "value", "value", "number", "text", "key", "line", "end")
TIME_LIMIT_MS = 60_000
MEMORY_BYTES = 2 * 2**30  # of address space, beyond what the process has already

VALUES = (
    *("", "~", "null", "''", "true", "yes", "off", "0", "-0", "1", "-1", "0.5", "1e-05", "1e999"),
    *(".inf", "-.inf", ".nan", "1_000", "0o17", "0x1F", "0b11", "1:30", "2026-01-01", "12:00:00"),
    *("2026-01-01T00:00:00Z", str(2**31), str(2**63), str(10**30), "9" * 5000, "1." + "0" * 5000),
    *("1e1000000000", "-" + "9" * 5000, "0x" + "F" * 5000, "x" * 100_000, r'"\ud800"', r'"\0"'),
    *("[]", "{}", "[1]", "{a: 1}", "[[]]", "{? [1] : 2}", "{[1, 2]: 3}", "{1: 2, true: 3}"),
    *("[" * 400, "[" * 200 + "]" * 200, "{a: " * 400, "[[]," * 60, "- - - 1"),
    *("!!python/object/apply:os.system [id]", "!!python/name:os.system", "!!binary aGk=", "!x 1"),
    *("!!int x", "!!float []", "!!set {a, b}", "!!omap [a: 1]", "!!timestamp x", "!!null 1"),
    *("!!bool maybe", "!!str 1", "!!seq {}", "!!map []", "!!pairs [a: 1]", "!!merge x", "!<> 1"),
    *("&a 1", "*a", "&a [*a]", "&a {b: *a}", "{<<: *a}", "{<<: 1}", "{<<: {r: 1}, r: 2}", "&"),
    *("|", ">-", "| \n  text", "|9\n x", "'", '"', "a: b", "a\t: b", "\t1", "@x", "`x`", "%x"),
    *("../../etc/passwd", "file:///dev/zero", "pypi://a==1/b#sha256=0", "é" * 9, "\u2028", "\x85"),
)
LINES = (
    *(
        "\t",
        "\0",
        "\ufeff",
        "---",
        "...",
        "--- x",
        "%YAML 1.1",
        "%YAML 9.9",
        "%TAG ! x",
        "? x",
        "-",
    ),
    *("? [1, 2]\n: 3", "unknown: 1", "seed: 1", "train: {}", "train:\n  lr: 1", "<<: {seed: 1}"),
    *("<<: [{seed: 1}, {x: 2}]", "<<: *nobody", "1: 2", "null: 3", "[1]: 2", "{a: b}: 1", "- 1"),
    *(
        "lr: &a [x,x]\nr: &b [*a,*a]",
        "\r",
        "\x1b[2J",
        "\x07",
        "\ud7ff",
        "\ufffe",
        "  x",
        "#",
        ": :",
    ),
    "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9 if n else ['x'])}]" for n in range(12)),
)

DRAWN = {
    "value": st.sampled_from(VALUES),
    "number": st.one_of(st.integers(), st.floats()).map(str),
    "text": st.text(max_size=20),
}


@pytest.fixture(autouse=True)
def limited_memory() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = psutil.Process().memory_info().vms + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def damaged_keys(line: str) -> tuple[str, ...]:
    """A setting's line removed, doubled, renamed and moved."""
    renamed = (line.replace(":", "x:"), line.replace(":", ""), line.upper())
    return ("", f"{line}\n{line}", *renamed, f" {line}", f"\t{line}")


@st.composite
def params_texts(draw: st.DrawFn) -> str:
    """The shipped params.yaml after one to three edits of values, keys and lines."""
    lines = list(SHIPPED)
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.sampled_from(SETTINGS))
        match = SETTING.fullmatch(lines[number])
        edit = draw(st.sampled_from(EDITS))
        if edit == "line":
            lines[number] = draw(st.sampled_from(LINES))
        elif edit == "end":
            lines.append(draw(st.sampled_from(LINES)))
        elif edit == "key":
            lines[number] = draw(st.sampled_from(damaged_keys(lines[number])))
        elif match:
            lines[number] = f"{match['key']} {draw(DRAWN[edit])}"
    return "\n".join(lines) + "\n"


def test_any_params_are_read_or_refused_in_one_line(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cases, seeded = map(request.config.getoption, ("--fuzz-cases", "--hypothesis-seed"))
    cases //= 4  # a case takes longer than a damaged file
    outcomes: Counter[str] = Counter()
    path = tmp_path / "params.yaml"

    @settings(max_examples=cases, deadline=TIME_LIMIT_MS, derandomize=seeded is None)
    @given(text=params_texts())
    def check(text: str) -> None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            validate(read_yaml(path))
            outcomes["read"] += 1
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 5000, str(error)[:9000]
            outcomes["refused"] += 1

    check()
    print(dict(outcomes))
    assert outcomes["read"] and outcomes["refused"] > cases / 5
