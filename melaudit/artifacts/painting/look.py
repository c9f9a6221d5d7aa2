"""The look of a whole picture: its light, colour and fine detail, and how to give it to another.

As Reinhard et al. 2001 do it in Lab, a picture is moved to the mean of another one. Of deviations,
only those of fine detail are matched, octave by octave: coarse ones are the contrast between the
object and its ground, which a model should see. Detail counts beside the next coarser octave: how
much of it there is in all tells what is in the picture, and not how sharp it is. What is black
stays black: it is outside the field of view, and no lamp lights it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.picture import rounded

WIDTHS = (0.003, 0.006, 0.012, 0.024, 0.048)
"""Standard deviations of the blurs between which detail is measured, as shares of the longer side.
The first octaves are what a blur takes that people see as one; the last one is not changed, and the
others are measured beside it. With these, two models that had learned to go by a blur followed the
look of blurred pictures and not that of others; without the last octave one of them followed both.
"""
MAX_GAIN = 3.0
"""Largest gain of detail: beyond it noise would be seen. Chosen: a round figure, not measured."""
MIN_GAIN = 0.02
"""Smallest gain of detail."""
BLACK = 20.0
"""L* below which the colour of a pixel is moved by less, and at 0 not at all. Chosen: a round
figure, not measured."""
LEAST_DETAIL = 1e-3
"""L* that keeps the detail of a picture of one colour from dividing by zero."""

Lab = NDArray[np.float32]
"""(h, w, 3) L* from 0 to 100, a*, b*."""


@dataclass(frozen=True)
class Look:
    """Light, colour and fine detail of a picture."""

    colour: NDArray[np.float64]
    """(3,) mean L*, a*, b*."""
    detail: NDArray[np.float64]
    """(octaves,) root mean square of L* in each octave of detail, the finest first, over that of
    the octave after the last."""


def look_of(image: RGB, around: Mask) -> Look:
    """Measure an RGB image (h, w, 3) where a mask (h, w) is True."""
    lab = _lab(image)
    return _look(lab, _octaves(lab[..., 0]), around)


def mean_look(looks: list[Look]) -> Look:
    """Return the mean of some looks; of detail the geometric one."""
    detail = np.log([each.detail for each in looks]).mean(0)
    return Look(np.mean([each.colour for each in looks], 0), np.exp(detail))


def mirrored(own: Look, other: Look) -> Look:
    """Return the look that is as far from a picture's own as another one, the other way."""
    return Look(2 * own.colour - other.colour, own.detail * own.detail / other.detail)


def given_look(
    image: RGB, around: Mask, look: Look, dose: float = 1.0, of: Sequence[bool] = (True,) * 4
) -> RGB:
    """Return an image (h, w, 3) with another look, of which the dose is how much.

    around: (h, w) where its own look is measured; of: whether its L*, a*, b* and detail change.
    """
    if dose == 0:
        return image.copy()
    lab = _lab(image)
    octaves = _octaves(lab[..., 0])
    own = _look(lab, octaves, around)
    gains = look.detail / own.detail
    gains = np.clip(gains, MIN_GAIN, MAX_GAIN) ** (dose * of[3])
    farther = np.where(of[:3], look.colour - own.colour, 0)
    lit = np.clip(lab[..., :1] / BLACK, 0, 1)
    moved = lab + np.float32(dose) * farther.astype(np.float32) * lit
    for octave, gain in zip(octaves[:-1], gains, strict=True):
        moved[..., 0] += np.float32(gain - 1) * octave * lit[..., 0]
    moved[..., 0] = np.clip(moved[..., 0], 0, 100)
    return rounded(255 * np.asarray(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB)))


def _lab(image: RGB) -> Lab:
    lab = cv2.cvtColor(np.ascontiguousarray(image).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab, np.float32)


def _octaves(light: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the detail of L* (h, w) between one blur and the next, the finest first."""
    blurred = [light]
    for width in WIDTHS:
        sigma = max(width * max(light.shape), 0.3)
        blurred.append(np.asarray(cv2.GaussianBlur(light, (0, 0), sigma), np.float32))
    return [fine - coarse for fine, coarse in itertools.pairwise(blurred)]


def _look(lab: Lab, octaves: list[NDArray[np.float32]], around: Mask) -> Look:
    squares = [np.mean(each[around] ** 2, dtype=np.float64) for each in octaves]
    *detail, coarse = np.maximum(np.sqrt(squares), LEAST_DETAIL)
    return Look(lab[around].mean(0, dtype=np.float64), np.array(detail) / coarse)
