"""A mark at a fixed place is found by what recurs there; lesions, padding and strides are not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from melaudit.detectors.fixed_position import FixedPosition
from melaudit.detectors.measures.recurrence import coherence, detail, floor_of, places, structure
from melaudit.findings import Finding, NotFound, Rung, Severity, Skipped, Trust
from melaudit.measurements import GRID, Measurements
from tests.said import said

MakeMeasurements = Callable[..., Measurements]

BOX = (slice(26, 30), slice(21, 30))
"""Where the mark stands: at the lower right."""


def pictures(n: int, marked: NDArray[np.bool_], seed: int = 0) -> torch.Tensor:
    """Return n inputs (n, 3, 64, 64): skin, a lesion near the middle, hairs; marked: letters."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    images = rng.normal(0, 0.05, (n, 3, 64, 64))
    for i in range(n):
        cy, cx, radius = *(32 + rng.normal(0, 3, 2)), rng.uniform(8, 20)
        images[i] -= 1.5 * (np.hypot(y - cy, x - cx) < radius * (1 + 0.2 * np.sin(x + y)))
        for _ in range(rng.integers(0, 6)):
            slope, start = rng.normal(0, 1), rng.uniform(0, 64)
            images[i] -= np.abs(y - start - slope * (x - 32)) < 0.8
        if marked[i]:  # the text differs, the place does not
            box = (slice(None), slice(52, 60), slice(42, 60))
            images[i][box] += 2.0 * (rng.random((1, 8, 18)) < 0.5)
    return torch.tensor(images, dtype=torch.float32)


