"""The answers of two audits, image by image, from the tables in their folders."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from melaudit.findings import Findings
from melaudit.reports.comparison.answers import paired_answers
from melaudit.reports.interface import Record


@pytest.fixture
def ring(records: dict[str, Record]) -> Findings:
    return records["ring"].findings


def folder(place: Path, **columns: list[str]) -> Path:
    place.mkdir()
    pd.DataFrame(columns).to_parquet(place / "images.parquet")
    return place


def test_images_are_matched_by_id_and_those_without_a_label_do_not_count(
    tmp_path: Path, ring: Findings
) -> None:
    first = folder(
        tmp_path / "a", id=["1", "2", "3", "4"], label=["x", "y", "", "x"],
        prediction=["x", "x", "x", "y"],
    )  # fmt: skip
    second = folder(
        tmp_path / "b", id=["4", "2", "3", "5"], label=["x", "y", "", "x"],
        prediction=["x", "y", "x", "x"],
    )  # fmt: skip
    right = paired_answers(ring, ring, (first, second))
    assert right is not None
    assert [list(each) for each in right] == [[False, False], [True, True]]


def test_other_images_and_folders_without_a_table_make_no_pairs(
    tmp_path: Path, ring: Findings
) -> None:
    first = folder(tmp_path / "a", id=["1"], label=["x"], prediction=["x"])
    other = replace(ring, provenance=replace(ring.provenance, data_fingerprint="0" * 64))
    assert paired_answers(ring, other, (first, first)) is None
    assert paired_answers(ring, ring, (first, tmp_path)) is None
    assert paired_answers(ring, ring, (first, tmp_path / "findings.json")) is None
