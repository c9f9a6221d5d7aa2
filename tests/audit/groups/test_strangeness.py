"""What other images do not show is found, though it is something else in every image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from melaudit.audit.groups import stability
from melaudit.audit.groups import strangeness as module
from melaudit.audit.groups.likeness import amounts, described
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.groups.strangeness import (
    LIKE_IT,
    strange_in,
    strange_pattern,
    strange_places,
    strangeness,
    strangest,
)
from melaudit.audit.measure.visual_words import LIKENESS, UNIT
from melaudit.findings import Trust
from melaudit.measurements import Measurements

SIDE, K = 8, 12
AWAY = outside_centre(SIDE, SIDE) > 0


def table(shows: np.ndarray, predicted: np.ndarray, seed: int = 0) -> Measurements:
    """Return images whose places lie along the first four axes, but one of those that show it.

    What that one lies along is one of the other axes, another one from image to image.
    """
    rng = np.random.default_rng(seed)
    n = len(shows)
    units = np.zeros((n, SIDE, SIDE, K))
    units[..., :4] = rng.normal(size=(n, SIDE, SIDE, 4))
    positive = rng.uniform(0, 0.001, (n, 32, 32))
    for row in np.flatnonzero(shows):
        y, x = rng.permutation(np.argwhere(AWAY))[0]
        units[row, y, x] = np.eye(K)[4 + row % 8]
        positive[row, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4] += 0.02
    units += rng.normal(0, 0.02, units.shape)
    units /= np.linalg.norm(units, axis=3, keepdims=True)
    columns: Mapping[str, np.ndarray] = {
        LIKENESS: (units * UNIT).round().astype(np.int8),
        "relevance.positive": positive.astype(np.float32),
        "relevance.negative": np.zeros_like(positive, dtype=np.float32),
    }
    return Measurements(
        tuple(f"{i}.png" for i in range(n)), predicted, predicted, predicted,
        np.zeros((n, 2), np.float32), ("benign", "malignant"), 1, columns.__getitem__, "layer",
        Trust.TRUSTED, 0,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWS", 4)
    monkeypatch.setattr(stability, "NULLS", 3)


CLASSES = np.repeat([0, 1], 60)
SHOWS = (CLASSES == 1) & (np.arange(120) % 3 == 0)
OWN, OTHERS = np.flatnonzero(CLASSES == 1), np.flatnonzero(CLASSES == 0)


def test_many_different_things_that_a_class_shows_are_one_group() -> None:
    (found,) = strange_pattern(table(SHOWS, CLASSES), OWN, OTHERS, 8)
    assert (found.members == SHOWS[OWN]).mean() >= 0.95
    assert found.like is None and found.vocabulary is None
    assert found.others <= 0.05 and found.stability > 0.6 and found.evidence > 0.2


def test_what_both_classes_show_is_not_strange() -> None:
    for shows in (np.zeros(120, bool), np.arange(120) % 3 == 0):
        assert strange_in(table(shows, CLASSES), OWN, OTHERS, 8, steady=False) is None


def test_a_class_that_shows_it_nearly_everywhere_is_no_group_but_can_be_tested() -> None:
    images = table(CLASSES == 1, CLASSES)
    assert strange_pattern(images, OWN, OTHERS, 8) == ()
    assert strange_in(images, OWN, OTHERS, 8, steady=False) is not None


def test_few_images_are_not_judged() -> None:
    images = table(SHOWS, CLASSES)
    assert strange_in(images, OWN, OTHERS[:39], 8) is None
    assert strange_in(images, OWN, OTHERS[:19], 8, steady=False) is None
    assert strange_in(images, OWN[:15], OTHERS, 8) is None


def test_an_image_is_as_strange_as_its_strangest_place_is_unlike_the_fifth_image() -> None:
    images = table(SHOWS, CLASSES)
    known = strange_in(images, OWN, OTHERS, 8, steady=False)
    assert known is not None
    found = strangest(images, known)
    noted = images[LIKENESS].astype(float) / UNIT
    evidence = images["relevance.positive"].reshape(120, SIDE, 4, SIDE, 4).sum((2, 4))
    places = [(y, x) for y, x in np.argwhere(AWAY)]
    for row in (0, 3, 60, 61):
        most = sorted(places, key=lambda at: -evidence[row][at])[: round(len(places) / 4)]
        unlike = []
        for at in most:
            best = sorted(
                (float((noted[other] @ noted[row][at]).max()) for other in OTHERS if other != row),
                reverse=True,
            )
            unlike.append(1 - best[LIKE_IT - 1])
        assert found[row] == pytest.approx(max(unlike), abs=1e-4)


def test_a_picture_of_its_own_is_judged_as_in_the_pass() -> None:
    images = table(SHOWS, CLASSES)
    known = strange_in(images, OWN, OTHERS, 8, steady=False)
    assert known is not None
    some = np.flatnonzero(SHOWS)[:3]
    noted, maps = images[LIKENESS][some], images["relevance.positive"][some]
    seen = described(noted, maps, np.zeros_like(maps))
    assert np.allclose(strangeness(seen, known), strangest(images, known)[some], atol=1e-6)
    there = strange_places(noted, seen, known)
    for row, mask in zip(some, there, strict=True):
        units = images[LIKENESS][row].astype(float)
        (y, x), *_ = np.argwhere((np.abs(units[..., 4:]) > UNIT / 2).any(2))
        expected = np.zeros((SIDE, SIDE), bool)
        for down, across in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
            if 0 <= y + down < SIDE and 0 <= x + across < SIDE:
                expected[y + down, x + across] = True
        assert np.array_equal(mask, expected & AWAY)
    assert (amounts(known.pattern, strangest(images, known))[some] > 1).all()
