"""Relevance outside the lesion: maps that look away or follow, and errors that go with it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from melaudit.detectors.interface import Batch, UserKnowledge
from melaudit.detectors.outside_object import OutsideObject, widened
from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.findings import Finding, NotFound, Rung, Skipped
from melaudit.measurements import GRID, Measurements
from melaudit.relevance import Explainer
from tests.said import said

DETECTOR = OutsideObject(DERMOSCOPY.words)

MakeMeasurements = Callable[..., Measurements]

N = 120
LABELS = np.repeat([0, 1], N // 2)


def lesions(seed: int = 0) -> NDArray[np.bool_]:
    """Return lesions (N, GRID, GRID): discs of differing place and size."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:GRID, :GRID]
    middles, radii = rng.uniform(10, 22, (N, 2)), rng.uniform(4, 9, N)
    discs = zip(middles, radii, strict=True)
    return np.array([np.hypot(y - cy, x - cx) < r for (cy, cx), r in discs])


def columns(inside: NDArray[np.bool_], weight: NDArray[np.float64]) -> dict[str, Any]:
    """Return columns of maps that are `weight` (N,) times as dense inside the lesion as outside."""
    rng = np.random.default_rng(1)
    maps = rng.gamma(2.0, 1.0, inside.shape) * np.where(inside, weight[:, None, None], 1.0)
    maps /= maps.sum((1, 2), keepdims=True)
    share = (maps * ~inside).sum((1, 2))
    return {
        "relevance.positive": maps.astype(np.float32),
        "relevance.negative": np.zeros(maps.shape, np.float32),
        "outside_lesion.mask": (255 * ~inside).astype(np.uint8),
        "outside_lesion.share": share.astype(np.float32),
        "outside_lesion.signed": share.astype(np.float32),
        "outside_lesion.area": (~inside).mean((1, 2)).astype(np.float32),
    }


def test_a_class_whose_maps_look_around_the_lesion_is_found(measurements: MakeMeasurements) -> None:
    weight = np.where(LABELS == 1, 0.3, 4.0)
    found, errors = said(DETECTOR.conclude(measurements(columns(lesions(), weight), labels=LABELS)))
    assert isinstance(found, Finding)
    assert (found.classes, found.rung) == (("malignant",), Rung.ATTENTION)
    assert {int(name[6:10]) >= N // 2 for name in found.images} == {True}
    assert isinstance(errors, Skipped)  # no image is wrong


def test_maps_that_follow_the_lesion_are_innocent(measurements: MakeMeasurements) -> None:
    found, _ = said(
        DETECTOR.conclude(measurements(columns(lesions(), np.full(N, 4.0)), labels=LABELS))
    )
    assert isinstance(found, NotFound)


def test_relevance_that_is_spread_evenly_is_innocent(measurements: MakeMeasurements) -> None:
    found, _ = said(
        DETECTOR.conclude(measurements(columns(lesions(), np.full(N, 1.0)), labels=LABELS))
    )
    assert isinstance(found, NotFound)


def test_errors_that_go_with_looking_away_are_found(measurements: MakeMeasurements) -> None:
    wrong = np.arange(N) % 4 == 0
    weight = np.where(wrong, 0.5, 4.0)
    table = measurements(
        columns(lesions(), weight), labels=LABELS, predictions=np.where(wrong, 1 - LABELS, LABELS)
    )
    errors = said(DETECTOR.conclude(table))[-1]
    assert isinstance(errors, Finding)
    assert errors.id == "outside_lesion.errors"
    assert {int(name[6:10]) for name in errors.images} == set(np.flatnonzero(wrong))


def test_errors_that_have_nothing_to_do_with_it_are_innocent(
    measurements: MakeMeasurements,
) -> None:
    wrong = np.arange(N) % 4 == 0
    table = measurements(
        columns(lesions(), np.full(N, 2.0)),
        labels=LABELS,
        predictions=np.where(wrong, 1 - LABELS, LABELS),
    )
    assert isinstance(said(DETECTOR.conclude(table))[-1], NotFound)


def test_without_masks_it_says_what_is_missing(measurements: MakeMeasurements) -> None:
    (found,) = said(DETECTOR.conclude(measurements({}, labels=LABELS)))
    assert isinstance(found, Skipped)
    assert "--lesion-masks" in found.reason


def test_a_model_that_does_not_follow_the_labels_has_learned_no_place(
    measurements: MakeMeasurements,
) -> None:
    table = measurements(columns(lesions(), np.full(N, 0.3)), labels=LABELS)
    (found,) = said(DETECTOR.conclude(dataclasses.replace(table, above_chance=False)))
    assert isinstance(found, Skipped)


def test_too_few_masks_are_counted(measurements: MakeMeasurements) -> None:
    table = columns(lesions(), np.full(N, 0.3))
    table["outside_lesion.share"][10:] = np.nan
    (found,) = said(DETECTOR.conclude(measurements(table, labels=LABELS)))
    assert isinstance(found, Skipped)
    assert "10 of 120 images" in found.reason


def test_a_lesion_grows_by_its_rim_on_all_sides() -> None:
    point = np.zeros((100, 100), np.float32)
    point[50, 50] = 1
    rows, columns = np.nonzero(widened(point))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (47, 53, 47, 53)
    assert len(rows) == pytest.approx(np.pi * 9, rel=0.1)


def test_measured_shares_are_those_outside_the_mask(
    show: Callable[[Explainer, torch.Tensor, str], Batch],
) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 2),
    )
    with Explainer(model) as explainer:
        x = torch.rand(3, 3, 64, 64)
        batch = show(explainer, x, explainer.choose_layer(x))
    lesion = np.zeros((64, 64), np.bool_)
    lesion[:, :30] = True
    empty = np.zeros_like(lesion)
    user = UserKnowledge(objects=(lesion, None, empty))
    measured = DETECTOR.measure(dataclasses.replace(batch, user=user))
    first = np.abs(batch.maps.relevance[0])
    expected = first[:, 32:].sum() / first.sum()
    assert measured["share"][0] == pytest.approx(expected, rel=1e-4)
    assert measured["area"][0] == pytest.approx(0.5)
    assert np.isnan(measured["share"][1:]).all()
    assert DETECTOR.measure(batch) == {}
