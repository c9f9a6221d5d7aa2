"""A person's word replaces a finder's, image by image, and changes the run it is part of."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melaudit.artifacts.interface import Found
from melaudit.errors import DatasetError
from melaudit.images.knowledge import Knowledge, gather

IDS = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
KNOWN = ("ruler", "ink")
SHAPE = (20, 30)


def mask(path: Path, marked: bool = True, shape: tuple[int, int] = SHAPE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros(shape, np.uint8)
    values[:5, :6] = 255 * marked
    Image.fromarray(values).save(path)


def told(knowledge: Knowledge, artifact: str) -> list[Found | None]:
    return list(knowledge.of_batch(range(4), [SHAPE] * 4).user_found[artifact])


def test_nothing_given_is_nothing_known() -> None:
    knowledge = gather(IDS, KNOWN)
    assert knowledge.fingerprint == ""
    shown = knowledge.of_batch([1, 2], [SHAPE] * 2)
    assert shown.objects is None
    assert not shown.user_found
    assert shown.doubts == ((), ())


def test_labels_and_masks_together_say_whether_and_where(tmp_path: Path) -> None:
    mask(tmp_path / "masks" / "ruler" / "a.png")
    mask(tmp_path / "masks" / "ruler" / "b.png")
    mask(tmp_path / "masks" / "ruler" / "d.png", marked=False)
    (tmp_path / "l.csv").write_text("image,ruler\na,1\nb,0\nc,1\n")
    knowledge = gather(
        IDS, KNOWN, artifact_labels=tmp_path / "l.csv", artifact_masks=tmp_path / "masks"
    )
    a, b, c, d = told(knowledge, "ruler")
    assert a is not None
    assert (a.present, a.mask.sum()) == (True, 30)
    assert b is not None  # the label counts, and the contradiction is flagged
    assert (b.present, b.mask.sum()) == (False, 0)
    assert knowledge.of_batch([1], [SHAPE]).doubts == (("ruler_label_contradicts_mask",),)
    assert c is not None  # it is there; nobody says where
    assert (c.present, c.mask.sum()) == (True, 0)
    assert d is not None  # an empty mask says that there is none
    assert d.present is False


def test_where_nothing_is_said_the_finder_is_asked(tmp_path: Path) -> None:
    mask(tmp_path / "masks" / "ink" / "a.png")
    knowledge = gather(IDS, KNOWN, artifact_masks=tmp_path / "masks")
    assert [found is not None for found in told(knowledge, "ink")] == [True, False, False, False]
    assert "1 of 4 images have a mask of ink" in knowledge.notes[0]


def test_artifacts_that_no_finder_knows_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("image,ruler,sticker\na,1,0\nb,0,1\n")
    knowledge = gather(IDS, KNOWN, artifact_labels=tmp_path / "l.csv")
    assert list(knowledge.labels) == ["ruler"]
    assert knowledge.others["sticker"].tolist() == [0, 1, -1, -1]


def test_a_mask_of_other_proportions_is_flagged_and_not_used(tmp_path: Path) -> None:
    mask(tmp_path / "a.png", shape=(30, 20))
    mask(tmp_path / "b.png")
    shown = gather(IDS, KNOWN, object_masks=tmp_path).of_batch([0, 1, 2], [SHAPE] * 3)
    assert shown.objects is not None
    assert [mask is not None for mask in shown.objects] == [False, True, False]
    assert shown.doubts == (("object_mask_of_other_proportions",), (), ())


def test_another_content_of_a_mask_is_another_run(tmp_path: Path) -> None:
    mask(tmp_path / "a.png")
    before = gather(IDS, KNOWN, object_masks=tmp_path).fingerprint
    assert gather(IDS, KNOWN, object_masks=tmp_path).fingerprint == before
    mask(tmp_path / "a.png", marked=False)
    assert gather(IDS, KNOWN, object_masks=tmp_path).fingerprint != before


def test_another_label_is_another_run(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("image,ruler\na,1\n")
    before = gather(IDS, KNOWN, artifact_labels=tmp_path / "l.csv").fingerprint
    (tmp_path / "l.csv").write_text("image,ruler\na,0\n")
    assert gather(IDS, KNOWN, artifact_labels=tmp_path / "l.csv").fingerprint != before


def test_a_folder_of_an_unknown_artifact_is_refused_with_the_names_that_are_known(
    tmp_path: Path,
) -> None:
    mask(tmp_path / "rulers" / "a.png")
    with pytest.raises(DatasetError, match=r"rulers.*ruler, ink"):
        gather(IDS, KNOWN, artifact_masks=tmp_path)
