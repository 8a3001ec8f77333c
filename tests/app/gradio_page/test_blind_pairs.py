from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from app.gradio_page.blind_pairs import Pair, ShownPair, first_unseen, recorded_pairs
from medtune.judging.vote_file import pair_id


def write(folder: Path, name: str, answers: dict[str, str]) -> None:
    columns = {"id": list(answers), "kind": ["sign"] * len(answers)}
    columns |= {"question": [f"{each}?" for each in answers], "prediction": list(answers.values())}
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def test_pairs_are_the_differing_answers_of_both_models_in_an_order_of_their_own(
    tmp_path: Path,
) -> None:
    assert recorded_pairs(tmp_path) == []
    base = {f"card {n}": f"base {n}" for n in range(9)}
    tuned = {name: f"tuned {name}" for name in reversed(base)} | {"card 3": " base  3"}
    write(tmp_path, "base", base)
    write(tmp_path, "finetuned", tuned)
    found = recorded_pairs(tmp_path)
    assert {pair.id for pair in found} == base.keys() - {"card 3"}
    assert found[0].finetuned == f"tuned {found[0].id}" and found[0].kind == "sign"
    write(tmp_path, "base", dict(reversed(base.items())))
    assert recorded_pairs(tmp_path) == found
    assert [pair.id for pair in found] != sorted(pair.id for pair in found)


def test_the_order_of_the_answers_is_drawn_and_the_vote_knows_it() -> None:
    pair = Pair("card 1", "sign", "Why?", "base", "tuned")
    drawn = {ShownPair(pair).a for _ in range(64)}
    assert drawn == {"base", "finetuned"}
    assert ShownPair(pair, "base").answers == ("base", "tuned")
    assert ShownPair(pair, "finetuned").answers == ("tuned", "base")
    assert ShownPair(pair, "base").vote("ada", "b", "").outcome == 1


def test_the_first_pair_that_was_not_seen_comes_next() -> None:
    pairs = [Pair(f"{n}", "sign", "Why?", f"base {n}", "tuned") for n in range(3)]
    assert first_unseen(pairs, {pair_id("Why?", "base 0", "tuned")}) == pairs[1]
    assert first_unseen(pairs, {pair.digest for pair in pairs}) is None
