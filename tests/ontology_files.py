"""Writes small made-up files in the formats of MONDO, hp.obo and phenotype.hpoa."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

HUMAN = {"MONDO:0700096": 2, "MONDO:0000001": 3}
HEADER = (
    "database_id\tdisease_name\tqualifier\thpo_id\treference\tevidence\tonset\tfrequency\tsex\t"
    "modifier\taspect\tbiocuration"
)
GOUT = (
    "A condition characterized by painful swelling of the joints, which is caused by deposition of "
    "urate crystals."
)
ASTHMA = (
    "A bronchial disease that is characterized by chronic inflammation and by narrowing of all of "
    "the airways [NCIT:C1]. Signs and symptoms include wheezing, cough, tightness of the chest and "
    "shortness of breath at night."
)
FINDINGS = ("Fever", "Cough", "Headache", "Arthritis", "Babinski sign", "Anemia", "Rash", "Towns")


def mondo_terms() -> dict[str, dict[str, Any]]:
    return {
        "MONDO:0000001": term("disease", ancestors={}),
        "MONDO:0700096": term("human disease", ancestors={"MONDO:0000001": 1}),
        "MONDO:1": term("metabolic disease", synonyms=["metabolic disorder"]),
        "MONDO:2": term("bronchial disorder", synonyms=["bronchial disease"]),
        "MONDO:3": term("hereditary bronchial disease"),
        "MONDO:10": term("gout", GOUT, {"MONDO:1": 1}, ["gouty arthropathy"]),
        "MONDO:11": term("asthma", ASTHMA, {"MONDO:2": 1, "MONDO:3": 1}),
        "MONDO:12": term(
            "gout type 7",
            f"{GOUT} It resembles asthma, miasma, catarrh and dropsy.",
            {"MONDO:10": 1},
        ),
        "MONDO:13": term(
            "gonorrhea",
            "An infection of the genital tract of men and of women by bacteria that live in cells.",
        ),
        "MONDO:16": term("miasma", GOUT),
        "MONDO:18": term(
            "catarrh", "Any ague in which the cause of the disease is a mutation in a gene."
        ),
        "MONDO:17": term("dropsy", GOUT.replace("characterized by", "with")),
        "MONDO:14": {**term("old gout", GOUT), "deprecated": True},
        "MONDO:15": term(
            "scrapie",
            "A fatal disease of the brain that is seen in sheep, which fall and rub off wool.",
        ),
    }


def term(
    label: str,
    description: str = "",
    parents: dict[str, int] | None = None,
    synonyms: list[str] | None = None,
    ancestors: dict[str, int] | None = None,
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "label": label,
        "ancestors": {**(parents or {}), **HUMAN} if ancestors is None else ancestors,
        "deprecated": False,
    }
    if description:
        content["description"] = description
    if synonyms:
        content["synonyms"] = synonyms
    return content


def obo(names: tuple[str, ...] = FINDINGS) -> str:
    text = "data-version: hp/releases/2025-01-16\n\n[Term]\nid: HP:0000118\nname: Abnormality\n"
    for number, name in enumerate(names):
        text += (
            f"\n[Term]\nid: HP:{number}\nname: {name}\n"
            f'def: "What the doctor Babinski and many patients in towns and villages know as number'
            f' {number} of all that is found." [PMID:1]'
            f'\nsynonym: "{name} in words" EXACT layperson []\nis_a: HP:0000118 ! x\n'
        )
    return text


def annotation(finding: str, frequency: str, evidence: str = "PCS", **other: str) -> str:
    cells = {"name": "Gout", "qualifier": "", "aspect": "P"} | other
    return (
        f"OMIM:1\t{cells['name']}\t{cells['qualifier']}\t{finding}\tPMID:1\t{evidence}\t\t"
        f"{frequency}\t\t\t{cells['aspect']}\tx"
    )


def write_files(folder: Path, annotations: list[str]) -> None:
    write_mondo(folder / "MONDO-ontology-v2026-05-05.json.zst", mondo_terms())
    (folder / "hp.obo").write_text(obo())
    lines = ["#version: 2025-01-16", HEADER, *annotations]
    (folder / "phenotype.hpoa").write_text("\n".join(lines) + "\n")


def write_mondo(path: Path, terms: object) -> None:
    with pa.output_stream(str(path), compression="zstd") as stream:
        stream.write(json.dumps(terms).encode())
