from medtune.report.answer_rows import MOST_SHOWN, looping


def test_a_loop_in_a_script_without_spaces_is_folded_too() -> None:
    assert looping("症状是" + "发热和咳嗽，" * 30) == ("症状是发热和咳嗽，发热和咳", 153)


def test_an_answer_that_is_long_or_ends_soon_is_shown_whole() -> None:
    assert looping(" ".join(map(str, range(500)))) is None
    assert looping("a b c d a b c d a b c d") is None
    late = " ".join(map(str, range(100))) + " a b c d" * 90
    assert looping(late) == (" ".join(map(str, range(MOST_SHOWN))), 460)
