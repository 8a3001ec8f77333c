"""`make sbom` ends, and its two lists name every package that the pipeline pins."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.projects import ROOT, copy_project, run

PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


def pins() -> dict[str, str]:
    found = PIN.findall((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    return {canonicalize_name(name): version for name, version in found}


def licences(folder: Path) -> dict[str, str]:
    with (folder / "docs/licences.csv").open(encoding="utf-8", newline="") as file:
        return {canonicalize_name(row["Name"]): row["License"] for row in csv.DictReader(file)}


def test_the_licence_of_every_pinned_package_is_listed() -> None:
    listed = licences(ROOT)
    assert listed.keys() == pins().keys()
    assert all(listed.values()) and "UNKNOWN" not in listed.values()


@pytest.mark.slow
def test_make_sbom_ends_and_lists_every_pinned_package(tmp_path: Path) -> None:
    copy_project(tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    run(tmp_path, "make", "--assume-old=.venv/dev", "sbom")
    bill = json.loads((tmp_path / "exports/sbom.cdx.json").read_text(encoding="utf-8"))
    found = {canonicalize_name(each["name"]): each["version"] for each in bill["components"]}
    wanted = pins()
    assert {name: found[name].partition("+")[0] for name in wanted} == wanted
    assert licences(tmp_path).keys() == wanted.keys()
