"""Each corruption does what it says, more at each step."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2hsv

from melaudit.artifacts.painting.corruptions import (
    CORRUPTIONS,
    Corruption,
    as_jpeg,
    brighter,
    with_blur,
    with_noise,
)

RNG = np.random.default_rng


def picture(height: int = 112, width: int = 160) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    noise = RNG(0).normal(0, 30, (height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (3, 3, 0)) * 6
    return np.clip(np.array([170, 120, 110]) + smooth, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", CORRUPTIONS, ids=lambda kind: kind.id)
def test_each_step_changes_more_than_the_one_before(kind: Corruption) -> None:
    image = picture()
    changes = []
    for strength in kind.steps:
        out = kind.apply(image, strength, RNG(1))
        assert out.shape == image.shape
        assert out.dtype == np.uint8
        changes.append(np.abs(out.astype(float) - image).mean())
    assert len(changes) == 5
    assert changes == sorted(changes)
    assert changes[0] > 0.05


@pytest.mark.parametrize("kind", CORRUPTIONS, ids=lambda kind: kind.id)
def test_the_same_seed_gives_the_same_picture(kind: Corruption) -> None:
    image = picture()
    one, other = (kind.apply(image, kind.steps[2], RNG(5)) for _ in range(2))
    assert np.array_equal(one, other)


def test_noise_has_the_standard_deviation_that_it_says() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    out = with_noise(grey, 0.08, RNG(0)).astype(float)
    assert out.std() / 255 == pytest.approx(0.08, rel=0.02)
    assert out.mean() == pytest.approx(128, abs=0.2)


def test_blur_is_a_gaussian_in_ratio_to_the_shorter_side() -> None:
    image = picture(112, 160)
    theirs = ndimage.gaussian_filter(image.astype(float), (1, 1, 0), mode="mirror")
    assert np.abs(with_blur(image, 2, RNG(0)) - theirs).max() <= 1.5  # 112 is half of 224


def test_jpeg_is_what_pillow_makes_of_it() -> None:
    image = picture()
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=15)
    theirs = np.asarray(Image.open(buffer)).astype(float)
    assert np.abs(as_jpeg(image, 15, RNG(0)) - theirs).mean() < 1


def test_brightness_is_added_to_the_value_and_leaves_the_hue() -> None:
    image = picture()
    before, after = rgb2hsv(image), rgb2hsv(brighter(image, 0.2, RNG(0)))
    assert np.allclose(after[..., 2], np.clip(before[..., 2] + 0.2, 0, 1), atol=0.004)
    assert np.abs(after[..., 0] - before[..., 0]).max() < 0.02
