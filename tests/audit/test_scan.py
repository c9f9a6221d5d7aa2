"""A scan: artifacts in files, their association with labels, and nothing dropped unsaid."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melaudit.artifacts.held import find
from melaudit.artifacts.interface import RGB, Artifact, Found
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.audit import scan as scan_module
from melaudit.audit.leases import Leases
from melaudit.audit.prepare.domain_choice import ChosenDomain
from melaudit.audit.scan import scan
from melaudit.cli import main
from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.errors import ConfigurationError, DatasetError
from melaudit.images import artifact_scan
from melaudit.images.artifact_scan import ImageScores
from melaudit.images.dataset import open_dataset
from melaudit.reports.scan import Scan, Scanned, statement, to_text
from melaudit.statistics.estimates import odds_ratio
from tests.images.fatal import make_fatal

LESIONS = ChosenDomain(DERMOSCOPY, "They are drawn so.")


class Silent:
    """An observer that only counts."""

    def __init__(self) -> None:
        self.done = 0

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        pass

    def advance(self, images: int, computed: bool = True) -> None:
        self.done += images

    def note(self, text: str) -> None:
        pass


class Counting(Silent):
    """An observer that counts what this process computed, apart."""

    computed = 0

    def advance(self, images: int, computed: bool = True) -> None:
        super().advance(images)
        self.computed += images * computed


def skin(seed: int, ringed: bool) -> Image.Image:
    rng = np.random.default_rng(seed)
    values = np.array([200, 160, 150]) + rng.normal(0, 5, (120, 120, 1))
    y, x = np.mgrid[:120, :120] - 59.5
    if ringed:
        values[np.hypot(y, x) > 56] = 2
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 12 images of each class: 9 malignant and 1 benign with a ring."""
    root = tmp_path_factory.mktemp("scan") / "images"
    for label, rings in (("benign", 1), ("malignant", 9)):
        (root / label).mkdir(parents=True)
        for i in range(12):
            skin(i, i < rings).save(root / label / f"{i:02d}.png")
    return root


def of(found: Scan, artifact: str) -> Scanned:
    return next(row for row in found.artifacts if row.artifact == artifact)


def test_a_ring_that_goes_with_a_class_is_counted_and_tested(folder: Path) -> None:
    observer = Silent()
    found = scan(open_dataset(folder), observer, domain=LESIONS, rules=("corners",))
    assert observer.done == 24
    ring = of(found, "dark_ring")
    assert ring.by_label == {"benign": (1, 12), "malignant": (9, 12)}
    expected = odds_ratio([[9, 1], [3, 11]])
    assert (ring.odds_ratio, ring.ci_low, ring.p_value) == pytest.approx(
        (expected.value, expected.low, expected.p_value)
    )
    assert ring.label == "malignant" and ring.reached
    assert ring.q_value is not None and ring.p_value is not None
    assert ring.q_value >= ring.p_value
    assert set(ring.examples) == {f"malignant/{i:02d}.png" for i in range(9)} | {"benign/00.png"}
    assert of(found, "corners").by_label == ring.by_label
    assert {row.artifact for row in found.artifacts} == {
        *(artifact.id for artifact in DERMOSCOPY.artifacts),
        "corners",
    }


def test_too_few_are_counted_without_an_odds_ratio(folder: Path) -> None:
    blur = of(scan(open_dataset(folder), Silent(), domain=LESIONS), "blur")
    assert blur.odds_ratio is None and not blur.reached
    assert blur.reason == "fewer than 5 images with it"


