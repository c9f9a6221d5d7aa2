"""The valley between two kinds of images, and no valley in one lopsided cloud."""

import diptest
import numpy as np
import pytest

from melaudit.audit.groups.unimodality import (
    count_modes,
    critical_width,
    separation_p_value,
    unimodality_p_value,
)


@pytest.mark.parametrize("seed", range(3))
def test_two_kinds_are_parted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inside = np.arange(400) < 150
    points = rng.normal(size=(400, 5)) + 5 * inside[:, None] * np.array([1, 0, 0, 0, 0])
    assert separation_p_value(points.astype(np.float32), inside, 0) <= 0.01


def test_one_cloud_cut_in_two_is_not_parted() -> None:
    lopsided = [np.abs(np.random.default_rng(s).normal(size=(300, 4))) for s in range(6)]
    p_values = [separation_p_value(p.astype(np.float32), p[:, 0] > 1, 0) for p in lopsided]
    assert sum(p <= 0.05 for p in p_values) <= 1  # as often as a test at .05 may err
    assert min(p_values) > 0.01


def test_too_few_on_a_side_are_not_parted() -> None:
    points = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    assert separation_p_value(points, np.arange(20) < 1, 0) == 1
    assert unimodality_p_value(np.ones(50), np.random.default_rng(0)) == 1


def test_hills_are_counted_as_the_density_is_smoothed() -> None:
    edges = np.linspace(-6, 6, 513)
    grid = (edges[1:] + edges[:-1]) / 2
    two = np.exp(-0.5 * (grid - 2) ** 2) + np.exp(-0.5 * (grid + 2) ** 2)
    counts = np.round(1000 * two).astype(np.int64)
    assert count_modes(counts, edges, 0.2) == 2
    # Two unit Gaussians at -2 and 2 blend into one hill when their spread reaches 2:
    # 1 + width ** 2 = 4.
    assert critical_width(counts, edges) == pytest.approx(np.sqrt(3), rel=0.03)


@pytest.mark.parametrize("apart", [0, 1, 5, 6])
def test_the_dip_of_others_tells_the_same_clouds_apart(apart: float) -> None:
    """Hartigan's dip (1985) asks the same question of the distribution, not of a density."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=400) + apart * (np.arange(400) < 150)
        _, dip = diptest.diptest(values)
        ours = unimodality_p_value(values, np.random.default_rng(0))
        assert (ours <= 0.05, dip <= 0.05) == ((True, True) if apart >= 5 else (False, False))
