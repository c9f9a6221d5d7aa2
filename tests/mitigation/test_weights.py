"""Weights that make an artifact as frequent in every class: held against sums and a search."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import WeightedRandomSampler

from melaudit.errors import DatasetError
from melaudit.mitigation.weights import Balance, balance, sampling_weights, weights_csv

Cells = list[tuple[int, int]]
"""Images without and with the artifact, of each class."""


def images(cells: Cells) -> tuple[list[int], list[int]]:
    """Labels, and whether the artifact shows, in a mixed order."""
    rows = [(c, k) for c, pair in enumerate(cells) for k in (0, 1) for _ in range(pair[k])]
    order = np.random.default_rng(1).permutation(len(rows))
    return [rows[i][0] for i in order], [rows[i][1] for i in order]


def balanced(cells: Cells, max_draws: float = 20) -> Balance:
    labels, shows = images(cells)
    return balance(np.array(labels), np.array(shows), len(cells), max_draws)


def drawn(cells: Cells, made: Balance) -> dict[tuple[int, int], float]:
    """Draws of each cell in an epoch, added up image by image."""
    total: dict[tuple[int, int], float] = {}
    for *cell, weight in zip(*images(cells), made.weights.tolist(), strict=True):
        key = (cell[0], cell[1])
        total[key] = total.get(key, 0.0) + weight
    return total


def can_be_even(cells: Cells, max_draws: float) -> bool:
    """Search the shares for one that every class can have with no image drawn too often."""
    n = sum(map(sum, cells))
    each = n / len(cells)
    for share in np.linspace(0, 1, 20001):
        wanted = [(each * (1 - share), each * share) for _ in cells]
        if all(
            w <= max_draws * have + 1e-6
            for pair, want in zip(cells, wanted, strict=True)
            for have, w in zip(pair, want, strict=True)
        ):
            return True
    return False


def test_classes_and_artifact_are_drawn_half_and_half() -> None:
    cells = [(230, 10), (96, 144)]
    made = balanced(cells)
    assert made.even
    for total in drawn(cells, made).values():
        assert total == pytest.approx(120)
    assert made.draws.tolist() == pytest.approx(np.array([[120 / 230, 12], [1.25, 120 / 144]]))
    assert made.weights.mean() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(60))
def test_any_counts_are_as_even_as_can_be_and_no_image_is_drawn_too_often(seed: int) -> None:
    rng = np.random.default_rng(seed)
    few = rng.random((int(rng.integers(2, 5)), 2)) < 0.4
    sizes = np.where(few, rng.integers(0, 6, few.shape), rng.integers(20, 300, few.shape))
    sizes[:, 0] += sizes.sum(1) < 30  # no class is so small that it cannot fill its share
    cells = [(int(a) + 30, int(b)) if a + b < 30 else (int(a), int(b)) for a, b in sizes]
    limit = float(rng.choice([3, 8, 20]))
    made, n = balanced(cells, limit), sum(map(sum, cells))
    assert made.weights.max() <= limit + 1e-6
    assert made.weights.sum() == pytest.approx(n)
    if min(sum(pair) for pair in cells) * limit >= n / len(cells):
        of_class = Counter[int]()
        for (label, _), total in drawn(cells, made).items():
            of_class[label] += total  # type: ignore[assignment]
        assert list(of_class.values()) == pytest.approx([n / len(cells)] * len(cells))
        assert made.even == can_be_even(cells, limit)


def test_a_class_too_small_for_its_share_is_drawn_as_often_as_allowed() -> None:
    made = balanced([(500, 500), (1, 1), (500, 500)], 10)
    assert made.even
    assert made.draws[1].tolist() == pytest.approx([10, 10])
    assert made.weights.sum() == pytest.approx(2002)
    assert made.draws[0].tolist() == pytest.approx([0.991, 0.991])


def test_where_a_class_lacks_the_artifact_no_class_shows_it() -> None:
    made = balanced([(100, 0), (40, 60)])
    assert made.even and made.shares.tolist() == [0, 0]
    assert made.draws[1].tolist() == pytest.approx([2.5, 0])


def test_where_the_artifact_is_the_label_nothing_can_be_even_and_every_image_counts() -> None:
    made = balanced([(100, 0), (0, 50)])
    assert not made.even
    assert made.draws.tolist() == pytest.approx(np.array([[0.75, 0], [0, 1.5]]))


def test_an_epoch_shows_as_many_different_images_as_a_sampler_draws() -> None:
    cells = [(230, 10), (96, 144)]
    made = balanced(cells)
    torch.manual_seed(0)
    sampler = WeightedRandomSampler(made.weights.tolist(), 480)
    seen = [len(set(sampler)) for _ in range(50)]
    assert made.different == pytest.approx(np.mean(seen), abs=4)


def test_images_of_which_something_is_unknown_are_not_drawn() -> None:
    labels, shows = np.array([0, 0, 1, 1, -1, 1]), np.array([0, 1, 0, 1, 1, -1])
    made = balance(labels, shows, 3)
    assert made.weights.tolist() == pytest.approx([1, 1, 1, 1, 0, 0])
    assert made.images == 4 and np.isnan(made.shares[2])


def test_what_cannot_be_balanced_is_refused() -> None:
    with pytest.raises(DatasetError, match="3 images have a label, of 1 of the 2 classes"):
        balanced([(2, 1), (0, 0)])
    with pytest.raises(ValueError, match=r"max_draws=0\.5"):
        balanced([(2, 1), (3, 1)], 0.5)


NAMES = ("a/=1+1.jpg", "a/b,c.jpg", "a/\N{LATIN SMALL LETTER U WITH DIAERESIS}.jpg", "+d/x.jpg")


def written(folder: Path) -> Path:
    made = np.array([0.5, 1, 1.5, 0])
    table = folder / "weights.csv"
    table.write_bytes(
        weights_csv(
            NAMES, np.array([0, 0, 1, -1]), np.array([1, 0, 0, -1]), ("=HYPERLINK(1)", "b"), made
        )
    )
    return table


def test_no_cell_of_the_table_is_a_formula(tmp_path: Path) -> None:
    rows = list(csv.reader(io.StringIO(written(tmp_path).read_text(encoding="utf-8"))))
    assert rows == [
        ["image", "class", "artifact", "weight"],
        ["a/=1+1.jpg", "'=HYPERLINK(1)", "1", "0.5"],
        ["a/b,c.jpg", "'=HYPERLINK(1)", "0", "1"],
        [NAMES[2], "b", "0", "1.5"],
        ["'+d/x.jpg", "", "", "0"],
    ]


@pytest.mark.parametrize("folder", ["", "/data/a/train", "train"])
def test_weights_are_found_for_files_wherever_their_folder_lies(
    folder: str, tmp_path: Path
) -> None:
    files = [Path(folder, name) for name in reversed(NAMES)]
    assert sampling_weights(written(tmp_path), files) == [0, 1.5, 1, 0.5]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train/a/other.jpg"], "'train/a/other.jpg' is not in .*weights.csv"),
        (["one/a/b,c.jpg", "two/a/=1+1.jpg"], "below 'one' and 'two'"),
        (["+d/x.jpg"], "none of 1 files has a weight above 0"),
        ([], "none of 0 files"),
    ],
)
def test_other_files_are_refused(files: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        sampling_weights(written(tmp_path), files)


@pytest.mark.parametrize(
    "text", ["", "image\na", "image,weight\na,b", "image,weight\na", "image,weight\na,-1"]
)
def test_a_table_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    table = tmp_path / "other.csv"
    table.write_text(text)
    with pytest.raises(DatasetError, match=r"other\.csv (is no table|has weights)"):
        sampling_weights(table, ["a"])
    with pytest.raises(DatasetError, match="gone"):
        sampling_weights(tmp_path / "gone.csv", ["a"])