def test_absence_is_not_claimed_of_what_was_compared(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(12):
            skin(i, i < 6).save(tmp_path / label / f"{i:02d}.png")
    found = scan(open_dataset(tmp_path), Silent(), domain=LESIONS)
    ring = of(found, "dark_ring")
    assert ring.odds_ratio is not None and not ring.reached
    said = statement(found)
    assert said.startswith("No artifact goes clearly with a class. That is no proof that none does")
    assert "there were too few images to tell" in said


def test_the_page_shows_the_surest_images_unless_they_must_not_be_shared(
    folder: Path, tmp_path: Path
) -> None:
    for flags, shown in (([], True), (["--no-images"], False)):
        page = tmp_path / "scan.html"
        assert main(["scan", str(folder), "--html", str(page), "--workers", "0", *flags]) == 0
        text = page.read_text(encoding="utf-8")
        assert ("data:image/webp" in text) == shown
    found = scan(open_dataset(folder), Silent(), domain=LESIONS, pictures=True)
    assert set(found.pictures) == {i for row in found.artifacts for i in row.examples[:4]}


def test_worker_processes_find_the_same(folder: Path) -> None:
    assert scan(open_dataset(folder), Silent(), domain=LESIONS, workers=1) == scan(
        open_dataset(folder), Silent(), domain=LESIONS
    )


class Failing(DarkRing):
    """A finder whose scores are not known, as those of one that fails."""

    def find(self, image: RGB) -> Found:
        raise ValueError("no")


def test_what_is_kept_is_not_looked_at_again_and_damage_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module, "UNIT", 10)
    monkeypatch.setattr(scan_module, "CHUNK", 4)
    # Unknown scores are kept too.
    monkeypatch.setattr(artifact_scan, "find", lambda each, image: found_by(each, image))

    def found_by(each: Artifact, image: RGB) -> Found:
        return find(Failing() if each.id == "ink" else each, image)

    def scanned() -> tuple[Scan, int]:
        observer = Counting()
        seen = scan(open_dataset(folder), observer, domain=LESIONS, keep=tmp_path / "kept")
        return seen, observer.computed

    usual = scan(open_dataset(folder), Silent(), domain=LESIONS)
    assert "ink" in usual.failed
    assert scanned() == (usual, 24)
    kept = sorted((tmp_path / "kept").iterdir())
    assert [path.suffix for path in kept] == [".msgpack"] * 3
    assert scanned() == (usual, 0)
    kept[1].write_bytes(kept[1].read_bytes()[:-1])
    assert scanned() == (usual, 10)


def test_a_unit_that_another_process_holds_is_waited_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module, "UNIT", 12)
    usual = scan(open_dataset(folder), Silent(), domain=LESIONS, keep=tmp_path)
    first, second = sorted(tmp_path.iterdir())
    published = second.read_bytes()
    first.unlink()
    second.unlink()
    with Leases(tmp_path, "another") as turns:
        assert turns.take(second.stem)

        def publishes() -> None:
            second.write_bytes(published)

        later = threading.Timer(0.5, publishes)
        later.start()
        observer = Counting()
        assert scan(open_dataset(folder), observer, domain=LESIONS, keep=tmp_path) == usual
        later.join()
    assert (observer.computed, observer.done) == (12, 24)


