"""Performance is what a person counts by hand, and chance is recognised."""

import numpy as np
import pytest

from melaudit.audit.conclude.performance import doubts, performance
from melaudit.measurements import Array

CLASSES = ("benign", "malignant")


def simulate(
    n: int, right: float, prevalence: float = 0.5, seed: int = 0
) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < prevalence).astype(np.int64)
    predictions = np.where(rng.random(n) < right, labels, 1 - labels)
    high = rng.random(n) * 0.5 + 0.5
    positive = np.where(predictions == 1, high, 1 - high).astype(np.float32)
    return labels, predictions, np.stack([1 - positive, positive], 1)


def test_figures_agree_with_counting_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1, -1])
    predictions = np.array([0, 0, 1, 1, 0, 1])
    positive = np.array([0.1, 0.2, 0.8, 0.9, 0.3, 0.5], np.float32)
    got = performance(labels, predictions, np.stack([1 - positive, positive], 1), CLASSES, 1)
    assert got.n == 5
    assert got.accuracy == pytest.approx(3 / 5)
    assert got.confusion == ((2, 1), (1, 1))
    assert [c.recall for c in got.per_class] == pytest.approx([2 / 3, 1 / 2])
    assert [c.precision for c in got.per_class] == pytest.approx([2 / 3, 1 / 2])
    # Of the 6 pairs (benign, malignant) 5 are in order: only .8 before .3 is not.
    assert got.auc == pytest.approx(5 / 6)
    assert got.accuracy_low is not None and got.accuracy_high is not None
    assert got.accuracy_low < 0.6 < got.accuracy_high
    assert got.chance == pytest.approx(3 / 5)


def test_no_labels_no_figures() -> None:
    labels, predictions, probabilities = simulate(10, 0.9)
    got = performance(np.full_like(labels, -1), predictions, probabilities, CLASSES, 1)
    assert (got.n, got.accuracy, got.auc) == (0, None, None)
    assert doubts(got) is None


def test_a_class_without_images_has_no_recall() -> None:
    got = performance(
        np.zeros(30, np.int64), np.zeros(30, np.int64), np.tile([0.9, 0.1], (30, 1)), CLASSES, 1
    )
    assert got.per_class[1].recall is None
    assert got.auc is None


@pytest.mark.parametrize("seed", range(5))
def test_a_good_model_raises_no_doubt_even_when_one_class_is_rare(seed: int) -> None:
    assert doubts(performance(*simulate(300, 0.85, 0.1, seed), CLASSES, 1)) is None
    assert doubts(performance(*simulate(60, 0.9, 0.5, seed), CLASSES, 1)) is None


def test_chance_and_swapped_classes_are_told_apart() -> None:
    near = doubts(performance(*simulate(400, 0.5), CLASSES, 1))
    swapped = doubts(performance(*simulate(400, 0.1), CLASSES, 1))
    assert near is not None and "near chance" in near and "preprocessing" in near
    assert swapped is not None and "--classes malignant,benign" in swapped


def test_every_doubt_about_the_model_says_what_to_give() -> None:
    """Also where 14 of 40 right are clearly too few, and no other order is clearly better."""
    against = of_confusion(np.array([[14, 6], [20, 0]]), CLASSES)
    assert against is not None and "contradict" in against
    assert "taken to be benign,malignant;" in against and "--classes" in against
    near = doubts(performance(*simulate(400, 0.5), CLASSES, 1)) or ""
    assert all(option in near for option in ("--classes", "--image-size", "--mean", "--crop"))


def test_always_naming_the_frequent_class_is_near_chance() -> None:
    labels = np.array([0] * 95 + [1] * 5)
    always = np.zeros(100, np.int64)
    got = performance(labels, always, np.tile([0.9, 0.1], (100, 1)), CLASSES, 1)
    assert got.accuracy == pytest.approx(0.95)
    assert "near chance" in (doubts(got) or "")


def of_confusion(counts: Array, names: tuple[str, ...]) -> str | None:
    """Return the doubts about predictions with this confusion matrix."""
    labels, predictions = (np.repeat(each, counts.ravel()) for each in np.indices(counts.shape))
    return doubts(
        performance(
            labels.ravel(),
            predictions.ravel(),
            np.eye(len(names), dtype=np.float32)[predictions],
            names,
            0,
        )
    )


def test_an_order_of_text_where_numbers_were_meant_is_found_above_chance() -> None:
    names = tuple(sorted(map(str, range(11))))  # 0, 1, 10, 2, ...
    counts = np.zeros((11, 11), np.int64)
    for row, name in enumerate(names):
        counts[row, int(name)] = 5  # right in numeric order
    doubt = of_confusion(counts, names)
    assert doubt is not None and "0.182" in doubt and "1.000" in doubt
    assert "--classes 0,1,2,3,4,5,6,7,8,9,10." in doubt


def test_two_of_many_classes_that_changed_places_are_found() -> None:
    counts = np.diag(np.full(20, 30))
    counts[[3, 4]] = counts[[4, 3]]
    names = tuple(f"c, {i}" for i in range(20))
    doubt = of_confusion(counts, names)
    assert doubt is not None and '"c, 2","c, 4","c, 3","c, 5"' in doubt


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("right", [0.4, 0.7])
def test_the_search_for_an_order_finds_none_in_noise(seed: int, right: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(8), 6)
    predictions = np.where(rng.random(48) < right, labels, rng.integers(0, 8, 48))
    counts = np.zeros((8, 8), np.int64)
    np.add.at(counts, (labels, predictions), 1)
    assert "order" not in (of_confusion(counts, tuple("abcdefgh")) or "")


def test_a_recall_of_one_on_one_image_is_not_certain() -> None:
    few = of_confusion(np.array([[16, 4], [0, 1]]), CLASSES)
    assert few is not None and "too few images" in few and "malignant has 1" in few
    assert of_confusion(np.array([[16, 4], [0, 20]]), CLASSES) is None
