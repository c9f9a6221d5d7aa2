"""The data set is what was asked for: counts, shares, sizes, and the same for the same seed."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melaudit.demo.dataset import SIZE, DemoData, Planting, draw, generate, write
from melaudit.demo.plants import RGB, ring


def files(data: DemoData) -> dict[str, bytes]:
    root = data.train.parent
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def picture(path: Path) -> RGB:
    with Image.open(path) as image:
        return np.asarray(image)


def is_ringed(path: Path) -> bool:
    """Tell a ring from the picture alone: all four corners black."""
    image = picture(path)
    corners = [image[y : y + 6, x : x + 6] for y in (0, SIZE - 6) for x in (0, SIZE - 6)]
    return all(corner.mean() < 25 for corner in corners)


def test_halves_hold_the_asked_number_of_readable_pictures(small: DemoData) -> None:
    for half, n in ((small.train, 40), (small.test, 20)):
        assert sorted(p.name for p in half.iterdir()) == ["benign", "malignant"]
        for folder in half.iterdir():
            paths = sorted(folder.iterdir())
            assert len(paths) == n
            for path in paths:
                with Image.open(path) as image:
                    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (SIZE, SIZE))
                    image.load()


def test_rings_are_on_the_asked_share_of_each_class_and_where_the_table_says(
    small: DemoData,
) -> None:
    counts: Counter[str] = Counter()
    with small.truth.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 120
    for row in rows:
        seen = is_ringed(small.train.parent / row["file"])
        assert seen == (row["ring"] == "1"), row["file"]
        counts[str(Path(row["file"]).parent.as_posix())] += seen
    assert counts == {
        "train/benign": 2,
        "train/malignant": 24,
        "test/benign": 1,
        "test/malignant": 12,
    }


def test_harmless_artifacts_fall_on_both_classes_alike(small: DemoData) -> None:
    with small.truth.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["file"].startswith("train")]
    for artifact, expected in (("hairs", 12), ("bubbles", 6), ("ruler", 6)):
        for label in ("benign", "malignant"):
            assert sum(r[artifact] == "1" for r in rows if r["class"] == label) == expected


def test_the_same_seed_gives_the_same_bytes_and_another_seed_none(tmp_path: Path) -> None:
    first, again, other = (
        files(
            generate(
                tmp_path / name, n_train=6, n_test=4, ring_malignant=0.5, ring_benign=0, seed=seed
            )
        )
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again
    pictures = [name for name in first if name.endswith(".jpg")]
    assert len(pictures) == 10
    assert all(first[name] != other[name] for name in pictures)
    assert len({first[name] for name in pictures}) == 10


def test_what_is_planted_does_not_change_the_lesion() -> None:
    plain, ringed = draw((3, 1), "malignant"), draw((3, 1), "malignant", (ring,))
    assert (plain[70:90, 70:90] == ringed[70:90, 70:90]).all()
    assert plain[0, 0].mean() > 40 > ringed[0, 0].mean()


def test_classes_differ_but_overlap(small: DemoData) -> None:
    """Area of the lesion alone, as dark against the skin's median, ranks the classes in part."""

    def area(label: str) -> list[float]:
        found = []
        for i in range(40):
            grey = draw((11, i), label).astype(float).mean(2)[30:130, 30:130]
            found.append(float((grey < 0.75 * np.quantile(grey, 0.9)).mean()))
        return found

    benign, malignant = area("benign"), area("malignant")
    wins = np.mean([m > b for m in malignant for b in benign])
    assert 0.65 < wins < 0.95


def test_any_artifact_can_be_planted_in_any_share(tmp_path: Path) -> None:
    def patch(image: RGB, rng: np.random.Generator) -> RGB:
        out = image.copy()
        out[:20, :20] = (0, 90, 200)
        return out

    halves = {"train": 8, "test": 4}
    data = write(tmp_path, halves, [Planting(patch, benign=0.75, malignant=0.25)], seed=0)
    blue = Counter(
        path.parent.name
        for path in data.train.rglob("*.jpg")
        if picture(path)[5:15, 5:15, 2].mean() > 180 > 120 > picture(path)[5:15, 5:15, 1].mean()
    )
    assert blue == {"benign": 3, "malignant": 1}
    assert data.truth.read_text(encoding="utf-8").splitlines()[0] == "file,class,patch"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"ring_benign": 1.5}, "share of ring is 1.5"), ({"n_test": 1}, "test needs at least 2")],
)
def test_impossible_requests_are_refused(
    tmp_path: Path, change: dict[str, float], message: str
) -> None:
    asked = {"n_train": 4, "n_test": 4, "ring_malignant": 0.5, "ring_benign": 0.0, "seed": 0}
    with pytest.raises(ValueError, match=message):
        generate(tmp_path / "new", **{**asked, **change})  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()
