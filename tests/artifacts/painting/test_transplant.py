"""A region of one picture in the same place of another one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.painting.transplant import transplanted

SIDE = 96


def _pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Return light skin, darker skin with a black bar on it, and the place of the bar."""
    image = np.full((SIDE, SIDE, 3), (220, 180, 160), np.uint8)
    donor = np.full((SIDE, SIDE, 3), (140, 110, 100), np.uint8)
    donor[20:26, 30:70] = 20
    region = np.zeros((SIDE, SIDE), bool)
    region[12:34, 22:78] = True
    return image, donor, region


def test_the_region_comes_with_its_thing_in_the_light_of_the_place() -> None:
    image, donor, region = _pictures()
    after = transplanted(image, donor, region)
    np.testing.assert_array_equal(after[60:], image[60:])
    # The donor's skin has the light of the picture's, so its rim is no edge; the bar stays a bar.
    ground = after[14:18, 30:70].astype(int)
    assert abs(ground - image[0, 0]).max() <= 10
    assert abs(np.diff(after[:18, 50].astype(int), axis=0)).max() <= 5
    expected = donor[22, 50] * (image[0, 0] + 8.0) / (donor[0, 0] + 8.0)
    np.testing.assert_allclose(after[21:25, 40:60].mean((0, 1)), expected, atol=2)


def test_what_is_black_stays_black_and_light_changes_by_a_factor_of_two_at_most() -> None:
    image, donor, region = _pictures()
    donor[20:26, 30:70] = 0
    assert transplanted(image, donor, region)[21:25, 32:68].max() <= 1
    darker = (donor // 4).astype(np.uint8)
    after = transplanted(image, darker, region)
    np.testing.assert_allclose(after[15, 50], 2.0 * darker[15, 50], atol=1)


def test_nothing_lit_around_leaves_the_region_as_it_is() -> None:
    image, donor, region = _pictures()
    dark = np.where(region[..., None], donor, 0).astype(np.uint8)
    after = transplanted(image, dark, region)
    np.testing.assert_array_equal(after[18:28, 28:72], donor[18:28, 28:72])


def test_the_dose_is_an_opacity() -> None:
    image, donor, region = _pictures()
    np.testing.assert_array_equal(transplanted(image, donor, region, 0.0), image)
    whole, half = (transplanted(image, donor, region, dose).astype(int) for dose in (1.0, 0.5))
    change, less = (abs(after - image).sum() for after in (whole, half))
    assert 0.45 * change < less < 0.55 * change


def test_a_donor_of_another_size_is_brought_to_the_picture() -> None:
    image, donor, region = _pictures()
    large = donor.repeat(3, 0).repeat(3, 1)
    after = transplanted(image, large, region).astype(int)
    assert abs(after - transplanted(image, donor, region)).mean() < 1


def test_a_region_that_is_the_whole_picture_takes_it_as_it_is() -> None:
    image, donor, _ = _pictures()
    after = transplanted(image, donor, np.ones((SIDE, SIDE), bool))
    np.testing.assert_array_equal(after, donor)
