"""How much darker than the skin beneath each pixel is."""

from __future__ import annotations

import numpy as np

from melaudit.artifacts.search.optical_density import optical_density
from tests.artifacts.pictures import DARK, FAIR, lesion, skin


def test_skin_has_none_whatever_its_tone_and_light() -> None:
    for tone in (FAIR, DARK):
        y, x = np.mgrid[-1:1:120j, -1:1:160j]
        light = (1 - 0.15 * x - 0.12 * (x**2 + y**2))[..., None]
        density = optical_density(np.asarray(skin(120, 160, tone) * light, np.uint8))
        assert np.abs(density.mean((0, 1))).max() < 0.05
        assert density.std() < 0.08


def test_what_takes_half_the_red_light_has_a_density_of_log_two_in_red() -> None:
    picture = lesion(skin(120, 160))
    picture[10:30, 10:60, 0] = picture[10:30, 10:60, 0] / 2
    density = optical_density(picture)[12:28, 12:58].mean((0, 1))
    assert abs(density[0] - np.log(2)) < 0.08
    assert np.abs(density[1:]).max() < 0.08
