"""Slices are what a person counts by hand."""

import numpy as np
import pytest

from melaudit.audit.slices import FEWEST, slices

CLASSES = ("benign", "malignant")


def test_each_label_is_counted_with_and_without_the_artifact() -> None:
    # 6 benign (no ring: too few with), 12 malignant: 6 ringed all right, 6 plain of which 3 right.
    labels = np.array([0] * 6 + [1] * 12)
    predictions = np.array([0] * 6 + [1] * 6 + [1, 1, 1, 0, 0, 0])
    ring = np.array([False] * 6 + [True] * 6 + [False] * 6)

    with_ring, without = slices(labels, predictions, CLASSES, {"dark_ring": ring})

    assert (with_ring.label, with_ring.shown, with_ring.n, with_ring.right) == (
        "malignant",
        True,
        6,
        1.0,
    )
    assert (without.shown, without.n, without.right) == (False, 6, 0.5)
    # Wilson's interval of 3 of 6, by its formula.
    z, n, p = 1.959964, 6, 0.5
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert without.right_low == pytest.approx(0.5 - half, abs=1e-4)
    assert without.right_high == pytest.approx(0.5 + half, abs=1e-4)


def test_too_few_images_give_no_row() -> None:
    labels = np.ones(20, np.int64)
    ring = np.arange(20) < FEWEST - 1

    assert slices(labels, labels, CLASSES, {"dark_ring": ring}) == ()
    assert slices(-labels, labels, CLASSES, {"dark_ring": np.arange(20) < 10}) == ()
