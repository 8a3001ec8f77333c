import pandas as pd

from benchmarks.measured import OURS, compare


def test_ratios_are_medians_of_the_quotients_within_a_round() -> None:
    rates = {"padded": (10, 5, 10), "packed": (50, 20, 40), OURS: (100, 50, 120)}
    rows = [
        {"arm": arm, "round": number, "tokens_per_s": rate}
        for arm, rounds in rates.items()
        for number, rate in enumerate(rounds)
    ]
    table = compare(pd.DataFrame(rows))
    assert table.index.tolist() == list(rates)
    assert table.loc["padded"].tolist() == ["10 (5–10)", "10.00 ×"]
    assert table.loc["packed"].tolist() == ["40 (20–50)", "2.50 ×"]
    assert table.loc[OURS].tolist() == ["100 (50–120)", "1.00 ×"]
