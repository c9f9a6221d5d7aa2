"""Size and shape of the picture: small, or elongated.

How it is found: by the shape of the decoded picture and nothing in it. A shorter side of 256 pixels
scores 0.5, and so does one side that is 1.6 times as long as the other; the larger score counts.
After every picture was resized to one square, a network sees a coarser and squeezed picture; that
is what `add` makes.
Why it matters: archives keep their own sizes, so resolution and squeeze tell where a picture comes
from.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.whole_picture import (
    uneven_light_placebo,
    whole_edit,
    whole_found,
)
from melaudit.artifacts.picture import checked, checked_dose, checked_mask

SMALL = 256.0
"""Shorter side, in pixels, at which the score is 0.5. Chosen: a round figure, not measured."""
LONG = 0.6
"""Excess of the longer side over the shorter, as a share of it, at which the score is 0.5. Chosen:
a round figure, not measured."""
COARSE = 64.0
"""Shorter side, in pixels, to which a picture is reduced at dose 1 before it is enlarged again.
Chosen: a round figure, not measured."""
SQUEEZE = 1 / 3
"""Excess of width over height of the device that is imitated at dose 1: 4:3 shown as a square."""
SHARPEN, RADIUS = 1.0, 0.008
"""Amount of an unsharp mask, and its standard deviation as a share of the shorter side. Chosen:
round figures, not measured."""

THING = "a small or elongated format"
"""What error messages say is looked for."""


class PictureSize:
    """A picture from a device with fewer pixels or another aspect ratio."""

    id = "picture_size"
    title = "Small or elongated picture"
    phrases = Phrases(
        "small format",
        "small or elongated",
        "usually sized",
        "a small or elongated format",
        "small or elongated pictures",
        made="made coarse and squeezed",
    )
    remedy = (
        "Crop every image to one shape and reduce it to one size before training and in use, or "
        "vary scale and squeeze while training; then audit again."
    )
    whole_picture = True
    threshold = 0.5
    doses = "coarseness and squeeze"

    def find(self, image: RGB) -> Found:
        """Score the shape of an RGB image (h, w, 3): the smaller or the longer, the higher.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        checked(image, THING)
        short, long = sorted(image.shape[:2])
        size = 1 / (1 + (short / SMALL) ** 2)
        excess = long / short - 1
        return whole_found(image, max(size, excess / (excess + LONG)), self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Squeeze the picture along a side that is drawn from `rng`, reduce it and enlarge it."""
        checked(image, THING)
        upright = bool(rng.integers(2))
        return whole_edit(image, _coarse(_squeezed(image, upright, checked_dose(dose)), dose))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Undo the squeeze of an elongated picture, and sharpen a small one.

        The long side is cropped and stretched, so that a circle is round once the picture is
        resized to a square. Lost detail does not come back.
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
        return whole_edit(image, out)

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, a coarser picture alone and a squeezed picture alone."""
        (own,) = rng.spawn(1)
        return (
            uneven_light_placebo(image, edited, rng),
            PaintedLater(
                "coarse",
                "a coarser picture of the same shape",
                lambda: _coarse(image, 1.0),
                "low resolution",
            ),
            PaintedLater(
                "squeezed",
                "a squeezed picture of the same detail",
                lambda: _squeezed(image, bool(own.integers(2)), 1.0),
                "a squeezed picture",
            ),
        )


def _coarse(image: RGB, dose: float) -> RGB:
    """Return the picture reduced by a factor that the dose sets, and enlarged again."""
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
    middle = image[:, start : start + kept] if wide else image[start : start + kept]
    return np.asarray(cv2.resize(middle, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
