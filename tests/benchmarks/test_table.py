import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import table

ROOT = Path(__file__).parents[2]


def reports(*rates: float) -> list[dict[str, Any]]:
    return [{"tokens": 10 * r, "seconds": 10.0, "peak_memory_gib": 1.5} for r in rates]


def results() -> dict[str, Any]:
    slices = {
        "hf_padded": reports(10, 5, 10),
        "trl_packing": reports(50, 20, 40),
        "ours": reports(100, 50, 120),
    }
    arms = table.arm_results(slices, {arm: {"validation_loss": 2.0} for arm in slices})
    found: dict[str, Any] = {
        "arms": arms,
        "machine": {"device": "A Processor", "cores": 2, "threads": 2, "load": 1.9},
        "versions": {"torch": "1", "peft": "2"},
        "run": {
            "model": "models/base",
            "cards": 16,
            "tokens": 1800,
            "slices": 3,
            "batch_size": 8,
            "precision": "fp32",
            "seed": 42,
        },
    }
    rounds = [
        {"up": 900.0, "large": 1000.0},
        {"up": 500.0, "large": 400.0},
        {"up": 1.0, "large": 1200.0},
    ]
    table.add_limit(found, 5.0, rounds)
    return found


def test_ratios_are_medians_of_the_quotients_within_a_round() -> None:
    arms = results()["arms"]
    assert arms["ours"]["tokens_per_s"] == 100
    assert arms["trl_packing"]["ours_is_faster"] == 2.5
    assert arms["hf_padded"]["ours_is_faster"] == 10
    assert arms["hf_padded"]["seconds"] == 30


def test_the_best_peer_is_not_the_published_way() -> None:
    arms = results()["arms"]
    assert table.best_peer(arms) == "trl_packing"
    assert table.best_peer({name: arms[name] for name in ("hf_padded", "ours")}) is None


def test_the_share_of_the_limit_is_that_of_the_best_product_before_the_round() -> None:
    found = results()
    assert found["limit"]["flops_per_s"] == 1000
    assert found["limit"]["flops_per_s_of_shapes"] == {"up": 500, "large": 1000}
    assert found["arms"]["ours"]["share_of_limit"] == pytest.approx(0.5)


def test_the_table_has_a_row_for_each_arm() -> None:
    lines = table.block(results()).splitlines()
    assert lines[3:6] == [
        "| HF Trainer, padded to 256 | 10 (5–10) | 10.00 × | 5% | 1.50 GiB | 2.000 |",
        "| TRL SFTTrainer, packing to 512 | 40 (20–50) | 2.50 × | 20% | 1.50 GiB | 2.000 |",
        "| medtune | 100 (50–120) | 1.00 × | 50% | 1.50 GiB | 2.000 |",
    ]
    assert "16 cards, 1,800 useful tokens, batches of 8, 3 slices; models/base" in lines[7]


def test_the_readme_shows_the_committed_results_and_no_others() -> None:
    committed = ROOT / "benchmarks/results/train.json"
    (shown,) = table.BLOCK.findall((ROOT / table.README).read_text())
    if committed.exists():
        assert shown == table.block(json.loads(committed.read_text()))
    else:
        assert shown == "<!-- results -->\n<!-- /results -->"
