"""Vignetting: the light falls off smoothly towards the corners.

How it is found: the brightness of the skin, ring by ring from the middle outwards, decreases
gradually in at least three corners. A black ring decreases at once and belongs to `dark_ring`. A
soft dark corner that ends nearly black may be found by both, because it is both.
Chosen: the constants are round figures, not measured: no labelled images exist (docs/artifacts.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.bisection import bisected
from melaudit.artifacts.painting.placebos import rms_change, textured
from melaudit.artifacts.painting.whole_picture import EVERY, rms_difference
from melaudit.artifacts.picture import (
    Layer,
    checked,
    checked_dose,
    checked_mask,
    edit,
    ramp,
    rounded,
)

SIDE = 48
"""Side of the reduced copy that is measured, in pixels."""
RINGS = 14
"""Rings from the middle to the corners."""
SKIN = 70
"""Percentile of the brightness of a ring that is taken for skin: lesions and hairs are darker."""
FIELD = (3, 9)
"""Rings that the corners are compared with: outside most lesions, inside most vignettes."""
DROP = (0.08, 0.5)
"""Natural logarithm of the light lost in the corners: from no vignette to a certain one."""
NEIGHBOURS = 3
"""Rings over which an abrupt loss is measured."""
ABRUPTNESS = (0.6, 0.8)
"""Share of the loss within these rings: from a vignette to the edge of a black ring."""
LOG_OFFSET = 4.0
"""Levels of 255 added before the logarithm, so that black has a finite value."""
MIN_FALL = 0.05
"""Share of the largest loss of light below which the placebo changes nothing."""
MIN_LOST = 0.04
"""Share of light lost from which a pixel belongs to the mask."""
HALVINGS = 8
"""Halvings of the interval in which the strength of a look-alike is fitted."""


class Vignette:
    """A smooth darkening towards the corners."""

    id = "vignette"
    title = "Vignetting"
    phrases = Phrases(
        "vignette",
        "shaded",
        "evenly lit",
        "a smooth darkening towards the corners",
        "vignettes",
        "at the rim",
    )
    remedy = "Correct the lens's fall-off of light, or vary it at random while training."
    whole_picture = False
    threshold = 0.5
    doses = "light lost in the corners"

    def find(self, image: RGB) -> Found:
        """Look for a fall-off of light in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, "a vignette").shape[:2]
        profiles = _profiles(image)
        profile = np.median(profiles, 0)
        field = float(np.convolve(profile[FIELD[0] : FIELD[1]], [1 / 3] * 3, "valid").max())
        lost = np.sort(field - profiles[:, -2:].mean(1))
        # A lesion or a glint may hide one corner, so the second smallest loss of the four counts.
        drop = float(lost[1])
        steps = profile[FIELD[0] : -NEIGHBOURS] - profile[FIELD[0] + NEIGHBOURS :]
        abrupt = float(steps.max()) / max(float(np.median(lost)), 1e-3)
        score = ramp(drop, DROP) * (1 - ramp(abrupt, ABRUPTNESS))
        present = score >= self.threshold
        gain = _gain(profiles, height, width) if present else np.ones((height, width), np.float32)
        return Found(score, present, gain < 1 - MIN_LOST)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Darken the corners smoothly; the dose is the light that they lose."""
        height, width = checked(image, "a vignette").shape[:2]
        off = rng.normal(0, 0.05, 2)
        start, power = rng.uniform(0.25, 0.5), rng.uniform(1.0, 1.6)
        lost = checked_dose(dose) * rng.uniform(0.4, 0.65)
        y, x = (_axis(n) - np.float32(o) for n, o in zip((height, width), off, strict=True))
        reach = np.clip((np.hypot(y[:, None], x[None]) - start) / (1.4 - start), 0, 1)
        fall = (reach * reach * (3 - 2 * reach)) ** np.float32(power)
        return edit(image, rounded(image * (1 - np.float32(lost) * fall)[..., None]))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Give the corners the light back that they lost in this picture."""
        checked_mask(mask, checked(image, "a vignette"))
        if not mask.any():
            return edit(image, image.copy())
        gain = np.where(mask, _gain(_profiles(image), *mask.shape), 1)
        return edit(image, rounded(image / gain[..., None]))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return smooth light and dark (neutral), light corners, and shade from one side."""
        mask = edited.mask
        strength = rms_change(checked(image, "a vignette"), edited.image, mask)
        fall = (image.astype(np.float32) - edited.image).mean(2)
        weight = np.where(mask, _fading(fall), 0).astype(np.float32)
        (own,) = rng.spawn(1)
        return (
            Placebo(
                "texture", "smooth light and dark", textured(image, mask, strength, rng, weight)
            ),
            PaintedLater(
                "light",
                "light corners",
                lambda: rounded(image + 1.2 * np.minimum(fall, 90)[..., None]),
                "any change of light towards the corners",
            ),
            PaintedLater(
                "side", "a shade from one side", lambda: _shade(image, edited, own), "any shade"
            ),
        )


def _fading(fall: Layer) -> Layer:
    """Return weights (h, w) from 0 to 1 that fade as a loss of light (h, w) does."""
    smooth = np.asarray(cv2.GaussianBlur(fall, (0, 0), max(max(fall.shape) / 40, 0.5)), np.float32)
    share = smooth / max(float(smooth.max()), 1e-3)
    return np.asarray(np.clip((share - MIN_FALL) / (1 - MIN_FALL), 0, 1) ** 0.5, np.float32)


def _axis(length: int) -> NDArray[np.float32]:
    """Return the coordinates of the pixels along a side (n,), from -1 to 1."""
    return ((np.arange(length, dtype=np.float32) + 0.5) / length * 2 - 1).astype(np.float32)


@lru_cache(maxsize=1)
def _cells() -> NDArray[np.int64]:
    """Return the cell of each pixel of the reduced copy (SIDE, SIDE): quadrant * RINGS + ring."""
    y, x = _axis(SIDE)[:, None], _axis(SIDE)[None]
    ring = np.minimum((np.hypot(y, x) / 2**0.5 * RINGS).astype(np.int64), RINGS - 1)
    return (2 * (y > 0) + (x > 0)).astype(np.int64) * RINGS + ring


def _profiles(image: RGB) -> NDArray[np.float64]:
    """Return the logarithm of the brightness of the skin by quadrant and ring (4, RINGS)."""
    small = cv2.resize(np.ascontiguousarray(image), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    light = np.log(np.asarray(small, np.float64).mean(2) + LOG_OFFSET).ravel()
    cells = _cells().ravel()
    # After sorting by cell and brightness, the percentile of each cell is at a known place.
    sizes = np.bincount(cells, minlength=4 * RINGS)
    last = np.cumsum(sizes) - 1
    place = last - np.floor((1 - SKIN / 100) * (sizes - 1)).astype(np.int64)
    skin = light[np.lexsort((light, cells))][place]
    return np.asarray(skin.reshape(4, RINGS), np.float64)


def _gain(profiles: NDArray[np.float64], height: int, width: int) -> Layer:
    """Return the share of light left (h, w), 1 in the middle: a smooth curve through the rings."""
    profile = np.median(profiles, 0)
    loss = profile - np.convolve(profile[FIELD[0] : FIELD[1]], [1 / 3] * 3, "valid").max()
    loss[: FIELD[0]] = 0
    smooth = np.convolve(np.pad(np.minimum.accumulate(np.minimum(loss, 0)), 1, "edge"), [1 / 3] * 3)
    reach = (np.hypot(_axis(height)[:, None], _axis(width)[None]) / 2**0.5 * RINGS).ravel()
    left = np.interp(reach, np.arange(RINGS) + 0.5, smooth[2:-2])
    return np.exp(left).reshape(height, width).astype(np.float32)


def _shade(image: RGB, edited: Edited, rng: np.random.Generator) -> RGB:
    """Return the picture darkened from one side by as much as an edit changed it."""
    height, width = image.shape[:2]
    turn = rng.uniform(0, 2 * np.pi)
    along = np.sin(turn) * _axis(height)[:, None] + np.cos(turn) * _axis(width)[None]
    slope = np.clip((along + 0.3) / 1.7, 0, 1)[..., None].astype(np.float32)
    few = slice(None, None, EVERY), slice(None, None, EVERY)
    before, fall = image[few], slope[few]
    target = rms_difference(edited.image[few], before)

    def enough(lost: float) -> bool:
        return rms_difference(rounded(before * (1 - lost * fall)), before) >= target

    _, lost = bisected(enough, 0.0, 1.0, HALVINGS)
    return rounded(image * (1 - lost * slope))
