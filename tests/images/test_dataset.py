"""Folders and tables of every make open as one kind of data set, or say what to do."""

# Long because: folders and tables come in many makes, and each is a short case.

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.datasets import ImageFolder

from melaudit.errors import DatasetError
from melaudit.images.dataset import Dataset, open_dataset
from melaudit.images.files import Omissions
from melaudit.images.tables.annotations import interpret
from melaudit.images.tables.table import read_table
from melaudit.wording.names import visible


def put(root: Path, *names: str | bytes, content: bytes = b"pixels") -> Path:
    """Make files; opening a data set reads no pixels, so these need not be images."""
    for name in names:
        path = Path(os.fsdecode(os.fsencode(root) + b"/" + os.fsencode(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def table(root: Path, text: str, name: str = "table.csv") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def labelled(dataset: Dataset) -> dict[str, str | None]:
    return {
        identity: dataset.classes[label] if label >= 0 else None
        for identity, label in zip(dataset.ids, dataset.labels, strict=True)
    }


# --- folders


def test_a_folder_of_classes_is_read_as_imagefolder_reads_it(tmp_path: Path) -> None:
    put(tmp_path, "b/2.jpg", "b/1.png", "a/x/y/3.JPG", "a/4.webp", "10/5.tif", "9/6.bmp")
    dataset = open_dataset(tmp_path)
    reference = ImageFolder(str(tmp_path))
    assert dataset.kind == "image folder"
    assert dataset.classes == tuple(reference.classes)
    expected = {os.path.relpath(path, tmp_path): label for path, label in reference.samples}
    assert dict(zip(dataset.ids, dataset.labels.tolist(), strict=True)) == expected
    assert dataset.ids == tuple(sorted(dataset.ids))
    assert [Path(p) for p in dataset.paths] == [tmp_path.resolve() / i for i in dataset.ids]
    assert dataset.sizes.tolist() == [6] * 6
    assert dataset.counts == {"10": 1, "9": 1, "a": 2, "b": 2}


def test_folders_of_numbers_are_in_the_order_of_numbers_and_that_is_said(tmp_path: Path) -> None:
    dataset = open_dataset(put(tmp_path, *(f"{i}/{i}.jpg" for i in range(11))))
    assert dataset.classes == tuple(map(str, range(11)))
    assert dataset.labels.tolist() == [int(Path(name).stem) for name in dataset.ids]
    (note,) = (n for n in dataset.notes if "order of numbers" in n)
    assert "0, 1, 10, 2" in note and "--classes" in note
    as_text = open_dataset(tmp_path, classes=sorted(map(str, range(11))))
    assert as_text.classes[2] == "10" and not any("numbers" in n for n in as_text.notes)
    assert not any("numbers" in n for n in open_dataset(put(tmp_path / "2", "1/a.jpg")).notes)


def test_a_folder_without_classes_is_unlabelled(tmp_path: Path) -> None:
    dataset = open_dataset(put(tmp_path, "2.jpg", "1.jpg"))
    assert (dataset.kind, dataset.classes) == ("folder without labels", ())
    assert dataset.labels.tolist() == [-1, -1]
    assert open_dataset(tmp_path, classes=("a", "b")).classes == ("a", "b")
    assert open_dataset(put(tmp_path / "more", "images/1.jpg")).classes == ()


def test_a_table_lying_in_an_unlabelled_folder_is_pointed_out(tmp_path: Path) -> None:
    table(put(tmp_path, "1.jpg"), "image,label\n1.jpg,x\n", "labels.csv")
    assert "labels.csv" in open_dataset(tmp_path).notes[0]


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        (("train/a", "test/b"), "splits"),
        (("val/a",), "splits"),
        (("HAM10000_images_part_1", "HAM10000_images_part_2"), "parts"),
    ],
)
def test_folders_that_are_no_classes_are_refused(
    folders: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    put(tmp_path, *(f"{folder}/1.jpg" for folder in folders))
    with pytest.raises(DatasetError, match=says):
        open_dataset(tmp_path)


def test_what_is_no_image_is_counted_or_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "b/2.jpg", "top.jpg", "a/notes.txt", "a/scan.dcm", "a/._1.jpg")
    put(tmp_path, "a/Thumbs.db", "a/.DS_Store", ".hidden/3.jpg", "__MACOSX/a/4.jpg")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    dataset = open_dataset(tmp_path)
    assert dataset.ids == ("a/1.jpg", "b/2.jpg")
    assert dataset.skipped == {
        "apple_double": 1,
        "not_a_file": 1,
        "not_an_image_extension": 2,
        "outside_class_folders": 1,
    }
    assert set(dataset.examples["not_an_image_extension"]) == {"a/notes.txt", "a/scan.dcm"}


def test_an_empty_class_folder_keeps_its_place_and_is_noted(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "c/1.jpg", "logs/run.txt")
    (tmp_path / "b").mkdir()
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("a", "b", "c")
    assert labelled(dataset) == {"a/1.jpg": "a", "c/1.jpg": "c"}
    assert "without any image: b" in dataset.notes[0]


def test_one_class_only_is_noted(tmp_path: Path) -> None:
    dataset = open_dataset(put(tmp_path, "malignant/1.jpg"))
    assert dataset.classes == ("malignant",)
    assert "one class, malignant" in dataset.notes[0]


def test_classes_that_lie_deeper_are_asked_about(tmp_path: Path) -> None:
    dataset = open_dataset(put(tmp_path, "site1/benign/1.jpg", "site2/malignant/2.jpg"))
    assert "Are the classes site1, site2?" in dataset.notes[0]


@pytest.mark.parametrize("names", [(), ("a/readme.txt", "x.dcm")])
def test_a_folder_without_images_is_an_error(names: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no images") as error:
        open_dataset(put(tmp_path, *names))
    assert all(name in str(error.value) for name in names)


def test_what_is_no_data_set_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "a.zip")
    for name, says in (("b", "does not exist"), ("a.jpg", "single image"), ("a.zip", "no table")):
        with pytest.raises(DatasetError, match=says):
            open_dataset(tmp_path / name)
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(tmp_path, image_root=tmp_path / "b")


# --- links and hostile names


def test_links_leading_out_are_refused_and_those_leading_in_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    put(inside, "a/1.jpg", "b/2.jpg")
    put(outside, "secret.jpg", "c/3.jpg")
    (inside / "a" / "out.jpg").symlink_to(outside / "secret.jpg")
    (inside / "a" / "in.jpg").symlink_to(inside / "b" / "2.jpg")
    (inside / "a" / "broken.jpg").symlink_to(inside / "nothing")
    (inside / "a" / "loop").symlink_to(inside)
    (inside / "c").symlink_to(outside / "c")
    dataset = open_dataset(inside)
    assert dataset.ids == ("a/1.jpg", "a/in.jpg", "b/2.jpg")
    assert dataset.skipped == {
        "missing": 1,
        "symlink_outside_root": 1,
        "symlinked_folder": 1,
        "folder_outside_root": 1,
    }
    declared = open_dataset(inside, image_root=outside)
    assert declared.classes == ("a", "b", "c")
    assert {"c/3.jpg", "a/out.jpg"} < set(declared.ids)


def test_a_link_out_is_named_for_what_it_leads_to(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    put(inside, "a/1.jpg")
    put(outside, "notes.txt", "c/3.jpg")
    (inside / "a" / "README").symlink_to(outside / "notes.txt")
    (inside / "more").symlink_to(outside / "c")
    assert open_dataset(inside).skipped == {"not_an_image_extension": 1, "folder_outside_root": 1}


def test_a_folder_that_lies_too_deep_is_counted(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "b/2.jpg", "a/" + "d/" * 70 + "3.jpg")
    assert open_dataset(tmp_path).skipped == {"folder_too_deep": 1}


def test_a_root_that_is_a_link_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    put(tmp_path / "real", "a/1.jpg", "b/2.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert open_dataset(tmp_path / "link").root == (tmp_path / "real").resolve()


HOSTILE = (
    "-rf.jpg",
    "{{7*7}}.jpg",
    "<img src=x onerror=alert(1)>.jpg",
    "=cmd|'.jpg",
    "two\nlines.jpg",
    "\x1b[31mred.jpg",
    "CON .jpg",
    "\u202egpj.exe.jpg",
    "zero\u200bwidth.jpg",
    "back\\slash.jpg",
    "back\\u202eslash.jpg",
    "x" * 251 + ".jpg",
    b"latin\xe9.jpg",
    b"\xff\xfe.jpg",
)


def test_hostile_names_are_opened_as_they_are_and_shown_as_they_look(tmp_path: Path) -> None:
    put(tmp_path, *(b"a/" + os.fsencode(name) for name in HOSTILE), "b/1.jpg")
    dataset = open_dataset(tmp_path)
    assert len(set(dataset.ids)) == len(HOSTILE) + 1
    for identity, path in zip(dataset.ids, dataset.paths, strict=True):
        assert Path(path).read_bytes() == b"pixels"
        assert identity.encode("utf-8").decode().isprintable()
    assert "a/two\\nlines.jpg" in dataset.ids
    assert "a/\\u202egpj.exe.jpg" in dataset.ids
    assert "a/back\\\\u202eslash.jpg" in dataset.ids
    assert "a/latin\\xe9.jpg" in dataset.ids
    assert len(dataset.fingerprint) == 64


def test_a_hostile_class_name_is_shown_as_it_looks(tmp_path: Path) -> None:
    put(tmp_path, "</script>/1.jpg", "a\nb/2.jpg")
    assert open_dataset(tmp_path).classes == ("<", "a\\nb")  # the first is a folder in a folder
    assert open_dataset(tmp_path, classes=("a\nb", "<")).classes == ("a\\nb", "<")


@pytest.mark.parametrize("name", ["plain name.jpg", "müll.jpg", "皮膚.png", "é", "🙂"])
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert visible(name) == name


def test_names_that_look_the_same_are_noted(tmp_path: Path) -> None:
    put(tmp_path, "a/caf\u00e9.jpg", "a/cafe\u0301.jpg", "b/X.jpg", "b/x.jpg", "b/y.jpg")
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 5
    assert "4 images have names that differ in case or Unicode form" in dataset.notes[0]


def test_a_folder_that_may_not_be_read_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a/1.jpg", "b/2.jpg", "b/locked/3.jpg")
    scandir = os.scandir

    def guarded(path: str) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    dataset = open_dataset(tmp_path)
    assert dataset.skipped == {"folder_unreadable": 1}
    assert len(dataset) == 2


# --- the order of classes


def test_given_classes_set_the_order_of_the_models_outputs(tmp_path: Path) -> None:
    put(tmp_path, "benign/1.jpg", "Malignant/2.jpg")
    dataset = open_dataset(tmp_path, classes=("malignant", " benign ", "other"))
    assert dataset.classes == ("malignant", "benign", "other")
    assert labelled(dataset) == {"benign/1.jpg": "benign", "Malignant/2.jpg": "malignant"}


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (("benign", "melanoma"), "does not name: malignant.*given benign, melanoma"),
        (("benign",), "does not name: malignant"),
        (("benign", "benign"), "repeated"),
        (("benign", "malignant", ""), "empty"),
    ],
)
def test_classes_that_do_not_fit_are_refused(
    classes: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=says):
        open_dataset(put(tmp_path, "benign/1.jpg", "malignant/2.jpg"), classes=classes)


def test_numbers_are_indices_into_given_classes(tmp_path: Path) -> None:
    path = table(put(tmp_path, "1.jpg", "2.jpg"), "image,target\n1.jpg,1\n2.jpg,0.0\n")
    dataset = open_dataset(path, classes=("benign", "malignant"))
    assert labelled(dataset) == {"1.jpg": "malignant", "2.jpg": "benign"}
    assert "1 as malignant" in dataset.notes[0]
    with pytest.raises(DatasetError, match="does not name"):
        open_dataset(path, classes=("benign",))


# --- tables


def test_a_table_gives_labels_and_metadata_under_known_names(tmp_path: Path) -> None:
    put(tmp_path, "img/1.jpg", "img/2.jpg", "img/3.jpg")
    path = table(
        tmp_path,
        "Filename,Diagnosis,patient_id,age_approx,Gender,anatom_site_general,site,hospital,width\n"
        "img/3.jpg,nevus,007,55,male,torso,A,H1,100\n"
        "img/1.jpg,melanoma,12,,female,,B,,200\n"
        "img/2.jpg,,7,30,,head,A,H2,100\n",
    )
    dataset = open_dataset(path)
    assert dataset.kind == "table"
    assert labelled(dataset) == {"img/1.jpg": "melanoma", "img/2.jpg": None, "img/3.jpg": "nevus"}
    assert dataset.metadata == {
        "patient_id": ("12", "7", "007"),
        "site": ("B", "A", "A"),
        "sex": ("female", None, "male"),
        "age": (None, 30.0, 55.0),
        "source": (None, "H2", "H1"),
        "anatom_site_general": (None, "head", "torso"),
        "width": (200.0, 100.0, 100.0),
    }
    assert "1 row without a label" in dataset.notes[0]


@pytest.mark.parametrize("image", ["image", "path", "Image Name", "isic_id", "file-name", "img_id"])
@pytest.mark.parametrize("label", ["label", "target", "dx", "Benign_Malignant", "class", "LABELS"])
def test_columns_are_known_by_their_usual_names(image: str, label: str, tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg")
    path = table(tmp_path, f"note,{image},{label}\nq,1.jpg,x\nr,2.jpg,y\n")
    assert labelled(open_dataset(path)) == {"1.jpg": "x", "2.jpg": "y"}


def test_columns_can_be_named(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg")
    path = table(tmp_path, "image,crop,label,verdict\n?,1.jpg,x,p\n?,2.jpg,y,q\n")
    dataset = open_dataset(path, image_column="crop", label_column="verdict")
    assert labelled(dataset) == {"1.jpg": "p", "2.jpg": "q"}
    for options in ({"image_column": "absent"}, {"label_column": "absent"}):
        with pytest.raises(DatasetError, match=r"no column absent.*image, crop, label, verdict"):
            open_dataset(path, **options)  # type: ignore[arg-type]


def test_an_unusual_image_column_is_known_by_its_content(tmp_path: Path) -> None:
    path = table(put(tmp_path, "1.jpg"), "n,thing,label\n1,1.jpg,x\n")
    assert open_dataset(path).ids == ("1.jpg",)
    with pytest.raises(DatasetError, match="--image-column"):
        open_dataset(table(tmp_path, "n,thing,label\n1,one,x\n"))


def test_the_column_that_leads_to_files_is_taken_and_others_are_named(tmp_path: Path) -> None:
    put(tmp_path, "a1.jpg", "b2.jpg", "c1.png", "c2.png")
    fitzpatrick = "md5hash,label,url\na1,x,https://example.org/1.jpg\nb2,y,https://e.org/2.jpg\n"
    dataset = open_dataset(table(tmp_path, fitzpatrick))
    assert dataset.ids == ("a1.jpg", "b2.jpg")
    assert any("'md5hash'" in n and "url" in n and "--image-column" in n for n in dataset.notes)
    two = table(tmp_path, "case,diagnosis,clinic,derm\n1,x,c1.png,a1.jpg\n2,y,c2.png,b2.jpg\n")
    dataset = open_dataset(two)
    assert dataset.ids == ("c1.png", "c2.png")
    assert any("--image-column derm" in n for n in dataset.notes)
    other = open_dataset(two, image_column="derm")
    assert other.ids == ("a1.jpg", "b2.jpg")
    assert not any("--image-column" in n for n in other.notes)


def test_diagnoses_of_the_isic_archive_are_labels_and_the_finer_ones_are_offered(
    tmp_path: Path,
) -> None:
    head = "isic_id,diagnosis_1,diagnosis_2,diagnosis_3\n"
    rows = 'I_1,Benign,,Nevus\nI_2,Malignant,,"Melanoma, NOS"\n'
    path = table(put(tmp_path, "I_1.jpg", "I_2.jpg"), head + rows)
    dataset = open_dataset(path)
    assert dataset.classes == ("Benign", "Malignant")
    assert any("--label-column" in n and "diagnosis_3" in n for n in dataset.notes)
    finer = open_dataset(path, label_column="diagnosis_3")
    assert finer.classes == ("Melanoma, NOS", "Nevus")


def test_columns_that_could_be_labels_are_offered_with_their_words(tmp_path: Path) -> None:
    path = table(put(tmp_path, "1.jpg", "2.jpg"), "image,lesion type\n1.jpg,nevus\n2.jpg,scc\n")
    (note,) = (n for n in open_dataset(path).notes if "--label-column" in n)
    assert "lesion type (nevus, scc)" in note
    assert open_dataset(path, label_column="lesion type").classes == ("nevus", "scc")


def test_a_table_without_labels_is_unlabelled(tmp_path: Path) -> None:
    dataset = open_dataset(table(put(tmp_path, "1.jpg"), "image,artifact\n1.jpg,ruler\n"))
    assert (dataset.labels.tolist(), dataset.classes) == ([-1], ())
    assert dataset.metadata == {"artifact": ("ruler",)}
    assert "--label-column" in dataset.notes[0]


def test_a_choice_between_label_columns_is_said(tmp_path: Path) -> None:
    path = table(put(tmp_path, "1.jpg"), "image,label,diagnosis\n1.jpg,x,y\n")
    (note,) = (n for n in open_dataset(path).notes if "--label-column" in n)
    assert "'label'" in note
    assert "diagnosis" in note


def test_numbered_classes_are_ordered_as_numbers(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(12)]
    rows = "".join(f"{name},{i}\n" for i, name in enumerate(names))
    dataset = open_dataset(table(put(tmp_path, *names), "image,label\n" + rows))
    assert dataset.classes == tuple(str(i) for i in range(12))


def test_numbers_take_their_names_from_a_column_that_goes_with_them(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    head = "image_name,patient_id,diagnosis,benign_malignant,target\n"
    rows = "1,p,melanoma,malignant,1\n2,p,unknown,benign,0\n3,q,nevus,benign,0\n"
    dataset = open_dataset(table(tmp_path, head + rows), label_column="target")
    assert dataset.classes == ("benign", "malignant")
    assert labelled(dataset)["1.jpg"] == "malignant"


def test_labels_that_differ_in_case_are_one_class(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    path = table(tmp_path, "image,label\n1.jpg,Nevus\n2.jpg, nevus \n3.jpg,nevus\n")
    assert open_dataset(path).classes == ("nevus",)


def test_a_column_of_names_is_not_taken_for_classes(tmp_path: Path) -> None:
    rows = "".join(f"{i}.jpg,lesion {i}\n" for i in range(1200))
    with pytest.raises(DatasetError, match="1200 different values"):
        open_dataset(table(put(tmp_path, "1.jpg"), "image,label\n" + rows))
    with pytest.raises(DatasetError, match="is empty"):
        open_dataset(table(tmp_path, "image,label\n1.jpg,\n"))


def test_rows_that_lead_nowhere_are_counted(tmp_path: Path) -> None:
    root = put(tmp_path / "in", "1.jpg", "2.jpg", "x/3.jpg", "y/3.jpg", "notes.txt")
    put(tmp_path, "secret.jpg")
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "out").symlink_to(tmp_path)
    (root / "folder.jpg").mkdir()
    names = (
        *("1.jpg", str(root / "2.jpg"), "absent.jpg", "../secret.jpg", "/etc/passwd"),
        *(str(tmp_path / "secret.jpg"), "link.jpg", "out/secret.jpg", "folder.jpg", "notes.txt"),
        *("3.jpg", "", "x" * 300 + ".jpg", "a/../../secret.jpg", "C:\\images\\1.jpg"),
    )
    rows = "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(names))
    dataset = open_dataset(table(root, "image,label\n" + rows))
    assert labelled(dataset) == {"1.jpg": "a", "2.jpg": "b"}
    assert dataset.skipped == {
        "missing": 2,
        "outside_root": 4,
        "symlink_outside_root": 2,
        "not_a_file": 1,
        "not_an_image_extension": 1,
        "ambiguous_name": 1,
        "no_image_named": 1,
        "unreadable": 1,
    }
    assert "../secret.jpg" in dataset.examples["outside_root"]


def test_names_without_extension_or_folder_are_found_below_the_root(tmp_path: Path) -> None:
    put(tmp_path, "part_1/ISIC_1.jpg", "part_2/ISIC_2.JPG", "deep/er/ISIC_3_downsampled.jpg")
    put(tmp_path, "part_1/ISIC_4.jpg", "ISIC_5.jpg", "part_2/v1.2.png")
    names = ("ISIC_1", "isic_2", "ISIC_3", "ISIC_4_downsampled", "part_1\\ISIC_4", "ISIC_5", "v1.2")
    rows = "".join(f"{name},x\n" for name in names)
    dataset = open_dataset(table(tmp_path, "image_id,dx\n" + rows))
    assert set(dataset.ids) == {
        *("part_1/ISIC_1.jpg", "part_2/ISIC_2.JPG", "deep/er/ISIC_3_downsampled.jpg"),
        *("part_1/ISIC_4.jpg", "ISIC_5.jpg", "part_2/v1.2.png"),
    }
    assert dataset.skipped == {"repeated_row": 1}


def test_repeated_rows_count_once_and_conflicting_ones_not_at_all(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    rows = "1.jpg,a\n1,a\n2.jpg,a\n2.jpg,b\n2.jpg,a\n3.jpg,b\n"
    dataset = open_dataset(table(tmp_path, "image,label\n" + rows))
    assert labelled(dataset) == {"1.jpg": "a", "3.jpg": "b"}
    assert dataset.skipped == {"conflicting_labels": 2, "repeated_row": 2}


def test_a_table_whose_images_are_elsewhere_says_how_to_name_the_place(tmp_path: Path) -> None:
    put(tmp_path / "images", "1.jpg")
    path = table(tmp_path / "tables", "image,label\n1.jpg,x\n")
    with pytest.raises(DatasetError, match=r"missing: 1 \(1\.jpg\).*--image-root"):
        open_dataset(path)
    dataset = open_dataset(path, image_root=tmp_path / "images")
    assert (dataset.ids, dataset.root) == (("1.jpg",), (tmp_path / "images").resolve())


def test_absolute_paths_through_a_link_to_the_root_are_below_it(tmp_path: Path) -> None:
    root = put(tmp_path / "real", "a/1.jpg")
    (tmp_path / "link").symlink_to(root)
    table(root, f"image,label\n{tmp_path}/link/a/1.jpg,x\n")
    assert open_dataset(tmp_path / "link" / "table.csv").ids == ("a/1.jpg",)


def test_paths_relative_to_the_table_are_found_below_another_root(tmp_path: Path) -> None:
    put(tmp_path, "images/a/1.jpg")
    path = table(tmp_path, "image,label\nimages/a/1.jpg,x\n")
    assert open_dataset(path, image_root=tmp_path / "images").ids == ("a/1.jpg",)


def test_a_ham10000_table_is_known(tmp_path: Path) -> None:
    put(tmp_path, "HAM10000_images_part_1/ISIC_1.jpg", "HAM10000_images_part_2/ISIC_2.jpg")
    path = table(
        tmp_path,
        "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
        "HAM_1,ISIC_1,bkl,histo,80.0,male,scalp\nHAM_1,ISIC_2,mel,histo,80.0,male,scalp\n",
        "HAM10000_metadata.csv",
    )
    dataset = open_dataset(path)
    assert (dataset.kind, dataset.classes) == ("HAM10000 table", ("bkl", "mel"))
    assert dataset.ids[1] == "HAM10000_images_part_2/ISIC_2.jpg"
    assert dataset.metadata["lesion_id"] == ("HAM_1", "HAM_1")
    assert dataset.metadata["site"] == ("scalp", "scalp")


# --- one-hot tables


def test_an_isic_2019_table_keeps_its_order_and_counts_what_has_no_class(tmp_path: Path) -> None:
    put(tmp_path, *(f"ISIC_{i}.jpg" for i in range(6)))
    path = table(
        tmp_path,
        "image,MEL,NV,BCC,UNK\n"
        "ISIC_0,1.0,0.0,0.0,0.0\nISIC_1,0.0,1.0,0.0,0.0\nISIC_2,0.0,0.0,1.0,0.0\n"
        "ISIC_3,0.0,0.0,0.0,1.0\nISIC_4,0.0,0.0,0.0,0.0\nISIC_5,1.0,1.0,0.0,0.0\n",
    )
    dataset = open_dataset(path)
    assert (dataset.kind, dataset.classes) == ("ISIC one-hot table", ("MEL", "NV", "BCC"))
    assert labelled(dataset) == {"ISIC_0.jpg": "MEL", "ISIC_1.jpg": "NV", "ISIC_2.jpg": "BCC"}
    assert dataset.skipped == {
        "unknown_class": 1,
        "no_class_marked": 1,
        "several_classes_marked": 1,
    }
    assert "order" in dataset.notes[0]
    other = open_dataset(path, classes=("BCC", "MEL", "NV"))
    assert other.labels.tolist() == [1, 2, 0]
    assert not any("table's columns" in note for note in other.notes)


def test_an_isic_2017_table_has_nevi_where_nothing_is_marked(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    path = table(
        tmp_path, "image_id,melanoma,seborrheic_keratosis\n1,1.0,0.0\n2,0.0,1.0\n3,0.0,0.0\n"
    )
    dataset = open_dataset(path)
    assert dataset.classes == ("melanoma", "nevus", "seborrheic_keratosis")
    assert labelled(dataset)["3.jpg"] == "nevus"


def test_columns_of_attributes_are_not_taken_for_classes(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    rows = "1.jpg,0,1,1\n2.jpg,1,1,0\n3.jpg,0,0,0\n"
    dataset = open_dataset(table(tmp_path, "image,hair,ruler,ink\n" + rows))
    assert (dataset.kind, dataset.classes) == ("table", ())
    assert dataset.metadata["ruler"] == (1.0, 1.0, 0.0)


# --- limits and fingerprints


def many(root: Path, **classes: int) -> Path:
    return put(root, *(f"{name}/{i:03}.jpg" for name, n in classes.items() for i in range(n)))


def shares(dataset: Dataset) -> Iterable[int]:
    return dataset.counts.values()


def test_a_limit_keeps_the_shares_of_the_classes(tmp_path: Path) -> None:
    dataset = open_dataset(many(tmp_path, a=60, b=30, c=9, d=1))
    limited = dataset.with_limit(20, seed=3)
    assert limited.counts == {"a": 12, "b": 6, "c": 1, "d": 1}
    assert limited.ids == tuple(sorted(limited.ids))
    assert labelled(limited).items() <= labelled(dataset).items()
    assert limited.ids == dataset.with_limit(20, seed=3).ids
    assert limited.ids != dataset.with_limit(20, seed=4).ids
    assert "20 of 100 images" in limited.notes[-1] and "20 of 100 from" in limited.notes[-1]
    assert (dataset.drawn_from, limited.drawn_from) == (0, 100)
    assert open_dataset(tmp_path, limit=20, seed=3).ids == limited.ids
    assert dataset.with_limit(100) is dataset


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 50, 99])
def test_a_limit_is_met_exactly_and_spares_every_class_if_it_can(
    limit: int, tmp_path: Path
) -> None:
    limited = open_dataset(many(tmp_path, a=90, b=8, c=1, d=1), limit=limit)
    assert len(limited) == limit
    assert limit < 4 or min(shares(limited)) >= 1


def test_a_limit_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="at least 1"):
        open_dataset(many(tmp_path, a=2, b=2), limit=0)


def test_taking_rows_takes_every_column(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    path = table(tmp_path, "image,label,age\n1.jpg,a,1\n2.jpg,b,2\n3.jpg,a,3\n")
    taken = open_dataset(path).take(np.array([2, 0]))
    assert (taken.ids, taken.labels.tolist()) == (("3.jpg", "1.jpg"), [0, 0])
    assert taken.metadata == {"age": (3.0, 1.0)}
    assert [Path(p).name for p in taken.paths] == ["3.jpg", "1.jpg"]


def test_the_fingerprint_changes_with_names_sizes_labels_and_order_only(tmp_path: Path) -> None:
    put(tmp_path / "one", "a/1.jpg", "b/2.jpg")
    put(tmp_path / "two", "b/2.jpg", "a/1.jpg", "a/notes.txt")
    reference = open_dataset(tmp_path / "one").fingerprint
    assert open_dataset(tmp_path / "two").fingerprint == reference
    put(tmp_path / "renamed", "a/1.jpg", "b/3.jpg")
    put(
        tmp_path / "moved",
        "a/1.jpg",
        "a/2.jpg",
    )
    put(put(tmp_path / "resized", "a/1.jpg"), "b/2.jpg", content=b"more pixels")
    others = [open_dataset(tmp_path / n).fingerprint for n in ("renamed", "moved", "resized")]
    others.append(open_dataset(tmp_path / "one", classes=("b", "a")).fingerprint)
    assert Counter([reference, *others]).most_common(1)[0][1] == 1


def test_the_description_counts_every_class(tmp_path: Path) -> None:
    line = open_dataset(many(tmp_path, benign=3, malignant=2)).describe()
    assert line == "image folder: 5 images; classes 0 benign (3), 1 malignant (2)"


# --- real data


def test_a_real_image_folder_opens(shared: Path) -> None:
    dataset = open_dataset(shared / "data" / "isic-rings")
    assert len(dataset) == 1000
    assert dataset.counts == {"benign": 500, "malignant": 500}
    assert not dataset.skipped
    assert not dataset.notes


def test_a_real_table_opens(shared: Path) -> None:
    dataset = open_dataset(shared / "data" / "artifacts" / "isic2018" / "labels.csv")
    assert len(dataset) == 227
    assert dataset.classes == ("melanoma", "nevus")
    assert sum(v == 1 for v in dataset.metadata["dark_corner"]) == 52
    told = interpret(read_table(shared / "data/artifacts/ham/labels.csv", Omissions()))
    assert told.labels is None
