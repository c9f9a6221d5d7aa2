"""Steadiness: of real groups high, of shuffled features low."""

import numpy as np
import pytest

from melaudit.audit.groups.clustering import dense_groups
from melaudit.audit.groups.embedding import MIN_COMPONENTS, fit, pooled, shuffled
from melaudit.audit.groups.stability import by_chance, steadiness


def test_a_real_group_is_steadier_than_any_of_shuffled_features() -> None:
    rng = np.random.default_rng(0)
    inside = np.arange(200) < 70
    features = rng.normal(size=(200, 30)).astype(np.float32)
    features[inside, :10] += 4
    features[:, 10:] += rng.normal(size=(200, 2)) @ rng.normal(size=(2, 20))
    projection = fit(features, 0)
    assert projection is not None
    points = projection.apply(features)
    steady = steadiness(points, dense_groups(points, 20, 0), 20, 0, draws=6)
    assert steady.max() > 0.8
    assert by_chance([features], [points.shape[1]], 20, 0, nulls=4) < steady.max() - 0.2


def test_components_are_kept_only_where_features_vary_together() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(500, 40)).astype(np.float32)
    alone = fit(noise, 0)
    assert alone is None or len(alone.axes) == MIN_COMPONENTS
    joint = fit(noise + 3 * rng.normal(size=(500, 5)) @ rng.normal(size=(5, 40)), 0)
    assert joint is not None and len(joint.axes) == 5
    assert fit(np.ones((30, 4)), 0) is None


def test_shuffling_keeps_all_variance_and_undoes_what_goes_together() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(400, 2)) @ rng.normal(size=(2, 6))).astype(np.float32)
    mixed = shuffled(features, rng)
    assert mixed.var(0).sum() == pytest.approx(features.var(0).sum(), rel=1e-4)
    assert np.linalg.eigvalsh(np.cov(mixed.T))[0] > 50 * np.linalg.eigvalsh(np.cov(features.T))[1]


def test_shuffling_undoes_a_group_that_a_single_feature_holds() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 64)).astype(np.float32)
    features[:100, 5] += 40
    mixed = shuffled(features, rng)
    before, after = fit(features, 0), fit(mixed, 0, 1)
    assert before is not None and after is not None
    gap = [np.abs(p.apply(f)[:, 0]).min() for p, f in ((before, features), (after, mixed))]
    assert gap[0] > 5 * gap[1]  # two heaps far from the mean, and one heap about it


def test_pooling_keeps_the_sum() -> None:
    maps = np.random.default_rng(0).random((3, 32, 32))
    np.testing.assert_allclose(pooled(maps).sum(1), maps.sum((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(pooled(maps)[0, 9], maps[0, 4:8, 4:8].sum(), rtol=1e-5)
