"""Copies: counted once, worse with two labels, two patients or two splits, none where none are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from melaudit.detectors.measures.signatures import SIDE
from melaudit.detectors.near_duplicates import NearDuplicates
from melaudit.findings import Finding, NotFound, Rung, Severity, Skipped
from melaudit.measurements import Measurements, Pictures
from tests.said import said

Make = Callable[..., Measurements]
N = 200


def column(copies: dict[int, int]) -> dict[str, NDArray[np.uint8]]:
    """Return N different signatures, and rows that are copies of others."""
    rows = np.random.default_rng(0).integers(0, 255, (N, SIDE * SIDE)).astype(np.uint8)
    for copy, original in copies.items():
        rows[copy] = rows[original]
    return {"near_duplicates.signature": rows}


def finding(measurements: Measurements) -> Finding:
    (result,) = said(NearDuplicates().conclude(measurements))
    assert isinstance(result, Finding)
    return result


def test_copies_of_one_label_are_information(measurements: Make) -> None:
    table = measurements(column({100: 5}), labels=np.zeros(N))
    found = finding(table)
    assert found.severity is Severity.INFO
    assert found.rung is Rung.OPPORTUNITY
    assert found.images == (table.ids[5], table.ids[100])
    assert "199 different images" in found.statement
    assert found.evidence[0].estimate == pytest.approx(2 / N)
    assert found.evidence[0].n == N


def test_copies_with_two_labels_are_worse_and_come_first(measurements: Make) -> None:
    labels = np.zeros(N, int)
    labels[150] = 1
    table = measurements(column({100: 5, 150: 7}), labels=labels)
    found = finding(table)
    assert found.severity is Severity.LOW
    assert found.images[:2] == (table.ids[7], table.ids[150])
    assert "1 pair with two labels" in found.statement
    (pairs,) = found.tables
    assert pairs.rows[0][3:] == ("benign", "malignant", "labels")
    assert pairs.rows[1][3:] == ("benign", "benign", "nothing")


def test_many_copies_make_the_numbers_misleading(measurements: Make) -> None:
    found = finding(measurements(column({100 + i: i for i in range(10)}), labels=np.zeros(N)))
    assert found.severity is Severity.LOW
    assert "190 different images" in found.statement


def test_a_photograph_that_stands_there_three_times_is_two_too_many(measurements: Make) -> None:
    found = finding(measurements(column({100: 5, 101: 5}), labels=np.zeros(N)))
    assert "198 different images" in found.statement
    assert len(found.images) == 3
    assert len(found.tables[0].rows) == 3


@pytest.mark.parametrize(
    ("name", "word"), [("patient_id", "patients"), ("Split", "splits"), ("lesion_id", "patients")]
)
def test_copies_across_patients_and_splits_are_told(
    measurements: Make, name: str, word: str
) -> None:
    cells: NDArray[Any] = np.array([f"x{i}" for i in range(N)], object)
    cells[101] = cells[6]
    cells[102] = None
    table = replace(
        measurements(column({100: 5, 101: 6, 102: 7}), labels=np.zeros(N)),
        metadata={name: cells},
    )
    found = finding(table)
    assert found.severity is Severity.LOW
    assert [row[5] for row in found.tables[0].rows] == [word, "nothing", "nothing"]


def test_different_photographs_are_no_copies(measurements: Make) -> None:
    (result,) = said(NearDuplicates().conclude(measurements(column({}), labels=np.zeros(N))))
    assert isinstance(result, NotFound)
    assert result.n == N


def test_a_single_image_is_skipped(measurements: Make) -> None:
    one = {"near_duplicates.signature": column({})["near_duplicates.signature"][:1]}
    (result,) = said(NearDuplicates().conclude(measurements(one, labels=np.zeros(1))))
    assert isinstance(result, Skipped)


def trained_on(rows: NDArray[np.uint8], copies: dict[int, int]) -> Pictures:
    """Return 300 other training images, some of which are rows of the audited ones, relit."""
    other = np.random.default_rng(1).integers(0, 255, (300, rows.shape[1])).astype(np.uint8)
    for place, row in copies.items():
        other[place] = np.clip(rows[row] * 0.9 + 9, 0, 255)
    return Pictures(tuple(f"train/{k}.jpg" for k in range(300)), other)


def test_audited_images_that_were_trained_on_are_a_finding(measurements: Make) -> None:
    columns = column({})
    table = measurements(columns, labels=np.zeros(N))
    seen = trained_on(columns["near_duplicates.signature"], {7: 3, 8: 3, 250: 150})
    own, leaked = said(NearDuplicates().conclude(replace(table, learned=seen)))
    assert isinstance(own, NotFound) and isinstance(leaked, Finding)
    assert leaked.id == "near_duplicates.training"
    assert leaked.images == (table.ids[3], table.ids[150])
    assert leaked.evidence[0].estimate == pytest.approx(2 / N)
    assert [row[:2] for row in leaked.tables[0].rows] == [
        (table.ids[3], "train/7.jpg"),
        (table.ids[150], "train/250.jpg"),
    ]
    assert leaked.severity is Severity.LOW


def test_other_training_images_are_none_and_say_how_many_could_be(measurements: Make) -> None:
    columns = column({})
    seen = trained_on(columns["near_duplicates.signature"], {})
    table = replace(measurements(columns, labels=np.zeros(N)), learned=seen)
    _, missed = said(NearDuplicates().conclude(table))
    assert isinstance(missed, NotFound)
    # The exact upper end for none of 200 is 1 - .025^(1 / 200).
    assert missed.minimum_detectable_effect == pytest.approx(1 - 0.025 ** (1 / N), rel=1e-3)
