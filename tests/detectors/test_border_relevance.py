"""The border detector: guilty marks at the edge, innocent halos, and rings that account for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from melaudit.detectors.border_relevance import BorderRelevance
from melaudit.detectors.interface import Batch, Maps
from melaudit.findings import Finding, NotFound, Rung, Severity, Skipped, Trust
from melaudit.measurements import Measurements
from tests.said import said

Make = Callable[..., Measurements]
SIDE = 60
Y, X = np.mgrid[:SIDE, :SIDE]
EDGE = (Y < 6) | (Y >= 54) | (X < 6) | (X >= 54)
MARK = (Y >= 52) & (X >= 52)


def maps(n: int, seed: int = 0, halo: float = 0.0) -> NDArray[np.float32]:
    """Return n maps: a lesion of any size somewhere in the middle, noise, a halo of padding."""
    rng = np.random.default_rng(seed)
    cy, cx = rng.normal(29.5, 5, (2, n, 1, 1))
    width = rng.uniform(60, 300, (n, 1, 1))
    lesion = np.exp(-((Y - cy) ** 2 + (X - cx) ** 2) / width)
    level = rng.gamma(8, 1 / 8, (n, 1, 1))
    noise = rng.gamma(1, 0.15, (n, SIDE, SIDE))
    return np.asarray(lesion + level * (noise + halo * EDGE), np.float32)


def marked(
    relevance: NDArray[np.float32], rows: slice, where: NDArray[np.bool_], share: float
) -> None:
    """Move part of the relevance of some maps to a place, in place."""
    total = relevance[rows].sum((1, 2), keepdims=True)
    relevance[rows] *= 1 - share
    relevance[rows] += share * total * (where / where.sum())


def batch(relevance: NDArray[np.float32]) -> Batch:
    return Batch(tuple(map(str, range(len(relevance)))), maps=Maps(relevance))


def table(
    make: Make,
    relevance: NDArray[np.float32],
    ringed: NDArray[np.bool_] | None = None,
    **more: Any,
) -> Measurements:
    """Measure the maps with the detector and put its columns into a table."""
    measured = BorderRelevance().measure(batch(relevance))
    columns: dict[str, NDArray[Any]] = {f"border_relevance.{k}": v for k, v in measured.items()}
    if ringed is not None:
        columns["dark_ring.present"] = ringed
    more.setdefault("predictions", np.ones(len(relevance), np.int64))
    return make(columns, **more)


def conclude(data: Measurements) -> Any:
    results = said(BorderRelevance().conclude(data))
    assert len(results) == 1
    return results[0]


def test_a_watermark_in_a_corner_of_some_images_is_found(measurements: Make) -> None:
    relevance = maps(200, halo=1)
    marked(relevance, slice(12), MARK, 0.6)
    finding: Finding = conclude(table(measurements, relevance, np.zeros(200, bool)))
    assert finding.severity is Severity.MEDIUM
    assert finding.rung is Rung.ATTENTION
    assert finding.artifact is None
    assert finding.classes == ("malignant",)
    assert set(finding.images[:12]) == {f"image-{i:04d}.jpg" for i in range(12)}
    assert len(finding.images) <= 14
    assert "none of these shows a black ring" in finding.statement
    assert "depends" in finding.does_not_show


def test_a_frame_round_some_images_is_found(measurements: Make) -> None:
    relevance = maps(200)
    marked(relevance, slice(15), EDGE, 0.85)
    finding = conclude(table(measurements, relevance, np.zeros(200, bool)))
    assert isinstance(finding, Finding)
    assert set(finding.images[:15]) == {f"image-{i:04d}.jpg" for i in range(15)}
    evidence = finding.evidence[0]
    k = len(finding.images)
    expected = stats.binomtest(k, 200).proportion_ci(method="wilson")
    assert evidence.estimate == pytest.approx(k / 200)
    assert (evidence.ci_low, evidence.ci_high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("halo", [0.0, 1.0, 10.0])
def test_a_padding_halo_on_every_image_is_no_finding(measurements: Make, halo: float) -> None:
    relevance = maps(300, halo=halo)
    data = table(measurements, relevance, np.zeros(300, bool))
    if halo == 10:
        assert np.median(data["border_relevance.band"]) > 0.6  # a fixed threshold would alarm
    missed = conclude(data)
    assert isinstance(missed, NotFound)
    assert missed.n == 300
    assert 0 < (missed.minimum_detectable_effect or 0) <= 1
    assert missed.p_value is not None


def test_false_alarms_are_rare(measurements: Make) -> None:
    alarms = [
        isinstance(conclude(table(measurements, maps(120, seed, halo=1))), Finding)
        for seed in range(40)
    ]
    assert sum(alarms) <= 2


def test_heavy_tails_on_both_sides_are_variety_and_no_group(measurements: Make) -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(60):
        share = (1 / (1 + np.exp(-rng.standard_t(1.5, 400)))).astype(np.float32)
        names = ("band", "band_signed", "corners", "corner")
        columns = {f"border_relevance.{name}": share for name in names}
        data = measurements(columns, predictions=np.zeros(400, np.int64))
        alarms += isinstance(conclude(data), Finding)
    assert alarms <= 4


def test_an_excess_that_ringed_images_account_for_stays_information(measurements: Make) -> None:
    relevance = maps(200)
    marked(relevance, slice(40), EDGE, 0.85)
    ringed = np.arange(200) < 40
    finding: Finding = conclude(table(measurements, relevance, ringed))
    assert finding.severity is Severity.INFO
    assert finding.artifact == "dark_ring"
    assert "accounts for it" in finding.statement
    assert set(finding.images) <= {f"image-{i:04d}.jpg" for i in range(40)}


def test_frames_are_found_beside_rings_and_named_apart(measurements: Make) -> None:
    relevance = maps(300)
    marked(relevance, slice(100), EDGE, 0.85)
    ringed = np.arange(300) < 80  # 80 rings, 20 white frames
    finding: Finding = conclude(table(measurements, relevance, ringed))
    assert finding.severity is Severity.MEDIUM
    assert set(finding.images[:20]) == {f"image-{i:04d}.jpg" for i in range(80, 100)}
    assert "ringed images besides" in finding.statement


def test_without_a_ring_column_all_others_are_the_reference(measurements: Make) -> None:
    relevance = maps(200)
    marked(relevance, slice(15), EDGE, 0.85)
    finding = conclude(table(measurements, relevance))
    assert isinstance(finding, Finding)
    assert "nobody looked for black rings" in finding.statement


def test_classes_are_held_against_themselves_only(measurements: Make) -> None:
    # The maps of one class are all at the border: a property of the class, not a group in it.
    relevance = maps(200)
    marked(relevance, slice(100), EDGE, 0.7)
    calls = (np.arange(200) < 100).astype(np.int64)
    assert isinstance(conclude(table(measurements, relevance, predictions=calls)), NotFound)


def test_few_images_that_stand_out_are_no_group(measurements: Make) -> None:
    relevance = maps(200)
    marked(relevance, slice(4), MARK, 0.8)
    assert isinstance(conclude(table(measurements, relevance)), NotFound)


def test_too_few_images_of_every_class_are_skipped(measurements: Make) -> None:
    skipped = conclude(table(measurements, maps(20)))
    assert isinstance(skipped, Skipped)
    assert "30 images" in skipped.reason


def test_unusable_maps_are_skipped_and_degraded_ones_lower_the_confidence(
    measurements: Make,
) -> None:
    relevance = maps(200)
    marked(relevance, slice(15), EDGE, 0.85)
    data = table(measurements, relevance)
    unusable = dataclasses.replace(data, explanations=Trust.UNUSABLE)
    assert isinstance(conclude(unusable), Skipped)
    degraded = dataclasses.replace(data, explanations=Trust.DEGRADED)
    assert conclude(degraded).confidence < 0.7 * conclude(data).confidence


def test_maps_that_are_all_alike_stand_out_nowhere(measurements: Make) -> None:
    relevance = np.repeat(maps(1), 60, axis=0)
    assert isinstance(conclude(table(measurements, relevance)), NotFound)


def test_the_shares_are_those_counted_pixel_by_pixel() -> None:
    relevance = maps(3, seed=5) * np.where(
        np.random.default_rng(0).random((SIDE, SIDE)) < 0.3, -1, 1
    )
    columns = BorderRelevance().measure(batch(relevance.astype(np.float32)))
    for i, one in enumerate(relevance):
        total = np.abs(one).sum()
        assert columns["band"][i] == pytest.approx(np.abs(one[EDGE]).sum() / total, rel=1e-5)
        assert columns["band_signed"][i] == pytest.approx(one[EDGE].sum() / total, rel=1e-4)
        corners = [np.abs(one[y][:, x]).sum() / total for y in HALVES for x in HALVES]
        assert columns["corners"][i] == pytest.approx(sum(corners), rel=1e-5)
        assert columns["corner"][i] == pytest.approx(max(corners), rel=1e-5)


HALVES = (slice(0, 11), slice(49, 60))


@pytest.mark.parametrize("shape", [(2, 2), (3, 50), (299, 299)])
def test_maps_of_any_size_are_measured(shape: tuple[int, int]) -> None:
    columns = BorderRelevance().measure(batch(np.ones((1, *shape), np.float32)))
    assert all(0 <= float(v[0]) <= 1.01 for v in columns.values())


def test_an_empty_or_broken_map_is_measured_as_unknown(measurements: Make) -> None:
    relevance = maps(100)
    relevance[3] = 0
    relevance[4, 0, 0] = np.nan
    data = table(measurements, relevance)
    assert np.isnan(data["border_relevance.band"][3:5]).all()
    assert np.isfinite(data["border_relevance.band"][5:]).all()
    assert isinstance(conclude(data), NotFound)
