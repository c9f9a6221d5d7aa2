"""Tests of how figures are written."""

import math

import pytest

from melaudit import wording
from melaudit.wording.figures import correlation


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.05, "0.05"),
        (0.9123, "0.912"),
        (2.4096, "2.41"),
        (14100.0, "14,100"),
        (-0.913, "\u22120.913"),
        (2.4e-6, "2.4\u00a0\u00d7\u00a010\u207b\u2076"),
        (-0.0, "0"),
        (math.inf, "\u221e"),
        (-math.inf, "\u2212\u221e"),
        (math.nan, "\u2013"),
        (None, "\u2013"),
    ],
)
def test_a_figure_has_three_significant_digits(value: float | None, shown: str) -> None:
    assert wording.figure(value) == shown


@pytest.mark.parametrize("value", [10.0**k * m for k in range(-8, 9) for m in (1, 1.2345, 9.996)])
def test_a_figure_keeps_its_value_to_three_digits(value: float) -> None:
    plain = str.maketrans(
        "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079",
        "-0123456789",
        ",\u00a0",
    )
    shown = wording.figure(value).replace("\u00d7\u00a010", "e").translate(plain)

    assert float(shown) == pytest.approx(value, rel=0.006)


def test_a_share_is_called_all_or_nothing_only_when_it_is() -> None:
    assert wording.rounded_percent(0.9996) == ">\u00a099\u00a0%"
    assert wording.rounded_percent(0.0004) == "<\u00a01\u00a0%"
    assert wording.rounded_percent(-0.0004) == ">\u00a0\u22121\u00a0%"
    assert wording.rounded_percent(1.0) == "100\u00a0%"
    assert wording.rounded_percent(0.0) == "0\u00a0%"
    assert wording.rounded_percent(0.99996, 1) == ">\u00a099.9\u00a0%"


def test_an_interval_names_the_end_that_has_no_bound() -> None:
    assert wording.span(1.2, 3.4) == "1.2 to 3.4"
    assert wording.span(1.2, math.inf) == "at least 1.2"
    assert wording.span(math.nan, 3.4) == "at most 3.4"
    assert wording.span(math.nan, math.nan) == "no bound found"


def test_a_p_value_is_never_zero() -> None:
    assert wording.chance("p", 0.0) == "p\u00a0<\u00a00.0001"
    assert wording.chance("q", 0.0321) == "q\u00a0=\u00a00.032"
    assert wording.chance("q", None) == ""


def test_times_and_durations_are_read_as_people_say_them() -> None:
    assert wording.date("2026-11-03T14:05:00+00:00") == "3 Nov 2026"
    assert wording.moment("2026-11-03T16:05:00+02:00") == "3 Nov 2026, 14:05\u00a0UTC"
    assert wording.date("not a date") == "not a date"
    assert wording.duration(812.4) == "13\u00a0min 32\u00a0s"
    assert wording.duration(7400) == "2\u00a0h 3\u00a0min"


def test_what_is_nearly_one_is_not_written_as_one() -> None:
    shown = [wording.figure(value) for value in (0.9996, -0.99996, 0.999, 1.0, 1.0004)]
    assert shown == ["0.9996", "\u22120.99996", "0.999", "1", "1"]
    assert [correlation(v) for v in (-0.999, 0.92, 1.0, -1.0)] == [
        "-0.999",
        "0.92",
        "1.00",
        "-1.00",
    ]
    assert wording.chance("p", 0.997) == "p\u00a0=\u00a00.997"
