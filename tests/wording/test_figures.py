"""Tests of how figures and foreign names are written."""

import math
import re
from pathlib import Path

import pytest

import melaudit
from melaudit.wording import figures as wording


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
    assert wording.percent(0.9996) == ">\u00a099\u00a0%"
    assert wording.percent(0.0004) == "<\u00a01\u00a0%"
    assert wording.percent(-0.0004) == ">\u00a0\u22121\u00a0%"
    assert wording.percent(1.0) == "100\u00a0%"
    assert wording.percent(0.0) == "0\u00a0%"
    assert wording.percent(0.99996, 1) == ">\u00a099.9\u00a0%"


def test_an_interval_names_the_end_that_has_no_bound() -> None:
    assert wording.interval(1.2, 3.4) == "1.2 to 3.4"
    assert wording.interval(1.2, math.inf) == "at least 1.2"
    assert wording.interval(math.nan, 3.4) == "at most 3.4"
    assert wording.interval(math.nan, math.nan) == "no bound found"


def test_a_p_value_is_never_zero() -> None:
    assert wording.chance("p", 0.0) == "p\u00a0<\u00a00.0001"
    assert wording.chance("q", 0.0321) == "q\u00a0=\u00a00.032"
    assert wording.chance("q", None) == ""


@pytest.mark.parametrize(
    "character",
    ["\u202e", "\u200b", "\ufeff", "\x1b", "\n", "\x00", "\udcff", "\u2028", "\u2066", "\x7f"],
)
def test_a_character_that_hides_or_acts_is_shown_as_its_code_point(character: str) -> None:
    shown = wording.visible(f"a{character}b")

    assert character not in shown
    assert f"U+{ord(character):04X}" in shown


def test_ordinary_text_of_any_script_stays_as_it_is() -> None:
    for text in ("melanoma.jpg", "Fläche é ß", "黒子", "μ = 0.5", "a\u00a0b"):
        assert wording.visible(text) == text


def test_a_long_name_loses_its_middle_and_keeps_its_end() -> None:
    shown = wording.name("x" * 300 + "_0042.jpg", 40)

    assert len(shown) == 40
    assert shown.endswith("_0042.jpg")


def test_times_and_durations_are_read_as_people_say_them() -> None:
    assert wording.date("2026-11-03T14:05:00+00:00") == "3 Nov 2026"
    assert wording.moment("2026-11-03T16:05:00+02:00") == "3 Nov 2026, 14:05\u00a0UTC"
    assert wording.date("not a date") == "not a date"
    assert wording.duration(812.4) == "13\u00a0min 32\u00a0s"
    assert wording.duration(7400) == "2\u00a0h 3\u00a0min"


def test_an_identifier_is_said_in_words() -> None:
    assert wording.human("dark_ring") == "dark ring"
    assert wording.human("property_label.colour") == "property label: colour"
    assert wording.human("jpeg_quality") == "JPEG quality"


def test_no_line_ends_between_a_figure_and_its_percent_sign() -> None:
    assert wording.bound("62 % (41 % to 90.5 %).") == ("62\u00a0% (41\u00a0% to 90.5\u00a0%).")
    assert wording.bound("a %s, 5 %d and %") == "a %s, 5 %d and %"


def test_no_sentence_is_written_with_a_format_that_leaves_out_the_space() -> None:
    formats = [
        f"{path.name}: {found}"
        for path in Path(melaudit.__file__).parent.rglob("*.py")
        for found in re.findall(r"\{[^{}]*:[,.\d]*%\}", path.read_text("utf-8"))
    ]
    assert formats == []
