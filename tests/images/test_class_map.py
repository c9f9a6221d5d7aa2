"""A class map joins what the data say into what the model tells apart."""

from pathlib import Path

import pytest

from melaudit.audit.prepare.configuration import Configuration, configure
from melaudit.errors import ConfigurationError, DatasetError
from melaudit.images.class_map import apply_map, offer
from melaudit.images.dataset import open_dataset
from melaudit.settings import settings_of
from tests.images.test_dataset import labelled, put, table

DIAGNOSES = "image,dx\n1.jpg,mel\n2.jpg,bcc\n3.jpg,nv\n4.jpg,bkl\n5.jpg,Basal cell\n"


def read(text: str) -> dict[str, str]:
    found: dict[str, str] = settings_of(Configuration)["class_map"].read(text)
    return found


def diagnoses(folder: Path) -> Path:
    return table(put(folder, *(f"{i}.jpg" for i in range(1, 6))), DIAGNOSES)


def test_labels_are_joined_and_the_rest_goes_to_the_star(tmp_path: Path) -> None:
    joined = read("mel=malignant, BCC=malignant, basal cell=malignant, *=benign")
    dataset = open_dataset(diagnoses(tmp_path), class_map=joined)
    assert dataset.classes == ("benign", "malignant")
    assert list(labelled(dataset).values()) == [
        *("malignant", "malignant", "benign", "benign", "malignant")
    ]
    assert any("malignant is Basal cell, bcc, mel" in note for note in dataset.notes)
    other = open_dataset(diagnoses(tmp_path), class_map=joined, classes=("malignant", "benign"))
    assert other.classes == ("malignant", "benign")
    assert labelled(other) == labelled(dataset)


def test_an_empty_class_leaves_images_out_and_is_no_lost_image(tmp_path: Path) -> None:
    dataset = open_dataset(diagnoses(tmp_path), class_map=read("nv=,bkl=,mel=malignant"))
    assert dataset.ids == ("1.jpg", "2.jpg", "5.jpg")
    assert dataset.classes == ("Basal cell", "bcc", "malignant")  # unnamed ones stay
    assert not dataset.skipped
    assert any("2 images of bkl, nv were left out" in note for note in dataset.notes)
    with pytest.raises(DatasetError, match="leaves out all images"):
        open_dataset(diagnoses(tmp_path), class_map=read("*="))


def test_a_map_joins_folders_and_one_hot_columns(tmp_path: Path) -> None:
    folder = put(tmp_path, "f/mel/1.jpg", "f/nv/2.jpg", "f/bkl/3.jpg")
    joined = read("mel=malignant,*=benign")
    assert open_dataset(folder / "f", class_map=joined).labels.tolist() == [0, 1, 0]
    hot = table(folder, "image,MEL,NV,BKL\n1,0,1,0\n2,1,0,0\n3,0,0,1\n")
    dataset = open_dataset(hot, class_map=joined)
    assert dict(zip(dataset.ids, dataset.labels.tolist(), strict=True))["f/nv/2.jpg"] == 1
    assert not any("order of the classes is that of the table" in n for n in dataset.notes)


@pytest.mark.parametrize("written", ["0 1 2", "0.0 1.0 2.0", "00 01 02"])
def test_numbers_are_named_however_they_are_written(tmp_path: Path, written: str) -> None:
    rows = "".join(f"{i}.jpg,{cell}\n" for i, cell in enumerate(written.split()))
    path = table(put(tmp_path, "0.jpg", "1.jpg", "2.jpg"), "image,label\n" + rows)
    dataset = open_dataset(path, class_map=read("1=malignant,2.0=malignant,0=benign"))
    assert dataset.classes == ("benign", "malignant")
    assert dataset.labels.tolist() == [0, 1, 1]


def test_a_name_in_vain_is_said(tmp_path: Path) -> None:
    notes = open_dataset(diagnoses(tmp_path), class_map=read("melanom=malignant,*=benign")).notes
    assert any("names melanom, which the data do not have" in note for note in notes)


def test_the_offer_uses_the_users_own_names_and_can_be_followed(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        open_dataset(diagnoses(tmp_path), classes=("good", "malignant"))
    assert "--class-map mel=malignant" not in str(caught.value)
    offered = offer(("Basal cell", "bcc", "bkl", "mel", "nv"), ("good", "malignant"))
    assert offered == "--class-map 'bcc=malignant,mel=malignant,*=good'"
    assert offered in str(caught.value)
    followed = read(offered.removeprefix("--class-map ").strip("'"))
    dataset = open_dataset(diagnoses(tmp_path), classes=("good", "malignant"), class_map=followed)
    assert dataset.labels.tolist() == [1, 1, 0, 0, 0]
    assert offer(("cat", "dog", "cow"), None) == "--class-map 'cat=positive,*=negative'"


def test_a_settings_file_holds_a_map_as_a_table_or_as_text(tmp_path: Path) -> None:
    for value in ('{ mel = "malignant", nv = "", "*" = "benign" }', '"mel=malignant,nv=,*=benign"'):
        (tmp_path / "melaudit.toml").write_text(f'data = "x"\nclass_map = {value}\n')
        settings = configure({"model": tmp_path / "m.pt"})
        assert settings.class_map == {"mel": "malignant", "nv": "", "*": "benign"}


@pytest.mark.parametrize("text", ["mel", "mel=a,mel=b"])
def test_a_malformed_map_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="class_map"):
        read(text)


def test_an_image_without_a_label_stays_without_one() -> None:
    mapped = apply_map(["a", None, "b"], ["a", "b"], {"a": ""})
    assert (mapped.labels[1], mapped.kept, mapped.classes) == (None, (1, 2), ("b",))
