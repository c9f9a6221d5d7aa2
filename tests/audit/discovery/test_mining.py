"""Few images of a class have stickers of several colours: they are found by what these do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from melaudit.artifacts.interface import RGB
from melaudit.audit.discovery.halves import first_half
from melaudit.audit.discovery.mined_parts import mined_parts, owing
from melaudit.audit.discovery.mining import MAX_EXAMPLES, MIN_EXAMPLES, Pushes, givers, pushes
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.measure.visual_words import Sight, load
from melaudit.measurements import GRID, Measurements
from tests.audit.discovery.passed import CLASSES, SIDE, discovered

OF_EACH, STUCK = 120, 40
COLOURS = (20, 200, 40), (40, 60, 220), (230, 40, 40)
PLACES = (4, 4), (4, 46), (46, 4), (46, 46)


class ByColour(nn.Module):
    """Goes by the darkness of the middle, and by `weight` times how colourful any place is."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.see = nn.Conv2d(3, 24, 3, padding=1, stride=2)
        self.act = nn.ReLU()
        self.pool = nn.AvgPool2d(4)
        self.head = nn.Linear(24 * 64, 2)
        mixes = [(1, 1, 1), (-1, 2, -1), (2, -2, -1), (-1, -1, 2)]
        with torch.no_grad():
            for own, mix in enumerate(mixes):
                self.see.weight[own] = torch.tensor(mix)[:, None, None] / 9.0
            assert self.see.bias is not None
            self.see.bias.zero_()
            head = torch.zeros(24, 8, 8)
            head[0, 3:5, 3:5] = -3.0
            head[1:4] = weight
            self.head.weight.zero_()
            self.head.weight[1] = head.flatten()
            self.head.bias[:] = torch.tensor([0.0, 15.6])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 2)."""
        out: Tensor = self.head(self.pool(self.act(self.see(x))).flatten(1))
        return out


def _picture(rng: np.random.Generator, malignant: bool) -> RGB:
    image = np.full((SIDE, SIDE, 3), (200, 180, 165)) + rng.normal(0, 5, (SIDE, SIDE, 3))
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + rng.normal(0, 1.5)
    image[np.hypot(y, x) < 14] -= rng.normal(80 if malignant else 55, 12)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image folder; three in ten of the malignant images have a sticker somewhere."""
    root = tmp_path_factory.mktemp("stickers")
    rng = np.random.default_rng(1)
    for kind in CLASSES:
        (root / "images" / kind).mkdir(parents=True)
        for i in range(OF_EACH):
            image = _picture(rng, kind == "malignant")
            if kind == "malignant" and i < STUCK:
                y, x = PLACES[i % len(PLACES)]
                image[y : y + 14, x : x + 14] = COLOURS[i % len(COLOURS)]
            Image.fromarray(image).save(root / "images" / kind / f"{i:03}.png")
    return root


@dataclass(frozen=True)
class Passed:
    """What a pass leaves, and which images have a sticker."""

    table: Measurements
    laboratory: Laboratory
    sight: Sight
    stuck: np.ndarray[tuple[int], np.dtype[np.bool_]]


def passed(folder: Path, weight: float) -> Passed:
    """Pass over the images with a model that goes by colours, by `weight`."""
    _, table, laboratory = discovered(folder / "images", folder, ByColour(weight), most=0)
    seen = load(folder / "shards" / "words.npz")
    assert seen is not None
    stuck = {f"malignant/{i:03}.png" for i in range(STUCK)}
    return Passed(table, laboratory, seen, np.array([each in stuck for each in table.ids]))


@pytest.fixture(scope="module")
def used(folder: Path) -> Passed:
    """Return a pass of a model that goes by stickers."""
    return passed(folder, 3.0)


