"""Clusters: planted groups come out, noise gives none, and the reasons are the true ones."""

import numpy as np
import pytest

from melaudit.audit.clustering import ClusterSettings, group, marking_channels
from melaudit.audit.suspicion import suspicious_clusters
from melaudit.detectors.interface import GRID, Array, Measurements
from melaudit.findings import Trust


def planted(n: int, ringed: int, seed: int) -> tuple[Array, Array, Array]:
    """Concepts (n, 40) and maps (n, GRID, GRID); the first `ringed` rows decide by the border."""
    rng = np.random.default_rng(seed)
    concepts = np.abs(rng.normal(0.02, 0.01, (n, 40)))
    concepts[:ringed, [3, 7]] += np.abs(rng.normal(0.25, 0.05, (ringed, 2)))
    y, x = np.mgrid[:GRID, :GRID] / (GRID - 1) - 0.5
    radius = np.hypot(x, y)
    centre = np.exp(-((radius / 0.2) ** 2))
    border = (np.maximum(abs(x), abs(y)) > 0.42).astype(float)
    inside = np.arange(n) < ringed
    maps = np.where(inside[:, None, None], border, centre) * (1 + 0.3 * rng.random((n, GRID, GRID)))
    return concepts, maps / maps.sum((1, 2), keepdims=True), inside


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_strategy_is_found_whole_and_pure(seed: int) -> None:
    concepts, maps, inside = planted(200, 60, seed)
    best = max(group(concepts, maps, 0).members, key=lambda m: inside[m].mean())
    assert inside[best].mean() >= 0.95
    assert inside[best].sum() >= 0.9 * 60


def test_marking_channels_are_those_that_were_planted() -> None:
    concepts, _, inside = planted(200, 60, 0)
    assert set(marking_channels(concepts, np.flatnonzero(inside))[:2]) == {3, 7}


@pytest.mark.parametrize("seed", range(5))
def test_noise_falls_into_no_two_clusters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    concepts = rng.normal(size=(200, 40))
    maps = rng.normal(size=(200, GRID, GRID))
    assert len(group(concepts, maps, 0).members) <= 1


def test_too_few_images_and_broken_rows_are_outliers() -> None:
    concepts, maps, _ = planted(12, 4, 0)
    assert not group(concepts, maps, 0).members
    concepts, maps, _ = planted(200, 60, 0)
    concepts[5] = np.nan
    grouping = group(concepts, maps, 0)
    assert 5 in grouping.outliers


def test_landmarks_agree_with_the_whole() -> None:
    concepts, maps, inside = planted(400, 120, 1)
    few = group(concepts, maps, 0, ClusterSettings(most=150))
    best = max(few.members, key=lambda m: inside[m].mean())
    assert inside[best].mean() >= 0.95
    assert inside[best].sum() >= 0.8 * 120


def measurements(concepts: Array, maps: Array, inside: Array) -> Measurements:
    n = len(concepts)
    columns = {
        "relevance.positive": maps.astype(np.float16),
        "relevance.negative": np.zeros_like(maps, np.float16),
        "relevance.concepts": concepts.astype(np.float16),
    }
    labels = np.ones(n, np.int64)
    labels[-20:] = 0
    return Measurements(
        tuple(f"{i}.jpg" for i in range(n)), labels, np.ones(n, np.int64), np.ones(n, np.int64),
        np.zeros((n, 2), np.float32), ("benign", "malignant"), 1, columns.__getitem__, "layer4",
        Trust.TRUSTED, 0,
    )  # fmt: skip


def test_the_ringed_group_is_the_most_suspicious_and_the_reasons_say_why() -> None:
    concepts, maps, inside = planted(200, 60, 0)
    clusters, skipped = suspicious_clusters(
        measurements(concepts, maps, inside), {"dark_ring": inside}
    )
    worst = clusters[0]
    assert worst.predicted == "malignant"
    assert worst.artifacts["dark_ring"] >= 0.95
    assert worst.suspicion == pytest.approx(np.mean(list(worst.parts.values())))
    assert any("dark ring" in reason for reason in worst.why)
    assert any("border" in reason for reason in worst.why)
    assert set(worst.channels[:2]) == {3, 7}
    assert {s.reason for s in skipped} == {"the 0 images predicted benign do not fall into groups"}


def test_without_artifact_or_border_no_cluster_is_suspicious() -> None:
    concepts, maps, inside = planted(200, 60, 0)
    even = np.ones_like(maps) / maps[0].size
    clusters, _ = suspicious_clusters(measurements(concepts, even, inside), {})
    assert all(cluster.suspicion < 0.2 for cluster in clusters)