def test_images_that_cannot_be_read_are_counted_by_reason(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        skin(1, False).save(tmp_path / name / "good.png")
    (tmp_path / "a" / "empty.jpg").touch()
    (tmp_path / "b" / "page.jpg").write_text("<html>")
    found = scan(open_dataset(tmp_path), Silent(), domain=LESIONS)
    assert found.read == 2
    assert found.skipped == {"empty": 1, "not_an_image": 1}
    assert found.left_out == {"empty": ("a/empty.jpg",), "not_an_image": ("b/page.jpg",)}
    text = to_text(found)
    assert "Left out, empty: a/empty.jpg." in text
    assert "too few to tell whether any artifact goes with a class" in text
    for name in ("a", "b"):
        (tmp_path / name / "good.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="none of the 4 images"):
        scan(open_dataset(tmp_path), Silent(), domain=LESIONS)


def test_an_image_that_holds_its_worker_up_is_skipped_and_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_fatal("benign/03.png", signal.SIGSTOP, monkeypatch)
    found = scan(open_dataset(folder), Silent(), domain=LESIONS, workers=1)
    assert (found.read, found.skipped) == (23, {"decoder_hangs": 1})
    assert found.left_out == {"decoder_hangs": ("benign/03.png",)}
    assert of(found, "dark_ring").by_label == {"benign": (1, 11), "malignant": (9, 12)}


def test_images_without_labels_are_searched_and_nothing_is_tested(tmp_path: Path) -> None:
    for i in range(12):
        skin(i, i < 6).save(tmp_path / f"{i}.png")
    found = scan(open_dataset(tmp_path), Silent(), domain=LESIONS)
    ring = of(found, "dark_ring")
    assert found.labelled == 0
    assert ring.present == 6 and ring.p_value is None and ring.label is None
    assert ring.by_label == {"unknown": (6, 12)}
    assert {row.reason for row in found.artifacts} == {"no labels"}
    assert "The images have no labels, so what goes with a class cannot be told." in to_text(found)


class Broken(DarkRing):
    """A finder that fails on every image."""

    id = "broken"

    def find(self, image: RGB) -> Found:
        raise RuntimeError("no luck")


def test_a_finder_that_fails_is_left_out_and_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from melaudit.audit import scan as module

    for place in (artifact_scan, module):
        monkeypatch.setattr(place, "artifacts", lambda *_: (Broken(), DarkRing()))
    found = scan(open_dataset(folder), Silent(), domain=LESIONS)
    assert [row.artifact for row in found.artifacts] == ["dark_ring"]
    assert "24 images failed" in found.failed["broken"]
    assert "no luck" in found.failed["broken"]


def test_an_unknown_rule_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="corners"):
        scan(open_dataset(folder), Silent(), domain=LESIONS, rules=("edges",))


def test_the_command_prints_a_table_and_writes_three_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {kind: tmp_path / f"scan.{kind}" for kind in ("csv", "html", "json")}
    options = [part for kind, file in files.items() for part in (f"--{kind}", str(file))]
    assert main(["scan", str(folder), "--workers", "0", "--rule", "corners", *options]) == 0
    said = capsys.readouterr()
    assert "malignant" in said.out and "9 of 12" in said.out
    assert "Scanning" in said.err and "Scanning" not in said.out
    assert all(file.stat().st_size > 500 for file in files.values())


def test_a_folder_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("counts", "explained"),
    [
        # Of each class: both, ink alone, hair alone, neither.
        (((2, 1, 6, 21), (18, 5, 1, 6)), True),
        (((1, 5, 2, 22), (13, 3, 11, 3)), False),
    ],
)
def test_what_goes_with_a_class_by_another_artifact_alone_is_seen_with_it(
    counts: tuple[tuple[int, ...], ...],
    explained: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [artifact.id for artifact in DERMOSCOPY.artifacts]
    for label, of_class in zip(("benign", "malignant"), counts, strict=True):
        (tmp_path / label).mkdir()
        kinds = np.repeat(["ink hair", "ink", "hair", "none"], of_class)
        for i, kind in enumerate(kinds):
            Image.new("RGB", (2, 2)).save(tmp_path / label / f"{i:02d} {kind}.png")

    def score(path: str, *_: object) -> ImageScores:
        shown = tuple(name in Path(path).stem.split() for name in names)
        return ImageScores("", tuple(map(float, shown)), shown, ("",) * len(names))

    monkeypatch.setattr(artifact_scan, "_score_file", score)
    found = scan(open_dataset(tmp_path), Silent(), domain=LESIONS)
    hair, ink = of(found, "hair"), of(found, "ink")
    assert ink.reached and not ink.beside
    assert hair.q_value is not None and hair.q_value < 0.05
    assert hair.reached is not explained
    assert bool(hair.beside) is explained
    if explained:
        assert "so they are seen with ink" in " ".join(hair.beside)
        assert "Hairs" in to_text(found) and "seen with another (malignant)" in to_text(found)
