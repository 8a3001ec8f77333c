from medtune.comparison.collapsed_kinds import Collapse, collapses


def kinds(**values: tuple[float, float]) -> dict[str, float]:
    """Metrics of one kind: base and fine-tuned by score."""
    flat: dict[str, float] = {"features.n": 25, "features.groups": 9}
    for score, (base, finetuned) in values.items():
        flat |= {f"features.{score}.base": base, f"features.{score}.finetuned": finetuned}
    return flat


def test_a_kind_whose_answers_no_longer_end_is_found() -> None:
    assert collapses(kinds(stopped_rate=(0.84, 0.4), rougeL=(0.1, 0.5))) == [
        Collapse("features", 25, "stopped_rate", 0.84, 0.4)
    ]


def test_losses_within_the_tolerance_and_gains_are_none() -> None:
    assert collapses(kinds(stopped_rate=(0.84, 0.8), repetition_rate=(0.02, 0.06))) == []
    assert collapses(kinds(stopped_rate=(0.2, 1.0), repetition_rate=(0.9, 0.0))) == []
    assert collapses({"features.n": 25}) == []


def test_the_largest_loss_comes_first() -> None:
    found = collapses(kinds(repetition_rate=(0.02, 0.38), stopped_rate=(0.84, 0.4)))
    assert [one.score for one in found] == ["stopped_rate", "repetition_rate"]
