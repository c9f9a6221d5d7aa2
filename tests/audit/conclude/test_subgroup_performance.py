"""Slices are what a person counts by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from melaudit.audit.conclude.subgroup_performance import MIN_IMAGES, by_column, slices

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
    ring = np.arange(20) < MIN_IMAGES - 1

    assert slices(labels, labels, CLASSES, {"dark_ring": ring}) == ()
    assert slices(-labels, labels, CLASSES, {"dark_ring": np.arange(20) < 10}) == ()


def cells(*values: object) -> NDArray[np.object_]:
    return np.array(values, np.object_)


def test_each_label_is_counted_in_each_group_of_a_column() -> None:
    # Of women 6 benign (5 right) and 6 malignant (3 right), of men 7 benign (all right) and
    # 2 malignant; of 4 benign images nobody knows, and one has no label.
    labels = np.array([0] * 6 + [1] * 6 + [0] * 7 + [1] * 2 + [0] * 4 + [-1])
    predictions = np.array([0] * 5 + [1] + [1, 1, 1, 0, 0, 0] + [0] * 7 + [1] * 2 + [0] * 4 + [0])
    sex = cells(*["female"] * 12, *["male"] * 9, *[None] * 4, "male")

    (found,) = by_column(labels, predictions, CLASSES, {"sex": sex})

    told = [(g.label, g.group, g.n, g.right) for g in found.groups]
    assert told == [
        ("benign", "female", 6, pytest.approx(5 / 6)),
        ("benign", "male", 7, 1.0),
        ("malignant", "female", 6, 0.5),
    ]
    assert found.groups[2].right_low == pytest.approx(0.1876, abs=1e-4)  # Wilson's, 3 of 6
    assert found.groups[2].right_high == pytest.approx(0.8124, abs=1e-4)
    assert (found.column, found.too_few, found.unknown) == ("sex", 2, 4)


def test_ages_fall_into_bands_and_rare_groups_are_counted() -> None:
    labels = np.ones(23, np.int64)
    age = cells(*[25.0] * 10, *["70"] * 10, 40, 41, 42)

    (found,) = by_column(labels, labels, CLASSES, {"age": age})

    assert [(g.group, g.n) for g in found.groups] == [("under 30", 10), ("70 and over", 10)]
    assert (found.too_few, found.unknown) == (3, 0)


def test_a_column_with_one_group_or_of_another_kind_gives_no_rows() -> None:
    labels = np.ones(20, np.int64)
    halves = cells(*["a"] * 10, *["b"] * 10)

    assert by_column(labels, labels, CLASSES, {"sex": cells(*["male"] * 20)}) == ()
    assert by_column(labels, labels, CLASSES, {"comment": halves, "patient_id": halves}) == ()
    assert by_column(-labels, labels, CLASSES, {"sex": halves}) == ()
    assert by_column(labels, labels, CLASSES, {"SITE": halves}) != ()
