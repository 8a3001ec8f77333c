from medtune.report.charts import IntervalAxis, line_chart


def test_chart_stays_inside_its_frame_and_skips_what_is_not_finite() -> None:
    chart = line_chart({"train": [(1, 3.0), (7, float("nan")), (120, 1.0)], "validation": []})
    assert chart is not None
    points = chart.series["train"]
    assert [point[2:] for point in points] == [(1, 3.0), (120, 1.0)]
    assert points[0][1] < points[1][1], "a higher loss is further up"
    for x, y, *_ in points:
        assert chart.left <= x <= chart.right and 0 <= y <= chart.bottom
    assert chart.x_ticks[0] == (chart.left, "0") and chart.y_ticks[0] == (chart.bottom, "0")


def test_without_a_finite_loss_there_is_no_chart() -> None:
    assert line_chart({"train": [(1, float("inf"))], "validation": []}) is None


def test_axis_holds_zero_and_all_values() -> None:
    axis = IntervalAxis([0.25, 0.5])
    assert [axis.at(value) for value in (0, 0.25, 0.5)] == [0, 50, 100]
    assert IntervalAxis([-0.5, -0.25]).at(0) == 100
    assert IntervalAxis([0.0]).at(0) == 0
