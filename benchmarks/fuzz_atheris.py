"""Lets atheris look for input that takes the readers to new places in the code.

atheris is no dependency of the project: `pip install atheris` into an environment that has it. A
finding is kept in .hypothesis/fuzz/ and the run ends; libFuzzer's own options go behind the name.

    python -m benchmarks.fuzz_atheris a.jsonl -runs=1000000
"""

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["medtune", "zipfile", "csv", "json"]):
    from benchmarks.corpus import TOKENS, make_file
    from benchmarks.fuzz import KEPT, NAMES, Case, make_companions, run_case
    from medtune.config.loading import load_params

SEEDS = 50


def main() -> None:
    name = sys.argv[1]
    assert name in NAMES, f"{name}: one of {', '.join(NAMES)}"
    clean = load_params("clean")

    def read(content: bytes) -> None:
        run_case(Case(name, make_companions(name) | {name: content}), clean)

    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        words = ("".join(map(r"\x{:02x}".format, token[:60])) for token in TOKENS)
        (Path(folder) / "words").write_text("".join(f'"{word}"\n' for word in words))
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number in range(SEEDS):
            (corpus / str(number)).write_bytes(make_file(name, random.Random(number)))
        options = [f"-artifact_prefix={KEPT}/{name}-", f"-dict={folder}/words", "-timeout=20"]
        atheris.Setup([sys.argv[0], *options, *sys.argv[2:], str(corpus)], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
