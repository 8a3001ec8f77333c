from medtune.report.rendering import markdown_table


def test_columns_of_a_table_align_texts_left_and_numbers_right() -> None:
    rows = [["score", "base"], ["BLEU", "7.8"], ["perplexity", "11.00"]]
    assert markdown_table(rows).splitlines() == [
        "| score      |  base |",
        "| ---------- | ----: |",
        "| BLEU       |   7.8 |",
        "| perplexity | 11.00 |",
    ]
    assert markdown_table([["a", "bc"], ["ccc", "d"]], texts=2).splitlines() == [
        "| a   | bc |",
        "| --- | -- |",
        "| ccc | d  |",
    ]
