"""The skin looks the same at any size, and its texture has the waves that were asked for."""

import numpy as np
import pytest

from melaudit.demo.skin import lit, noise, photographed, skin


@pytest.mark.parametrize("period", [0.25, 0.1, 0.04])
def test_noise_has_its_power_at_the_period_asked_for(period: float) -> None:
    texture = noise(np.random.default_rng(0), 160, period, octaves=0.2).astype(float)
    power = np.abs(np.fft.fft2(texture)) ** 2
    waves = np.fft.fftfreq(160, 1 / 160)
    radius = np.sqrt(waves[:, None] ** 2 + waves[None] ** 2)
    typical = np.exp((np.log(radius[radius > 0]) * power[radius > 0]).sum() / power.sum())
    assert typical == pytest.approx(1 / period, rel=0.2)
    assert texture.mean() == pytest.approx(0, abs=1e-5)
    assert texture.var() == pytest.approx(1, rel=1e-3)


def test_directed_noise_varies_along_its_direction_only() -> None:
    texture = noise(np.random.default_rng(0), 160, 0.05, direction=0.0)
    along_x, along_y = (
        np.abs(np.diff(texture, axis=1)).mean(),
        np.abs(np.diff(texture, axis=0)).mean(),
    )
    assert along_x > 2 * along_y


def test_skin_ranges_from_light_to_dark_and_is_never_grey() -> None:
    tones = np.array([skin(np.random.default_rng(i), 48).mean((0, 1)) for i in range(60)])
    assert tones.min() > 0.05 and tones.max() <= 1.06
    assert np.ptp(tones[:, 2]) > 0.4
    assert (tones[:, 0] > tones[:, 1]).all()


def test_skin_of_two_sizes_has_the_same_look() -> None:
    looks = []
    for size in (64, 192):
        pictures = [skin(np.random.default_rng(i), size) for i in range(40)]
        looks.append((np.mean(pictures), np.mean([p[..., 1].std() for p in pictures])))
    assert looks[0] == pytest.approx(looks[1], rel=0.15)


def test_light_falls_off_mildly() -> None:
    white = np.ones((64, 64, 3), np.float32)
    for i in range(40):
        light = lit(white, np.random.default_rng(i))
        assert light[32, 32].mean() == pytest.approx(1, abs=0.06)
        assert min(light[y, x].min() for y in (0, -1) for x in (0, -1)) > 0.25


def test_a_photograph_has_grain_and_eight_bits() -> None:
    image = photographed(np.full((64, 64, 3), 0.5, np.float32), np.random.default_rng(0))
    assert image.dtype == np.uint8
    assert 0.5 < image.std() < 5
