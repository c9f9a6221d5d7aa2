"""Which labels an image has, as tables of chest X-rays say it."""

from pathlib import Path

import pytest
from PIL import Image

from melaudit.choices import Task
from melaudit.errors import DatasetError
from melaudit.images.dataset import open_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abcd":
        Image.new("L", (8, 8)).save(tmp_path / f"{name}.png")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    table = folder / "table.csv"
    table.write_text(text)
    return table


def test_columns_of_0_and_1_are_labels_of_which_several_hold(folder: Path) -> None:
    table = write(
        folder,
        "image,Edema,Age,Lung Opacity\na.png,1,50,1.0\nb.png,0,60,0.0\nc.png,,70,1\nd.png,-1,80,\n",
    )
    found = open_dataset(table)
    assert {k: v.tolist() for k, v in found.marks.items()} == {
        "Edema": [1, 0, -1, -1],
        "Lung Opacity": [1, 0, 1, -1],
    }
    assert not found.classes and (found.labels == -1).all()
    assert any("1 label of -1, uncertain" in note for note in found.notes)
    one = found.of_label("lung_opacity")
    assert one.classes == ("no lung_opacity", "lung_opacity")
    assert one.labels.tolist() == [1, 0, 1, -1]
    assert "age" in one.metadata and "Edema" not in one.metadata
    assert found.take([2, 0]).marks["Edema"].tolist() == [-1, 1]


def test_a_cell_can_list_labels(folder: Path) -> None:
    table = write(
        folder, "Image Index,Finding Labels\na.png,A|B\nb.png,No Finding\nc.png,B\nd.png,\n"
    )
    found = open_dataset(table, image_column="Image Index")
    assert {k: v.tolist() for k, v in found.marks.items()} == {
        "A": [1, 0, 0, -1],
        "B": [1, 0, 1, -1],
    }
    assert any("No Finding is taken for none" in note for note in found.notes)


def test_one_class_for_each_image_is_no_multi_label_table_unless_the_user_says_so(
    folder: Path,
) -> None:
    table = write(folder, "image,A,B\na.png,1,0\nb.png,0,1\nc.png,1,0\nd.png,0,1\n")
    assert open_dataset(table).classes == ("A", "B")
    marked = open_dataset(table, task=Task.MULTI_LABEL)
    assert marked.marks["B"].tolist() == [0, 1, 0, 1]
    assert not open_dataset(table, task=Task.SINGLE_LABEL).marks


def test_rows_of_one_image_that_contradict_each_other_are_left_out(folder: Path) -> None:
    table = write(folder, "image,A,B\na.png,1,1\na.png,1,0\nb.png,0,0\nc.png,1,1\nc.png,1,1\n")
    found = open_dataset(table)
    assert found.ids == ("b.png", "c.png")
    assert found.skipped["conflicting_labels"] and found.skipped["repeated_row"] == 1


def test_a_table_without_such_labels_is_refused_with_what_one_is(folder: Path) -> None:
    with pytest.raises(DatasetError, match="fewer than two columns of 0 and 1"):
        open_dataset(write(folder, "image,dx\na.png,nv\n"), task=Task.MULTI_LABEL)