def maps(n: int, on_mark: NDArray[np.float64], seed: int = 0) -> NDArray[np.float32]:
    """Return n maps: lopsided padding, a lesion, and a share `on_mark` (n,) of it on the mark."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:GRID, :GRID]
    out = rng.gamma(1.0, 1.0, (n, GRID, GRID))
    out *= 1 + 8 * np.exp(-np.minimum(y, x) / 1.5) + 6 * np.exp(-np.hypot(y - 16, x - 16) / 4)
    out /= out.sum((1, 2), keepdims=True)
    out[(slice(None), *BOX)] += (on_mark / 36)[:, None, None]
    scaled: NDArray[np.float32] = (out / out.sum((1, 2), keepdims=True)).astype(np.float32)
    return scaled


def concluded(
    make: MakeMeasurements,
    marked: NDArray[np.bool_],
    on_mark: NDArray[np.float64],
    labels: NDArray[np.int64],
    **rest: Any,
) -> Any:
    n = len(marked)
    relevance = maps(n, on_mark)
    columns = {
        "fixed_position.detail": detail(pictures(n, marked)),
        "relevance.positive": relevance,
        "relevance.negative": np.zeros_like(relevance),
        **rest.pop("columns", {}),
    }
    return said(FixedPosition().conclude(make(columns, labels=labels, **rest)))


LABELS = np.repeat([0, 1], 100)
MARKED = (np.arange(200) % 5 < 3) & (LABELS == 1)
"""60 of 100 malignant images."""


def test_a_mark_that_the_model_looks_at_is_found_with_its_place_and_images(
    measurements: MakeMeasurements,
) -> None:
    (found,) = concluded(measurements, MARKED, 0.1 * MARKED, LABELS)
    assert isinstance(found, Finding)
    assert found.id == "fixed_position.lower_right"
    assert (found.rung, found.severity) == (Rung.ATTENTION, Severity.MEDIUM)
    assert {int(name[6:10]) for name in found.images} == set(np.flatnonzero(MARKED))
    assert "60 of 100 images predicted malignant" in found.statement
    assert "60 of 100 malignant images show" in found.statement
    reached = {e.rung for e in found.evidence if e.reached}
    assert reached == {Rung.OPPORTUNITY, Rung.ATTENTION}


def test_a_mark_on_every_image_of_a_class_is_held_against_other_classes(
    measurements: MakeMeasurements,
) -> None:
    all_marked = LABELS == 1
    (found,) = concluded(measurements, all_marked, 0.1 * all_marked, LABELS)
    assert isinstance(found, Finding)
    assert "images with another prediction" in found.statement


def test_a_mark_that_the_model_ignores_is_said_to_be_there(measurements: MakeMeasurements) -> None:
    (found,) = concluded(measurements, MARKED, np.zeros(200), LABELS)
    assert isinstance(found, NotFound)
    assert "lower right" in found.statement
    assert found.p_value is not None
    assert found.p_value > 0.01


def test_centred_lesions_hairs_and_lopsided_padding_are_innocent(
    measurements: MakeMeasurements,
) -> None:
    nothing = np.zeros(200, np.bool_)
    (found,) = concluded(measurements, nothing, np.zeros(200), LABELS)
    assert isinstance(found, NotFound)
    assert "Nothing recurs" in found.statement


def test_relevance_at_one_place_with_nothing_to_see_there_is_no_mark(
    measurements: MakeMeasurements,
) -> None:
    nothing = np.zeros(200, np.bool_)
    (found,) = concluded(measurements, nothing, np.where(LABELS == 1, 0.2, 0.0), LABELS)
    assert isinstance(found, NotFound)


def test_ringed_images_are_left_to_the_ring_and_few_images_are_skipped(
    measurements: MakeMeasurements,
) -> None:
    ringed = {"dark_ring.present": np.arange(200) % 10 < 6}
    (found,) = concluded(measurements, MARKED, 0.1 * MARKED, LABELS, columns=ringed)
    assert isinstance(found, Skipped)
    assert "50 images" in found.reason


def test_unusable_maps_say_nothing(measurements: MakeMeasurements) -> None:
    (found,) = concluded(measurements, MARKED, 0.1 * MARKED, LABELS, explanations=Trust.UNUSABLE)
    assert isinstance(found, Skipped)


def test_coherence_is_the_share_of_structure_in_common() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (400, GRID, GRID))
    assert coherence(noise).max() < 0.05
    noise[:, 5, 9] += 2.0
    there = noise[:, 5, 9]
    expected = there.mean() ** 2 / (there**2).mean()  # 4 of 5, but for chance
    assert coherence(noise)[5, 9] == pytest.approx(expected, abs=0.06)


def test_what_a_place_has_in_common_with_its_mirror_images_does_not_count() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (400, GRID, GRID))
    for y, x in ((3, 6), (6, 3)):
        for row in (y, GRID - 1 - y):
            noise[:, row, [x, GRID - 1 - x]] += 2.0
    assert coherence(noise).max() < 0.05


def test_detail_is_flat_on_flat_images_and_does_not_depend_on_size() -> None:
    assert detail(torch.full((2, 3, 96, 96), 0.7)).max() == 0
    assert detail(torch.rand(2, 3, 100, 130)).shape == (2, GRID, GRID)


def test_real_images_without_a_mark_have_no_place_at_which_structure_recurs(shared: Path) -> None:
    folder = shared / "data" / "isic-rings" / "benign"
    images = [
        np.asarray(Image.open(file).convert("RGB").resize((64, 64)), np.float32) / 60
        for file in sorted(folder.iterdir())[:120]
    ]
    details = detail(torch.tensor(np.array(images)).permute(0, 3, 1, 2))
    assert places(structure(details, floor_of(details))) == []


def test_a_finding_can_be_written_down(measurements: MakeMeasurements) -> None:
    (found,) = concluded(measurements, MARKED, 0.1 * MARKED, LABELS)
    assert json.dumps([table.rows for table in found.tables])


def test_a_mark_on_a_third_of_the_images_is_one_place_borne_by_these() -> None:
    marked = np.arange(150) % 3 == 0
    details = detail(pictures(150, marked))
    structures = structure(details, floor_of(details))
    (place,) = places(structures)
    assert place.where() == "at the lower right"
    assert place.bears(structures).tolist() == marked.tolist()
