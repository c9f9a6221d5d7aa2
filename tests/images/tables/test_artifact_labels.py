"""Artifact labels: which columns count, which rows find their image, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from melaudit.errors import DatasetError
from melaudit.images.tables.artifact_labels import read_artifact_labels

KNOWN = ("dark_ring", "ruler", "ink", "colour_patch", "gel_bubble", "hair")
IDS = ("benign/a.jpg", "benign/b.jpg", "malignant/c.jpg")


@pytest.fixture
def table(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "labels.csv"
        path.write_text(text)
        return path

    return write


def test_each_image_gets_its_label_and_nothing_where_nothing_is_said(table: Any) -> None:
    told = read_artifact_labels(table("image,ruler\na.jpg,1\nc.jpg,0\n"), IDS, KNOWN)
    assert told.columns["ruler"].tolist() == [1, -1, 0]
    assert "2 of 3 images" in told.notes[0]


@pytest.mark.parametrize(
    ("header", "artifact"),
    [
        ("dark_corner", "dark_ring"),
        ("Dark Ring", "dark_ring"),
        ("patches", "colour_patch"),
        ("gel_bubbles", "gel_bubble"),
        ("Sticker", "Sticker"),
    ],
)
def test_columns_are_known_by_the_names_of_public_annotations(
    table: Any, header: str, artifact: str
) -> None:
    told = read_artifact_labels(table(f"image,{header}\na.jpg,1\n"), IDS, KNOWN)
    assert list(told.columns) == [artifact]


def test_yes_and_true_count_and_an_empty_cell_says_nothing(table: Any) -> None:
    told = read_artifact_labels(
        table("image,ruler,ink\na,yes,True\nb,,false\nc,no,TRUE\n"), IDS, KNOWN
    )
    assert told.columns["ruler"].tolist() == [1, -1, 0]
    assert told.columns["ink"].tolist() == [1, 0, 1]


def test_columns_of_anything_else_are_named_and_left_alone(table: Any) -> None:
    told = read_artifact_labels(table("image,class,ruler\na,nevus,1\n"), IDS, KNOWN)
    assert list(told.columns) == ["ruler"]
    assert any("class" in note for note in told.notes)


def test_a_path_from_elsewhere_is_found_by_its_last_part(table: Any) -> None:
    told = read_artifact_labels(table("image,ink\n/data/x/c.jpg,1\n"), IDS, KNOWN)
    assert told.columns["ink"].tolist() == [-1, -1, 1]


def test_rows_that_contradict_each_other_say_nothing_and_are_named(table: Any) -> None:
    told = read_artifact_labels(table("image,ink\na,1\na,0\nb,1\nb,1\n"), IDS, KNOWN)
    assert told.columns["ink"].tolist() == [-1, 1, -1]
    assert "contradicting_rows: 1 (benign/a.jpg)" in told.notes[-1]


def test_rows_of_other_images_are_counted(table: Any) -> None:
    told = read_artifact_labels(table("image,ink\na,1\nz,1\ny,0\n"), IDS, KNOWN)
    assert "not_an_image_of_the_data: 2" in told.notes[-1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,ink\nz,1\n", "none of the 1 rows"),
        ("image,artifact\na,ruler\n", "no column of artifact labels"),
        ("image,ink,pen\na,1,0\n", "both stand for ink"),
        ("ink,hair\n1,0\n", "for the image"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(table: Any, text: str, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        read_artifact_labels(table(text), IDS, KNOWN)


def test_a_table_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        read_artifact_labels(tmp_path / "none.csv", IDS, KNOWN)
