"""Usual strategies, images unlike any, labels in doubt, and groups where the model fails."""

import numpy as np
import pytest

from melaudit.audit.groups.error_slices import margins, slices
from melaudit.audit.groups.mixture import mixture, tail
from melaudit.audit.groups.prototypes import prototypes
from melaudit.findings import Trust
from melaudit.measurements import Array, Measurements

N = 240


def measurements(concepts: Array, labels: Array, predictions: Array) -> Measurements:
    logits = np.eye(2)[predictions] * 3
    return Measurements(
        tuple(f"{i}.jpg" for i in range(len(concepts))), labels, predictions, predictions,
        logits.astype(np.float32), ("benign", "malignant"), 1,
        {"relevance.concepts": concepts.astype(np.float32)}.__getitem__, "layer4", Trust.TRUSTED, 0,
        metadata={"site": np.array(["arm", "leg"] * (len(concepts) // 2), object)},
    )  # fmt: skip


def two_ways(seed: int) -> tuple[Array, Array]:
    """Concepts (N, 20) of a class that is decided in two ways, and which way."""
    rng = np.random.default_rng(seed)
    way = np.arange(N) % 3 == 0
    axes = rng.normal(size=(2, 20))
    inner = rng.normal(size=(N, 2)) @ rng.normal(size=(2, 20))
    return 6 * axes[way.astype(int)] + inner + 0.3 * rng.normal(size=(N, 20)), way


def test_both_ways_become_prototypes_with_their_shares() -> None:
    concepts, way = two_ways(0)
    ones = np.ones(N, np.int64)
    usual, odd = prototypes(measurements(concepts, ones, ones))
    rows = [[int(i.split(".")[0]) for i in p.images] for p in usual]
    assert {bool(way[r].all()) for r in rows} == {True, False}
    assert all(len(set(way[r])) == 1 for r in rows)
    assert sum(p.share for p in usual if way[int(p.images[0].split(".")[0])]) == pytest.approx(
        1 / 3
    )
    assert len(odd) <= 3


def test_foreign_images_are_listed_first_and_wrong_labels_found() -> None:
    concepts, way = two_ways(1)
    foreign = [5, 100]
    concepts[foreign] += 25 * np.random.default_rng(2).normal(size=(2, 20))
    labels = np.ones(N, np.int64)
    mislabelled = np.flatnonzero(way)[:6]
    labels[mislabelled] = 0
    _, odd = prototypes(measurements(concepts, labels, np.ones(N, np.int64)))
    unlike = [o.image for o in odd if o.kind == "unlike"]
    assert {"5.jpg", "100.jpg"} <= set(unlike[:4])
    doubted = {o.image for o in odd if o.kind == "label"}
    assert doubted and doubted <= {f"{i}.jpg" for i in mislabelled}
    assert all(o.label == "benign" and "labelled benign" in o.why for o in odd if o.kind == "label")


def test_few_images_or_none_that_vary_together_have_no_prototypes() -> None:
    ones = np.ones(30, np.int64)
    assert prototypes(measurements(np.zeros((30, 4)), ones, ones)) == ((), ())
    ones = np.ones(100, np.int64)
    assert prototypes(measurements(np.zeros((100, 4)), ones, ones)) == ((), ())


def test_the_tail_is_calibrated_and_a_few_odd_values_do_not_move_it() -> None:
    rng = np.random.default_rng(0)
    values = rng.chisquare(6, 4000) / 2
    assert (tail(values) < 0.05).mean() == pytest.approx(0.05, abs=0.02)
    spoiled = np.append(values, np.full(100, 400.0))
    np.testing.assert_allclose(tail(spoiled)[:4000] < 0.05, tail(values) < 0.05, atol=1)
    assert tail(np.ones(10)).tolist() == [1.0] * 10


def test_normal_images_are_hardly_ever_called_unlike() -> None:
    points = np.random.default_rng(3).normal(size=(500, 5)).astype(np.float32)
    assert mixture(points, 0).unlike.sum() <= 5


def test_a_group_the_model_fails_on_is_found_with_a_rate_it_did_not_search_on() -> None:
    rng = np.random.default_rng(4)
    concepts, way = two_ways(4)
    labels = np.ones(N, np.int64)
    fails = rng.random(N) < np.where(way, 0.6, 0.02)
    predictions = np.where(fails, 0, 1)
    (worst, *_), skipped = slices(measurements(concepts, labels, predictions), {"ruler": way})
    assert not skipped and worst.measure == "wrong"
    rows = np.array([int(i.split(".")[0]) for i in worst.images])
    assert way[rows].mean() > 0.9
    assert worst.rate_low > worst.elsewhere and worst.rate == pytest.approx(0.6, abs=0.2)
    assert any("ruler" in line for line in worst.why)


def test_errors_at_random_make_no_slice() -> None:
    found = 0
    for seed in range(4):
        concepts, _ = two_ways(seed)
        labels = np.ones(N, np.int64)
        predictions = (np.random.default_rng(seed).random(N) > 0.2).astype(np.int64)
        found += len(slices(measurements(concepts, labels, predictions), {})[0])
    assert found <= 1


def test_without_labels_small_margins_stand_in_and_too_few_images_are_skipped() -> None:
    concepts, _ = two_ways(0)
    unknown, ones = np.full(N, -1), np.ones(N, np.int64)
    assert slices(measurements(concepts, unknown, ones), {})[1]
    assert slices(measurements(concepts[:50], unknown[:50], ones[:50]), {})[1][0].reason.startswith(
        "too few"
    )
    assert margins(np.array([[1.0, 4.0, 2.0]], np.float32)).tolist() == [2.0]
    assert margins(np.array([[-3.0]], np.float32)).tolist() == [3.0]
