"""Tests of whose result is whose, and what it is called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from melaudit.findings import DetectorInfo, Findings, Subject
from melaudit.wording.detectors import detector_of, title_of
from tests.reports.made_up_findings import findings


def told() -> Findings:
    """Return findings of a run with two detectors, the id of one being the start of the other's."""
    return replace(
        findings(),
        detectors=(
            DetectorInfo("hair", "Hairs", Subject.ARTIFACT, "", ""),
            DetectorInfo("hair.lines", "Lines of hair", Subject.ARTIFACT, "", ""),
        ),
    )


@pytest.mark.parametrize(
    ("result", "owner"),
    [
        ("hair", "hair"),
        ("hair.benign", "hair"),
        ("hair (errors)", "hair"),
        ("hair.lines.benign", "hair.lines"),
        ("hairy", None),
        ("air", None),
        ("", None),
    ],
)
def test_a_result_belongs_to_the_detector_whose_id_it_begins_with(
    result: str, owner: str | None
) -> None:
    detector = detector_of(told(), result)

    assert (detector.id if detector else None) == owner


@pytest.mark.parametrize(
    ("result", "title"),
    [
        ("hair", "Hairs"),
        ("hair.left_half", "Hairs: left half"),
        ("hair (errors)", "Hairs: errors"),
        ("near_duplicates.names", "Near duplicates: names"),
    ],
)
def test_a_result_is_called_by_its_detectors_title_and_what_was_looked_at(
    result: str, title: str
) -> None:
    assert title_of(told(), result) == title
