from pathlib import Path

import pytest

from medtune.cards import mondo_file
from medtune.cards.mondo_file import read_mondo
from medtune.runtime.errors import InputError
from tests.ontology_files import GOUT, mondo_terms, write_mondo

NAME = "MONDO-ontology-v2026-05-05.json.zst"


def test_human_diseases_are_read_without_obsolete_ones(tmp_path: Path) -> None:
    write_mondo(tmp_path / NAME, mondo_terms())
    release, diseases = read_mondo(tmp_path)
    assert release == "2026-05-05"
    assert not {"MONDO:0000001", "MONDO:0700096", "MONDO:14"} & diseases.keys()
    gout = diseases["MONDO:10"]
    assert (gout.label, gout.definition, gout.synonyms) == ("gout", GOUT, ("gouty arthropathy",))
    assert gout.parents == ["MONDO:1"]


def test_one_release_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 0 files MONDO-ontology"):
        read_mondo(tmp_path)
    for name in (NAME, NAME.replace("2026", "2025")):
        write_mondo(tmp_path / name, mondo_terms())
    with pytest.raises(InputError, match="has 2 files MONDO-ontology"):
        read_mondo(tmp_path)


@pytest.mark.parametrize(
    "terms",
    [
        *([], {"MONDO:1": {}}, {"MONDO:1": {"ancestors": [], "deprecated": False}}, "text"),
        {"MONDO:1": {"label": "gout", "ancestors": {"MONDO:0700096": 1}}},
        {"MONDO:1": {"label": "gout", "ancestors": {"x": float("inf")}, "deprecated": False}},
        {"MONDO:1": {"label": "go\ud800ut", "ancestors": {}, "deprecated": False}},
    ],
)
def test_another_layout_is_refused(tmp_path: Path, terms: object) -> None:
    write_mondo(tmp_path / NAME, terms)
    with pytest.raises(InputError, match="is damaged or has another layout: fetch it again"):
        read_mondo(tmp_path)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    write_mondo(tmp_path / NAME, mondo_terms())
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is damaged or has another layout"):
        read_mondo(tmp_path)


def test_a_file_that_expands_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mondo(tmp_path / NAME, mondo_terms())
    monkeypatch.setattr(mondo_file, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="unpacks to more than 100 bytes: refused"):
        read_mondo(tmp_path)
