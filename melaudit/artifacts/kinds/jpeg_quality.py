"""Strong JPEG compression: the edges of its 8 x 8 blocks stand out.

What is measured: how much larger the steps between neighbouring pixels are at the edges of the
blocks than within them, as a surplus B over the median within. The score is B / (B + 1.5): 0.5
where the steps are two and a half times as large, which is about quality 30; quality 75 gives a
third. Measured on the pixels as decoded, so a picture that was resized after its compression hides
it.
Why: export settings differ between archives, and a network can read them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.whole_picture import difference, edited, found, neutral
from melaudit.artifacts.picture import checked, checked_dose, checked_mask

BLOCK = 8
"""Side of JPEG's blocks, in pixels."""
SURPLUS = 1.5
"""Surplus of the steps at the edges at which the score is one half."""
LARGEST = 16.0
"""Steps count up to so many levels: edges in the picture are larger, those of blocks are not."""
BEST, WORST = 95, (6, 14)
"""JPEG quality towards dose 0, and between which it is drawn at dose 1."""
WIDEST = 0.016
"""Standard deviation of the widest blur that stands beside it, in parts of the shorter side."""
SAMPLE = 256
"""Side of the middle part of the picture on which a strength is fitted, in pixels."""
HALVINGS = 5
"""Steps in which a look-alike's strength is fitted."""

THING = "compression"
"""What is looked for."""


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
    )
    remedy = (
        "Take the images from their source in one quality, or compress images of every class to "
        "many qualities while training; then audit again."
    )
    whole_picture = True
    threshold = 0.5
    doses = "compression, down to JPEG quality 10"

    def find(self, image: RGB) -> Found:
        """Score the surplus of the steps at the edges of the blocks."""
        checked(image, THING)
        surplus = blockiness(image)
        return found(image, surplus / (surplus + SURPLUS), self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Compress the picture as JPEG and decode it; `rng` draws the lowest quality."""
        checked(image, THING)
        worst = rng.uniform(*WORST)
        if checked_dose(dose) == 0:
            return edited(image, image.copy())
        return edited(image, _compressed(image, round(BEST - (BEST - worst) * dose)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Smooth the steps at the edges of the blocks where they are small; keep real edges."""
        checked_mask(mask, checked(image, THING))
        smooth = image
        for axis in (0, 1):
            smooth = _joined(smooth, axis)
        return edited(image, smooth)

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, and a blur that loses as much detail without any blocks."""
        return (
            neutral(image, edited, rng),
            Placebo(
                "blurred",
                "a blur that changes as much",
                _blurred(image, difference(edited.image, image)),
                "any loss of fine detail",
            ),
        )


def blockiness(image: RGB) -> float:
    """Return how much larger steps at the edges of blocks are than within, as a surplus >= 0.

    0 where there is no such surplus, and where fewer than two blocks lie side by side.
    """
    green = image[..., 1].astype(np.float32)
    return max(0.0, float(np.mean([_surplus(green, axis) for axis in (0, 1)])))


def _surplus(values: NDArray[np.float32], axis: int) -> float:
    if values.shape[axis] < 2 * BLOCK:
        return 0.0
    steps = np.minimum(np.abs(np.diff(values, axis=axis)), LARGEST).mean(1 - axis)
    edge = float(steps[BLOCK - 1 :: BLOCK].mean())
    within = float(np.median([steps[k::BLOCK].mean() for k in range(BLOCK - 1)]))
    # A hundredth of a level: a drawn picture of flat areas has no steps at all.
    return (edge - within) / max(within, 0.01)


def _compressed(image: RGB, quality: int) -> RGB:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, stored = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = cv2.imdecode(stored, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(np.asarray(read), cv2.COLOR_BGR2RGB), np.uint8)


def _joined(image: RGB, axis: int) -> RGB:
    """Return the picture with each block's edge along an axis ramped over two pixels a side."""
    turned = np.moveaxis(image, axis, 0).astype(np.float32)
    at = np.arange(BLOCK - 1, len(turned) - 2, BLOCK)
    step = turned[at + 1] - turned[at]
    step = np.where(np.abs(step) < LARGEST, step, 0)
    for offset, share in ((-1, 0.125), (0, 0.375), (1, -0.375), (2, -0.125)):
        turned[at + offset] += share * step
    joined = np.clip(turned + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(joined, 0, axis))


def _blurred(image: RGB, target: float) -> RGB:
    """Return a blur that changes the values by `target`, or as near as can be."""
    height, width = image.shape[:2]
    top, left = max(0, (height - SAMPLE) // 2), max(0, (width - SAMPLE) // 2)
    few = image[top : top + SAMPLE, left : left + SAMPLE]
    low, high = 0.0, WIDEST * min(height, width)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if difference(_soft(few, middle), few) < target:
            low = middle
        else:
            high = middle
    return _soft(image, high)


def _soft(image: RGB, sigma: float) -> RGB:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma, 0.1)), np.uint8)
