"""The map of strategies keeps apart what lies apart, and is the same every time."""

import numpy as np
import pytest

from melaudit.audit.exhibits.landscape import MAX_POINTS, plane, sample


def test_two_directions_that_hold_everything_keep_all_distances() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(60, 2)) * [5, 1]
    turn, _ = np.linalg.qr(rng.normal(size=(30, 30)))
    points = flat @ turn[:2] + 7

    places, kept = plane(points, 0)

    assert kept == pytest.approx(1.0)
    before = np.linalg.norm(points[:, None] - points[None], axis=-1)
    after = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_the_same_points_give_the_same_places_also_upside_down() -> None:
    points = np.random.default_rng(1).normal(size=(40, 12)) * np.linspace(4, 0.1, 12)

    places, _ = plane(points, 0)

    np.testing.assert_array_equal(places, plane(points, 0)[0])
    assert places.std(0)[0] >= places.std(0)[1]


def test_points_that_are_all_alike_lie_in_one_place() -> None:
    places, kept = plane(np.ones((12, 5)), 0)

    assert np.abs(places).max() < 1e-9
    assert kept == 0.0


def test_a_large_set_is_sampled_in_order() -> None:
    rows = np.arange(0, 10_000, 2)

    some = sample(rows, 3)

    assert len(some) == MAX_POINTS == len(set(some.tolist()))
    assert (np.diff(some) > 0).all() and set(some) <= set(rows)
    np.testing.assert_array_equal(some, sample(rows, 3))
    np.testing.assert_array_equal(sample(rows[:10], 0), rows[:10])
