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