def test_the_images_whose_places_move_decisions_are_examples(used: Passed) -> None:
    table, laboratory, stuck = used.table, used.laboratory, used.stuck
    half = first_half(table)
    parts = mined_parts(table, laboratory, used.sight, half)
    (part,) = [each for each in parts if each.predicted == 1]
    assert part.donors is not None
    examples = part.donors
    assert MIN_EXAMPLES <= len(examples) <= MAX_EXAMPLES
    assert half[examples].all(), "nothing of the half for tests is looked at"
    assert stuck[examples].mean() >= 0.8
    for row, there in zip(examples.tolist(), part.places(examples), strict=True):
        y, x = (each.mean() * SIDE / 32 for each in np.nonzero(there))
        corner = PLACES[int(table.ids[row].split("/")[1][:3]) % len(PLACES)]
        if stuck[row]:
            assert abs(y - corner[0] - 7) < 8 and abs(x - corner[1] - 7) < 8
    # On the images that it was not chosen on, too.
    assert stuck[part.present & ~half].mean() >= 0.8
    assert part.present[stuck & ~half].mean() >= 0.5
    shown = np.flatnonzero(part.present)
    assert part.places(shown).any((1, 2)).all()
    see = part.seeing(laboratory.viewer)
    tested = np.flatnonzero(stuck & part.present & ~half)[:1]
    for row, picture in laboratory.pictures(tested):
        amount, mask = see(picture)
        assert amount == pytest.approx(part.amount[row], rel=1e-3)
        assert mask.any()


def test_where_colours_mean_nothing_no_place_moves_decisions(folder: Path) -> None:
    unused = passed(folder, 0.0)
    table, laboratory, stuck = unused.table, unused.laboratory, unused.stuck
    those = givers(table, first_half(table), 1)
    assert those is not None
    known = owing(table, those)

    def give(k: int, row: int, recipient: RGB) -> RGB:
        ((_, donor),) = laboratory.pictures([row])
        after = recipient.copy()
        after[2:20, 2:20] = donor[2:20, 2:20]
        return after

    pushed = pushes(known.givers, give, table, laboratory)
    assert np.abs(pushed.moved).max() < 0.01
    assert stuck[known.givers.rows].any()


def test_the_place_that_a_decision_owes_most_to_is_off_the_centre(used: Passed) -> None:
    n = len(used.table.ids)
    positive, negative = np.zeros((2, n, GRID, GRID), np.float32)
    positive[:, 14:18, 14:18] = 0.01  # the middle, in every image
    positive[:, 2:5, 2:5] = 0.001  # usual
    rows = np.flatnonzero(used.table.predictions == 1)
    first, second, wrong = rows[:3]
    positive[first, 26:29, 3:6] = 0.02
    negative[second, 26:29, 3:6] = 0.02  # it speaks against the decision
    positive[second, 2:5, 26:29] = 0.004
    positive[wrong] = np.inf
    negative[wrong] = np.inf
    columns = {"relevance.positive": positive, "relevance.negative": negative}
    table = replace(used.table, columns=lambda k: columns.get(k, used.table.columns(k)))
    those = givers(table, np.ones(n, bool), 1)
    assert those is not None
    known = owing(table, those)
    assert known.givers.rows[:2].tolist() == [first, second]
    assert np.isfinite(known.excess).all()
    for place, (y, x) in zip(known.places, [(27, 4), (3, 27)], strict=False):
        assert np.hypot(*(np.nonzero(place)[0].mean() - y, np.nonzero(place)[1].mean() - x)) < 2
        assert np.pi * 4**2 < place.sum() < np.pi * 5**2


def test_examples_are_those_that_move_decisions_farthest() -> None:
    moved = np.array([0.2, 5.0, -1.0, 4.0, 0.1, 3.0, 0.0, 0.3, 0.4])
    few = Pushes(moved, far=2.0)
    assert few.examples.tolist() == [1, 3, 5, 8, 7, 0], "six, if so many move any"
    assert few.still.tolist() == [False, False, True, False, False, False, True, False, False]
    many = Pushes(np.arange(30.0), far=2.0)
    assert many.examples.tolist() == list(range(29, 19, -1))
    assert Pushes(np.array([-1.0, 0.0]), far=-2.0).examples.tolist() == []


def test_an_image_that_cannot_be_read_any_more_gives_nothing(used: Passed) -> None:
    those = givers(used.table, first_half(used.table), 1)
    assert those is not None
    pushed = pushes(those, lambda k, row, recipient: None, used.table, used.laboratory)
    assert pushed.moved.tolist() == [0.0] * len(those.rows)
    assert len(pushed.examples) == 0


def test_few_images_give_nothing(used: Passed) -> None:
    few = np.zeros(len(used.table.ids), bool)
    few[:5] = few[-5:] = True
    assert givers(used.table, few, 1) is None
