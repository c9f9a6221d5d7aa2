"""Tests of the layout of small charts."""

import math

import pytest

from melaudit.reports.interface import Curve, Series
from melaudit.reports.page import charts


def test_an_interval_holds_its_estimate_and_the_value_of_no_effect() -> None:
    chart = charts.interval(0.8, 0.7, 0.9, reference=0.0)

    assert chart is not None and chart.reference is not None
    places = [float(p) for p in (chart.reference, chart.low, chart.point, chart.high)]
    assert places == sorted(places)
    # 0 to 0.9 over the 88 units between the paddings
    assert float(chart.point) == pytest.approx(6 + 88 * 0.8 / 0.9, abs=0.1)
    assert "no effect would be 0" in chart.label


def test_a_ratio_lies_on_a_logarithmic_line() -> None:
    chart = charts.interval(10.0, 1.0, 100.0, reference=1.0, log=True)

    assert chart is not None
    assert float(chart.point) == pytest.approx(50, abs=0.1)


def test_a_ratio_of_zero_falls_back_to_a_plain_line() -> None:
    chart = charts.interval(2.0, 0.0, 4.0, reference=1.0, log=True)

    assert chart is not None
    assert float(chart.point) == pytest.approx(50, abs=0.1)


def test_an_end_without_bound_is_open() -> None:
    chart = charts.interval(2.0, 1.0, math.inf, reference=1.0, log=True)

    assert chart is not None
    assert (chart.open_low, chart.open_high) == (False, True)
    assert chart.high == "100"


def test_an_unknown_estimate_has_no_chart() -> None:
    assert charts.interval(math.nan, 0.0, 1.0, reference=0.0) is None


def test_an_interval_without_width_stays_on_its_line() -> None:
    chart = charts.interval(0.0, 0.0, 0.0, reference=0.0)

    assert chart is not None
    assert chart.point == chart.low == chart.high == "50.0"


def test_a_curve_of_shares_runs_from_nought_to_one() -> None:
    plot = charts.plot(Curve("f", "t", "dose", "share", (Series("ring", (0.0, 1.0), (0.1, 0.9)),)))

    assert plot is not None
    assert [t.label for t in plot.y_ticks] == [
        f"{share}\u00a0%" for share in (0, 20, 40, 60, 80, 100)
    ]
    (line,) = plot.lines
    (x0, y0), (x1, y1) = ((float(x), float(y)) for x, y in line.points)
    assert (x0, x1) == (plot.left, plot.right)
    assert (plot.bottom - y0) / (plot.bottom - plot.top) == pytest.approx(0.1, abs=0.001)
    assert (plot.bottom - y1) / (plot.bottom - plot.top) == pytest.approx(0.9, abs=0.001)


def test_a_curve_has_its_table() -> None:
    series = (Series("ring", (0.0, 1.0), (0.1, 0.9)), Series("placebo", (0.0,), (0.1,)))

    plot = charts.plot(Curve("f", "t", "dose", "share", series))

    assert plot is not None
    assert plot.columns == ("dose", "ring", "placebo")
    assert plot.rows == (("0", "10\u00a0%", "10\u00a0%"), ("1", "90\u00a0%", "\u2013"))


def test_a_curve_of_anything_else_keeps_its_numbers() -> None:
    series = (Series("ring", (0.0, 1.0), (0.1, 0.9), (0.0, 0.8), (0.2, 1.0)),)

    plot = charts.plot(Curve("f", "t", "dose", "logit", series))

    assert plot is not None
    assert plot.banded
    assert plot.rows == (("0", "0.1 (0 to 0.2)"), ("1", "0.9 (0.8 to 1)"))


def test_every_line_differs_by_more_than_colour() -> None:
    series = tuple(Series(f"s{k}", (0.0, 1.0), (0.1 * k, 0.2 * k)) for k in range(1, 4))

    plot = charts.plot(Curve("f", "t", "dose", "share", series))

    assert plot is not None
    assert len({line.style for line in plot.lines}) == 3


def test_a_curve_without_a_point_is_not_drawn() -> None:
    assert charts.plot(Curve("f", "t", "x", "y", (Series("s", (math.nan,), (0.5,)),))) is None
    assert charts.plot(Curve("f", "t", "x", "y", ())) is None
