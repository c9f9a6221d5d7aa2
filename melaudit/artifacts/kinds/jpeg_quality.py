"""Strong JPEG compression: the edges of its 8 x 8 blocks stand out.

How it is found: by how much the steps between neighbouring pixels at the edges of blocks exceed
those within blocks, as an excess B over the median within. The score is B / (B + 1.5): 0.5 if the
steps are two and a half times as large, which is about quality 30; quality 75 gives a third. It is
measured on the decoded pixels, so resizing after compression hides it.
Why it matters: export settings differ between archives, and a network can read them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.bisection import bisected
from melaudit.artifacts.painting.whole_picture import (
    rms_difference,
    uneven_light_placebo,
    whole_edit,
    whole_found,
)
from melaudit.artifacts.picture import checked, checked_dose, checked_mask

BLOCK = 8
"""Side of a JPEG block, in pixels (ITU-T T.81)."""
EXCESS = 1.5
"""Excess of the steps at block edges at which the score is 0.5. Chosen: about JPEG quality 30."""
MAX_STEP = 16.0
"""Levels of 255 at which steps are clipped: edges in the picture are larger, those of blocks are
not. Chosen: a round figure, not measured."""
HIGH_QUALITY, LOW_QUALITY = 95, (6, 14)
"""JPEG quality near dose 0, and the range from which it is drawn at dose 1."""
MAX_BLUR = 0.016
"""Standard deviation of the widest look-alike blur, as a share of the shorter side."""
SAMPLE = 256
"""Side of the middle of the picture on which the blur is fitted, in pixels."""
HALVINGS = 5
"""Halvings of the interval in which the blur is fitted."""

THING = "compression"
"""What error messages say is looked for."""


class JpegQuality:
    """The blocks that strong JPEG compression leaves."""

    id = "jpeg_quality"
    title = "Strong JPEG compression"
    phrases = Phrases(
        "compression",
        "compressed",
        "cleanly stored",
        "the blocks of strong JPEG compression",
        "strongly compressed pictures",
        made="strongly compressed",
    )
    remedy = (
        "Take the images from their source in one quality, or compress images of every class to "
        "many qualities while training; then audit again."
    )
    whole_picture = True
    threshold = 0.5
    doses = "compression, down to JPEG quality 10"

    def find(self, image: RGB) -> Found:
        """Score the excess of the steps at the edges of blocks in an RGB image (h, w, 3).

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        checked(image, THING)
        excess = blockiness(image)
        return whole_found(image, excess / (excess + EXCESS), self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Compress the picture as JPEG and decode it; the quality at dose 1 is drawn from `rng`."""
        checked(image, THING)
        lowest = rng.uniform(*LOW_QUALITY)
        if checked_dose(dose) == 0:
            return whole_edit(image, image.copy())
        return whole_edit(
            image, _compressed(image, round(HIGH_QUALITY - (HIGH_QUALITY - lowest) * dose))
        )

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Smooth the steps at the edges of blocks if they are small; larger, real edges stay."""
        checked_mask(mask, checked(image, THING))
        smooth = image
        for axis in (0, 1):
            smooth = _joined(smooth, axis)
        return whole_edit(image, smooth)

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, and a blur that changes as much without any blocks."""
        return (
            uneven_light_placebo(image, edited, rng),
            PaintedLater(
                "blurred",
                "a blur that changes as much",
                lambda: _blurred(image, rms_difference(edited.image, image)),
                "any loss of fine detail",
            ),
        )


def blockiness(image: RGB) -> float:
    """Return by how much steps at block edges exceed those within blocks, 0 or more.

    It is 0 if fewer than two blocks lie side by side.
    """
    green = image[..., 1].astype(np.float32)
    return max(0.0, float(np.mean([_excess(green, axis) for axis in (0, 1)])))


def _excess(values: NDArray[np.float32], axis: int) -> float:
    if values.shape[axis] < 2 * BLOCK:
        return 0.0
    steps = np.minimum(np.abs(np.diff(values, axis=axis)), MAX_STEP).mean(1 - axis)
    edge = float(steps[BLOCK - 1 :: BLOCK].mean())
    within = float(np.median([steps[k::BLOCK].mean() for k in range(BLOCK - 1)]))
    # The 0.01 is for drawn pictures of flat areas, which have no steps at all.
    return (edge - within) / max(within, 0.01)


def _compressed(image: RGB, quality: int) -> RGB:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, stored = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = cv2.imdecode(stored, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(np.asarray(read), cv2.COLOR_BGR2RGB), np.uint8)


def _joined(image: RGB, axis: int) -> RGB:
    """Return the picture with each block edge along an axis ramped over two pixels on each side."""
    turned = np.moveaxis(image, axis, 0).astype(np.float32)
    at = np.arange(BLOCK - 1, len(turned) - 2, BLOCK)
    step = turned[at + 1] - turned[at]
    step = np.where(np.abs(step) < MAX_STEP, step, 0)
    for offset, share in ((-1, 0.125), (0, 0.375), (1, -0.375), (2, -0.125)):
        turned[at + offset] += share * step
    joined = np.clip(turned + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(joined, 0, axis))


def _blurred(image: RGB, target: float) -> RGB:
    """Return a blur that changes the values by `target` (root mean square), or nearly so."""
    height, width = image.shape[:2]
    top, left = max(0, (height - SAMPLE) // 2), max(0, (width - SAMPLE) // 2)
    few = image[top : top + SAMPLE, left : left + SAMPLE]
    _, sigma = bisected(
        lambda sigma: rms_difference(_gaussian(few, sigma), few) >= target,
        0.0,
        MAX_BLUR * min(height, width),
        HALVINGS,
    )
    return _gaussian(image, sigma)


def _gaussian(image: RGB, sigma: float) -> RGB:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma, 0.1)), np.uint8)
