"""The user's own artifacts: associated with the classes, and nothing more is claimed."""

import dataclasses
from collections.abc import Callable

import numpy as np

from melaudit.detectors.labelled_artifacts import LabelledArtifacts
from melaudit.findings import Finding, NotFound, Rung, Severity, Skipped
from melaudit.measurements import Measurements
from tests.said import said

MakeMeasurements = Callable[..., Measurements]
LABELS = np.repeat([0, 1], 60)


def labelled(make: MakeMeasurements, codes: object) -> Measurements:
    table = make({}, labels=LABELS)
    return dataclasses.replace(table, labelled={"sticker": np.asarray(codes, np.int8)})


def test_an_artifact_that_goes_with_a_class_is_an_opportunity(
    measurements: MakeMeasurements,
) -> None:
    codes = np.where(LABELS == 1, np.arange(120) % 2, 0)
    (found,) = said(LabelledArtifacts().conclude(labelled(measurements, codes)))
    assert isinstance(found, Finding)
    assert (found.rung, found.severity) == (Rung.OPPORTUNITY, Severity.LOW)
    assert "30 of 60 malignant images" in found.statement
    assert len(found.images) == 30


def test_an_artifact_of_all_classes_is_innocent(measurements: MakeMeasurements) -> None:
    (found,) = said(LabelledArtifacts().conclude(labelled(measurements, np.arange(120) % 3 == 0)))
    assert isinstance(found, NotFound)


def test_images_of_which_nothing_is_said_do_not_count(measurements: MakeMeasurements) -> None:
    codes = np.full(120, -1)
    codes[:4] = 1
    codes[4:40] = 0
    (found,) = said(LabelledArtifacts().conclude(labelled(measurements, codes)))
    assert isinstance(found, Skipped)
    assert "4 of 40" in found.reason


def test_no_labels_are_no_finding(measurements: MakeMeasurements) -> None:
    (found,) = said(LabelledArtifacts().conclude(measurements({}, labels=LABELS)))
    assert isinstance(found, Skipped)
