"""A short run of the fuzzer, and that it would notice and keep what goes wrong."""

import os
import signal

import pytest

from benchmarks import fuzz
from medtune.cards.tables import FORMATS


def test_nothing_but_records_and_input_errors_comes_out(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "KEPT", tmp_path)
    counts, findings = fuzz.fuzz(seed=0, cases=2000)
    assert not findings, "\n".join(findings)
    for name in fuzz.NAMES:
        assert counts[f"{name} read"] > 20, name
        assert counts[f"{name} refused"] > 20, name
    assert (
        sum(counts[f"{name} {what}"] for name in fuzz.NAMES for what in ("read", "refused")) == 2000
    )
    assert counts["records"] > 1000


def test_a_case_depends_on_seed_and_number_alone():
    assert fuzz.make_case(1, 2) == fuzz.make_case(1, 2)
    assert fuzz.make_case(1, 2) != fuzz.make_case(1, 3)


def fail(*_):
    raise KeyError("unexpected")


def crash(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def hang(*_):
    signal.pause()


@pytest.mark.parametrize(
    ("fault", "said"),
    [(fail, "KeyError: 'unexpected'"), (crash, "ended with -9"), (hang, "no end within")],
)
def test_a_finding_is_told_and_kept(tmp_path, monkeypatch, fault, said):
    monkeypatch.setattr(fuzz, "KEPT", tmp_path)
    monkeypatch.setattr(fuzz, "TIME_LIMIT_S", 0.5)
    monkeypatch.setitem(FORMATS, ".csv", fault)
    numbers = [n for n in range(16) if fuzz.make_case(0, n).name == "a.csv"]
    _, findings = fuzz.fuzz(seed=0, cases=16)
    assert len(findings) == len(numbers) > 0
    for number, finding in zip(numbers, findings, strict=True):
        assert finding.startswith(f"case {number} of seed 0: ") and said in finding
        kept = (tmp_path / f"0-{number}" / "a.csv").read_bytes()
        assert kept == fuzz.make_case(0, number).files["a.csv"]
