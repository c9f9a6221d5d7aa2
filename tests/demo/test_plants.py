"""Planted artifacts look as they should, on pictures of any shape."""

import numpy as np
import pytest

from melaudit.demo.plants import (
    RGB,
    Plant,
    bubbles,
    hairs,
    ink,
    lettering,
    ring,
    ruler,
    sticker,
    tint,
)

ALL = [ring, hairs, bubbles, ruler, ink, sticker, lettering, tint]

GREY: RGB = np.full((160, 160, 3), 170, np.uint8)


@pytest.mark.parametrize("plant", ALL)
@pytest.mark.parametrize("shape", [(160, 160), (60, 200), (33, 17)])
def test_a_plant_changes_a_part_of_a_copy(plant: Plant, shape: tuple[int, int]) -> None:
    given = np.full((*shape, 3), 170, np.uint8)
    changed = np.zeros(shape, bool)
    for i in range(5):
        out = plant(given, np.random.default_rng(i))
        assert out.shape == given.shape and out.dtype == np.uint8
        changed |= (out != given).any(2)
    assert (given == 170).all()
    assert changed.any()


@pytest.mark.parametrize(
    ("plant", "most"),
    [(hairs, 0.35), (bubbles, 0.25), (ruler, 0.1), (ink, 0.1), (sticker, 0.2), (lettering, 0.1)],
)
def test_harmless_artifacts_cover_little(plant: Plant, most: float) -> None:
    shares = []
    for i in range(20):
        moved = np.abs(plant(GREY, np.random.default_rng(i)).astype(int) - 170).max(2) > 20
        shares.append(moved.mean())
    assert 0.002 < np.mean(shares) < most


@pytest.mark.parametrize("plant", ALL)
def test_the_same_random_state_plants_the_same(plant: Plant) -> None:
    first, again, other = (plant(GREY, np.random.default_rng(s)) for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_a_ring_is_a_round_soft_window_off_the_centre_of_varied_radius() -> None:
    radii, shifts = [], []
    for i in range(40):
        image = ring(GREY, np.random.default_rng(i)).astype(float).mean(2)
        assert image[70:90, 70:90].min() == 170
        assert max(image[y, x] for y in (0, -1) for x in (0, -1)) < 25
        # The window's edge, where the grey has fallen to half, along rays from the middle.
        edge = []
        for angle in np.linspace(0, 2 * np.pi, 72, endpoint=False):
            steps = np.arange(0, 112, 0.25)
            y, x = 80 + steps * np.sin(angle), 80 + steps * np.cos(angle)
            inside = (y >= 0) & (y < 160) & (x >= 0) & (x < 160)
            ray = image[y[inside].astype(int), x[inside].astype(int)]
            below = np.flatnonzero(ray < 85)
            if len(below):
                edge.append((y[inside][below[0]], x[inside][below[0]]))
        points = np.array(edge)
        # Circle through the points by linear least squares: y^2 + x^2 = 2 a y + 2 b x + c.
        system = np.column_stack([2 * points, np.ones(len(points))])
        a, b, c = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
        radius = np.sqrt(c + a * a + b * b)
        assert np.abs(np.hypot(points[:, 0] - a, points[:, 1] - b) - radius).max() < 3
        soft = (image > 40) & (image < 150)
        assert soft.sum() > 50
        radii.append(radius / 160)
        shifts.append(np.hypot(a - 80, b - 80))
    assert 0.38 < min(radii) < 0.45 and 0.51 < max(radii) < 0.58
    assert max(shifts) > 4


def test_the_black_of_a_ring_is_not_quite_black() -> None:
    corners = np.concatenate(
        [ring(GREY, np.random.default_rng(i))[:8, :8].reshape(-1, 3) for i in range(10)]
    )
    assert 0.5 < corners.mean() < 15
    assert len(np.unique(corners)) > 4
