from medtune.splits.normalisation import normalised


def test_normalised_text_ignores_case_spacing_and_punctuation() -> None:
    assert normalised("  What IS\u00a0gout? ") == normalised("what is gout") == "what is gout"
    assert normalised("5 µg of β-carotene") == "5 μg of β carotene"


def test_a_chinese_or_japanese_character_is_a_word() -> None:
    assert normalised("痛风是什么?") == "痛 风 是 什 么"
    assert normalised("IgA腎症とは") == "iga 腎 症 と は"
