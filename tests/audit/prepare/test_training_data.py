"""The training images are looked through once, balanced over classes, and remembered."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from melaudit.artifacts.interface import RGB, Found
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.artifacts.registry import artifacts
from melaudit.audit.prepare import training_data
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.training_data import TrainingEvidence, training_evidence
from melaudit.errors import DatasetError
from melaudit.images.imagefile import FULL_WHITE, Decoded, read_image
from tests.images.fatal import make_fatal


class Watcher:
    """An observer that counts the images that were looked at."""

    def __init__(self) -> None:
        self.looked = 0

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        pass

    def advance(self, images: int, computed: bool = True) -> None:
        self.looked += images

    def note(self, text: str) -> None:
        pass


def skin(ringed: bool, side: int = 96) -> Image.Image:
    """Return a bright square, or one with black beyond a circle."""
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    image = np.full((side, side, 3), (210, 160, 140), np.uint8)
    image += np.random.default_rng(0).integers(0, 12, image.shape, np.uint8)
    image[np.hypot(x, y) < side / 6] = (90, 60, 50)
    if ringed:
        image[np.hypot(x, y) > side * 0.48] = 3
    return Image.fromarray(image)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """12 benign images, 4 malignant ones that all have a ring."""
    for name, n in (("benign", 12), ("malignant", 4)):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(n):
            skin(name == "malignant").save(tmp_path / "train" / name / f"{i:02d}.png")
    (tmp_path / "out").mkdir()
    return tmp_path


def settings(folder: Path, size: int = 100) -> Configuration:
    return Configuration(
        model=folder / "m.pt",
        data=folder / "test",
        out=folder / "out",
        train_data=folder / "train",
        train_sample=size,
        workers=0,
    )


CLASSES = ("malignant", "benign")


def looked_through(
    configuration: Configuration, watcher: Watcher | None = None
) -> TrainingEvidence:
    return training_evidence(configuration, artifacts(), CLASSES, watcher or Watcher())


def test_presence_and_labels_are_those_of_the_training_images(folder: Path) -> None:
    present, labels = looked_through(settings(folder)).artifacts["dark_ring"]
    assert labels.tolist().count(0) == 4  # the model's order of classes, not the alphabet's
    assert present[labels == 0].all()
    assert not present[labels == 1].any()


def test_a_sample_is_balanced_over_the_classes(folder: Path) -> None:
    _, labels = looked_through(settings(folder, size=6)).artifacts["dark_ring"]
    assert sorted(labels.tolist()) == [0, 0, 0, 1, 1, 1]


def test_a_second_run_remembers_and_other_images_are_looked_at_anew(folder: Path) -> None:
    first, second, third = Watcher(), Watcher(), Watcher()
    before = looked_through(settings(folder), first)
    again = looked_through(settings(folder), second)
    assert (first.looked, second.looked) == (16, 0)
    assert np.array_equal(before.artifacts["dark_ring"][0], again.artifacts["dark_ring"][0])
    assert before.pictures is not None and again.pictures is not None
    assert np.array_equal(before.pictures.signatures, again.pictures.signatures)
    skin(True).save(folder / "train" / "benign" / "99.png")
    looked_through(settings(folder), third)
    assert third.looked == 17


def test_a_damaged_memory_is_looked_up_again(folder: Path) -> None:
    looked_through(settings(folder))
    (kept,) = (folder / "out").glob("training-*.npz")
    kept.write_bytes(kept.read_bytes()[:30])
    watcher = Watcher()
    looked_through(settings(folder), watcher)
    assert watcher.looked == 16


def test_units_are_kept_apart_and_another_process_may_have_some(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = looked_through(settings(folder))
    for path in (folder / "out").glob("training-*.npz"):
        path.unlink()
    monkeypatch.setattr(training_data, "UNIT", 6)
    assert_same(whole, looked_through(replace(settings(folder), workers=1)))
    _, second, third = sorted((folder / "out").glob("training-*.npz"))
    content = second.read_bytes()
    second.unlink()
    third.unlink()

    class Turns:
        """Another process computes the second unit, and is finished when this one first waits."""

        asked: ClassVar[list[str]] = []

        def take(self, unit: str) -> bool:
            self.asked.append(unit)
            return unit != second.stem

        def release(self, unit: str) -> None: ...

        def wait(self) -> None:
            second.write_bytes(content)

    watcher = Watcher()
    again = training_evidence(settings(folder), artifacts(), CLASSES, watcher, turns=Turns())
    assert_same(whole, again)
    assert Turns.asked == [second.stem, third.stem]
    assert watcher.looked == 4 + 6  # both are told of, and one is computed here


def assert_same(one: TrainingEvidence, other: TrainingEvidence) -> None:
    for name, (present, labels) in one.artifacts.items():
        assert np.array_equal(present, other.artifacts[name][0])
        assert np.array_equal(labels, other.artifacts[name][1])
    for name, (values, _) in one.properties.items():
        assert np.array_equal(values, other.properties[name][0], equal_nan=True)
    assert one.pictures is not None and other.pictures is not None
    assert one.pictures.ids == other.pictures.ids
    assert np.array_equal(one.pictures.signatures, other.pictures.signatures)


def test_an_unreadable_image_does_not_count(folder: Path) -> None:
    (folder / "train" / "benign" / "00.png").write_bytes(b"no image")
    found = looked_through(settings(folder))
    present, labels = found.artifacts["dark_ring"]
    assert len(present) == len(labels) == 15
    assert found.pictures is not None
    assert len(found.pictures.ids) == len(found.pictures.signatures) == 15
    assert "benign/00.png" not in found.pictures.ids


def test_a_finder_that_fails_takes_nothing_from_the_others(
    folder: Path,
) -> None:
    class Broken(DarkRing):
        """One that cannot be handed to another process either."""

        id = "broken"

        def find(self, image: RGB) -> Found:
            raise RuntimeError

    two = replace(settings(folder), workers=2)
    found = training_evidence(two, (*artifacts(), Broken()), CLASSES, Watcher())
    assert len(found.artifacts["dark_ring"][0]) == 16
    assert len(found.artifacts["broken"][0]) == 0


def test_an_image_that_kills_its_worker_does_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_fatal("benign/03.png", signal.SIGKILL, monkeypatch)
    found = looked_through(replace(settings(folder), workers=1))
    present, labels = found.artifacts["dark_ring"]
    assert (len(present), present[labels == 0].all()) == (15, True)
    assert found.pictures is not None
    assert "benign/03.png" not in found.pictures.ids


def test_where_no_process_can_be_handed_the_finders_images_are_decoded_as_told(
    folder: Path,
) -> None:
    class Own(DarkRing):
        """One that cannot be handed to another process."""

    read: list[str] = []

    def reading(path: str, *, white: int = FULL_WHITE) -> Decoded:
        read.append(path)
        return read_image(path, white=white)

    one = replace(settings(folder), workers=1)
    training_evidence(one, (Own(),), CLASSES, Watcher(), read=reading)
    assert len(read) == 16


def test_without_training_images_nothing_is_said(folder: Path) -> None:
    none = Configuration(model=folder / "m.pt", data=folder / "test", out=folder / "out")
    assert looked_through(none) == TrainingEvidence()


def test_training_images_without_labels_are_refused(folder: Path) -> None:
    plain = Configuration(
        model=folder / "m.pt",
        data=folder / "test",
        out=folder / "out",
        train_data=folder / "train" / "benign",
    )
    with pytest.raises(DatasetError, match="have no labels"):
        looked_through(plain)
