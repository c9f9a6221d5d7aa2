"""Tests of what a figure's name says of its scale."""

import pytest

from melaudit.reports import scales


@pytest.mark.parametrize(
    ("name", "none"),
    [
        ("odds ratio of the label", 1.0),
        ("relevance excess on the ring", 0.0),
        ("sharpness of the skin: area under the ROC curve of the label", 0.5),
        ("change of the area under the ROC curve", 0.0),
        ("share of images that stand out", None),
    ],
)
def test_the_name_tells_what_no_effect_is(name: str, none: float | None) -> None:
    assert scales.no_effect(name) == none


def test_areas_are_compared_by_how_far_they_are_from_chance() -> None:
    assert scales.distance("area under the ROC curve", 0.2) == pytest.approx(0.3)
    assert scales.distance("area under the ROC curve", 0.6) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("change of decisions beyond placebo (share)", 0.375, "38\u00a0%"),
        ("difference of rates between groups", 0.0, "0\u00a0%"),
        ("difference of rates between groups", 0.14, "14\u00a0%"),
        ("relevance excess on the hair", 0.000735, "0.07\u00a0%"),
        ("relevance excess on the hair", 0.0123, "1.2\u00a0%"),
        ("relevance excess at a fixed position", None, "\u2013"),
        ("odds ratio", 3.5, "3.5"),
        ("area under the ROC curve", 0.65, "0.65"),
    ],
)
def test_shares_are_written_as_percentages(name: str, value: float | None, shown: str) -> None:
    assert scales.written(name, value) == shown


def test_what_a_percentage_says_itself_is_not_said_again() -> None:
    assert scales.plain("change of decisions (share)") == "change of decisions"
    assert scales.plain("share of relevance") == "share of relevance"
