"""Size and shape of the picture: small, or much longer than high.

What is measured: the shape of the decoded picture and nothing in it. A shorter side of 256 pixels
scores 0.5, and so does a picture 1.6 times as long as it is high (or high as long); the larger of
both counts. What a network sees of it, after every picture was brought to one square, is a coarser
and a squeezed picture, and that is what `add` makes.
Why: archives keep their own sizes, so resolution and squeeze tell where a picture comes from.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.whole_picture import edited, found, neutral
from melaudit.artifacts.picture import checked, checked_dose, checked_mask

SMALL = 256.0
"""Shorter side, in pixels, at which the score is one half."""
LONG = 0.6
"""Surplus of the longer side over the shorter at which the score is one half."""
COARSE = 64.0
"""Shorter side, in pixels, to which a picture is reduced at dose 1, before it is enlarged again."""
SQUEEZE = 1 / 3
"""Surplus of width over height of the device that is imitated at dose 1: 4:3 seen as a square."""
SHARPEN, RADIUS = 1.0, 0.008
"""Amount of an unsharp mask, and its standard deviation in parts of the shorter side."""

THING = "a small or elongated format"
"""What is looked for."""


class PictureSize:
    """A picture of a device with fewer pixels, or with another shape of picture."""

    id = "picture_size"
    title = "Small or elongated picture"
    phrases = Phrases(
        "size",
        "small or elongated",
        "usually sized",
        "a small or elongated format",
        "small or elongated pictures",
    )
    remedy = (
        "Crop every image to one shape and reduce it to one size before training and in use, or "
        "vary scale and squeeze while training; then audit again."
    )
    whole_picture = True
    threshold = 0.5
    doses = "coarseness and squeeze"

    def find(self, image: RGB) -> Found:
        """Score the shape of the array: the smaller or the longer, the higher."""
        checked(image, THING)
        short, long = sorted(image.shape[:2])
        size = 1 / (1 + (short / SMALL) ** 2)
        surplus = long / short - 1
        return found(image, max(size, surplus / (surplus + LONG)), self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Squeeze the picture along a side drawn from `rng`, reduce it and enlarge it again."""
        checked(image, THING)
        upright = bool(rng.integers(2))
        return edited(image, _coarse(_squeezed(image, upright, checked_dose(dose)), dose))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Undo the squeeze of an elongated picture, and sharpen a small one.

        The long side is cropped to the shape of the rest and stretched: brought to a square, it
        shows round what is round. Lost detail does not come back.
        """
        checked_mask(mask, checked(image, THING))
        height, width = image.shape[:2]
        short, long = sorted((height, width))
        out = image
        if long / short - 1 >= LONG:
            out = _squeezed(image, width > height, (long / short - 1) / SQUEEZE)
        if short <= SMALL:
            soft = cv2.GaussianBlur(out, (0, 0), RADIUS * short)
            detail = out.astype(np.float32) - soft
            out = np.clip(out + SHARPEN * detail + 0.5, 0, 255).astype(np.uint8)
        return edited(image, out)

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, the coarseness alone and a squeeze alone."""
        return (
            neutral(image, edited, rng),
            Placebo(
                "coarse",
                "a coarser picture of the same shape",
                _coarse(image, 1.0),
                "low resolution",
            ),
            Placebo(
                "squeezed",
                "a squeezed picture of the same detail",
                _squeezed(image, bool(rng.integers(2)), 1.0),
                "a squeezed picture",
            ),
        )


def _coarse(image: RGB, dose: float) -> RGB:
    """Return the picture reduced and enlarged again, by as much as the dose says."""
    height, width = image.shape[:2]
    short = min(height, width)
    scale = (min(COARSE, short / 2) / short) ** dose
    if dose <= 0 or scale >= 1:
        return image.copy()
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _squeezed(image: RGB, wide: bool, dose: float) -> RGB:
    """Return the middle of the picture stretched along its width (or height) to the full size."""
    height, width = image.shape[:2]
    keep = 1 / (1 + SQUEEZE * dose)
    if keep >= 1:
        return image.copy()
    size = width if wide else height
    kept = max(1, round(size * keep))
    start = (size - kept) // 2
    part = image[:, start : start + kept] if wide else image[start : start + kept]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
