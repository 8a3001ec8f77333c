import pytest

from benchmarks import limit


def test_flops_are_those_of_the_formula() -> None:
    sizes = {"body": 100, "head": 50, "lora": 10}
    assert limit.flops_per_token(sizes, supervised_share=0.2) == 4 * 100 + 4 * 50 * 0.2 + 6 * 10


def test_the_shapes_are_those_of_the_model() -> None:
    config = {"hidden_size": 4, "intermediate_size": 6, "vocab_size": 9}
    assert limit.shapes(config, tokens=32, supervised=12) == {
        "up": (32, 4, 6),
        "down": (32, 6, 4),
        "query": (32, 4, 4),
        "head": (12, 4, 9),
        "large": (limit.LARGE,) * 3,
    }


def test_a_rate_is_measured_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "SUSTAINED_S", 0.0)
    monkeypatch.setattr("time.perf_counter", iter([0.0, -1.0, 2.0]).__next__)
    assert limit.measure({"small": (2, 3, 5)}) == {"small": 2 * 2 * 3 * 5 * 4 / 2.0}
