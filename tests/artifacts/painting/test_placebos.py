"""The shared maths of edits that mean nothing."""

from __future__ import annotations

import numpy as np
import pytest

from melaudit.artifacts.painting.placebos import feathered, rms_change, textured
from tests.artifacts.pictures import TAN, lesion, root_mean_square, skin

PICTURE = lesion(skin(200, 260, TAN))


def _mask() -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    mask = np.zeros((200, 260), np.bool_)
    mask[40:120, 30:150] = True
    return mask


def test_change_is_the_root_mean_square_inside_the_mask() -> None:
    other = skin(200, 260, seed=5)
    assert rms_change(PICTURE, other, _mask()) == pytest.approx(
        root_mean_square(PICTURE, other, _mask()), rel=1e-5
    )
    assert rms_change(PICTURE, other, np.zeros((200, 260), np.bool_)) == 0


@pytest.mark.parametrize("strength", [4.0, 12.0, 30.0])
def test_a_texture_changes_by_what_was_asked_and_both_ways(strength: float) -> None:
    mask = _mask()
    image = textured(PICTURE, mask, strength, np.random.default_rng(0))
    assert root_mean_square(PICTURE, image, mask) == pytest.approx(strength, rel=0.15)
    assert (image[~mask] == PICTURE[~mask]).all()
    difference = image.astype(int)[mask] - PICTURE.astype(int)[mask]
    assert abs(difference.mean()) < 0.4 * strength


def test_a_texture_stays_smooth_where_more_is_asked_than_can_be() -> None:
    image = textured(PICTURE, _mask(), 500.0, np.random.default_rng(0))
    assert 25 < root_mean_square(PICTURE, image, _mask()) < 60


def test_weights_rise_from_the_edge_of_a_mask_but_not_from_the_edge_of_the_picture() -> None:
    mask = np.zeros((100, 100), np.bool_)
    mask[:, :40] = True
    weight = feathered(mask)
    assert (weight[mask] > 0).all()
    assert (weight[~mask] == 0).all()
    assert (weight[:, 0] == 1).all()
    assert weight[50, 39] < 0.7
    assert (feathered(np.ones((5, 5), np.bool_)) == 1).all()
