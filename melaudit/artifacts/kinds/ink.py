"""Surgical marker on the skin: purple or blue lines, arcs, dots and scribbles.

How it is found: regions that absorb red and green light and transmit blue, with plain skin all
around. Pigment absorbs blue most, and blood absorbs green and blue; hairs and ruler ticks absorb
all channels; the blue veil of a lesion looks like ink but lies within pigment.
Chosen: the constants, with all 51 labelled HAM10000 images in view (docs/artifacts.md has the
result).
Reference: Winkler et al. 2019, "Association between surgical skin markings in dermoscopic images
and diagnostic performance of a deep learning convolutional neural network for melanoma".
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.ink_strokes import strokes
from melaudit.artifacts.painting.inpainting import closed
from melaudit.artifacts.painting.placebos import neutral_placebos
from melaudit.artifacts.picture import (
    Layer,
    brightest_channel,
    checked,
    checked_dose,
    checked_mask,
    dilated,
    edit,
    enlarged,
    ramp,
    reduced,
    rounded,
)
from melaudit.artifacts.search.components import components
from melaudit.artifacts.search.optical_density import OFFSET, optical_density

SIDE = 256
"""Longer side of the reduced copy that is searched, in pixels."""
BOTH, EITHER = 0.06, 0.16
"""Density by which both red and green, and the denser of them, exceed blue in a pixel of ink."""
MIN_LEVEL = 45
"""Level of the brightest channel, of 255, below which no colour can be recognised."""
MIN_AREA = 6
"""Pixels of the reduced copy that a region of ink must have."""
TYPICAL = 0.0004
"""Share of the picture at which certain ink has a score of 0.5: two dots of a marker."""
VIVIDNESS = (0.25, 0.55)
"""Share of the density of a region that is in red or green alone: from no ink to certain ink."""
MAX_BLUE = 0.22
"""Density in blue up to which a pixel is plain skin: pigment has more."""
SURROUNDED = (0.5, 0.95)
"""Share of plain skin around a region: from no ink to certain ink."""
STEP = (0.06, 0.14)
"""By how much a region is denser, and bluer, than its surroundings: from no ink to certain ink."""
RIM = 0.006
"""Width of the faint ink around what is found, as a share of the longer side; removed with it."""
EDGE = 2
"""Pixels at the edge of the reduced copy that are left out: scans have border lines."""

INKS = (
    ((0.75, 1.0, 0.18), 0.5),
    ((0.95, 1.05, 0.25), 0.2),
    ((1.25, 0.65, 0.12), 0.3),
)
"""Densities in red, green and blue of violet, indigo and blue ink, and how often they are drawn."""


class Ink:
    """Marker ink on the skin."""

    id = "ink"
    title = "Surgical marker ink"
    phrases = Phrases(
        "ink",
        "ink-marked",
        "ink-free",
        "purple or blue marks of a skin marker",
        "ink marks",
        "beside the lesion",
    )
    remedy = (
        "Take pictures before the skin is marked, or give marked images of every class while "
        "training."
    )
    whole_picture = False
    threshold = 0.5
    doses = "opacity of the ink"
    ground = "background"
    """What placebos call the colour that the picture itself has there."""
    aliases = ("marking", "pen", "penmarking")

    def find(self, image: RGB) -> Found:
        """Look for ink in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, "ink").shape[:2]
        small = reduced(image, SIDE)
        density = np.asarray(cv2.GaussianBlur(optical_density(small), (0, 0), 0.7), np.float32)
        quality, inked = _regions(density, small)
        total = float(quality.sum()) / inked.size
        score = total / (total + TYPICAL)
        if score < self.threshold:
            return Found(score, False, np.zeros((height, width), np.bool_))
        return Found(score, True, enlarged(dilated(quality > 0, 1), height, width))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Draw strokes around the middle; the dose is the opacity of the ink."""
        height, width = checked(image, "ink").shape[:2]
        checked_dose(dose)
        kind = rng.choice(len(INKS), p=[often for _, often in INKS])
        ink = np.array(INKS[kind][0], np.float32) * np.float32(rng.uniform(0.7, 1.5))
        coverage = strokes(height, width, rng)
        return edit(image, _through(image, dose * coverage[..., None] * ink))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Close the strokes from their rim."""
        checked_mask(mask, checked(image, "ink"))
        return edit(image, closed(image, dilated(mask, RIM * max(mask.shape))))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return skin and texture (neutral), and grey and brown strokes in place of the ink."""
        checked(image, "ink")

        def density() -> Layer:
            light = image.astype(np.float32) + OFFSET
            drawn = np.log(light / (edited.image.astype(np.float32) + OFFSET))
            return np.where(edited.mask[..., None], drawn, np.float32(0))

        def grey() -> RGB:
            return _through(image, np.repeat(density().mean(2, keepdims=True), 3, 2))

        def brown() -> RGB:
            # Pigment absorbs in the reverse order: blue most, red least.
            return _through(image, np.sort(density(), 2))

        return (
            *neutral_placebos(image, edited, rng, "strokes", self.ground),
            PaintedLater("grey", "grey strokes", grey, "any strokes"),
            PaintedLater("brown", "brown strokes", brown, "any strokes"),
        )


def _through(image: RGB, density: Layer) -> RGB:
    """Return a picture seen through a density (h, w, 3)."""
    light = image.astype(np.float32)
    return rounded((light + OFFSET) * np.exp(-density) - OFFSET)


def _regions(density: Layer, small: RGB) -> tuple[NDArray[np.float32], Mask]:
    """Return how surely each pixel is ink (h, w), and the pixels that were considered (h, w)."""
    red, green, blue = (np.ascontiguousarray(density[..., k]) for k in range(3))
    denser, lesser = np.maximum(red, green), np.minimum(red, green)
    excess = denser - blue
    inked = (lesser - blue > BOTH) & (excess > EITHER) & (brightest_channel(small) > MIN_LEVEL)
    inked[:EDGE] = inked[-EDGE:] = inked[:, :EDGE] = inked[:, -EDGE:] = False
    count, label, stats, _ = components(inked)
    quality = np.zeros(inked.shape, np.float32)
    for k in range(1, count):
        x, y, across, down, area = stats[k]
        if area < MIN_AREA:
            continue
        box = slice(max(y - 5, 0), y + down + 5), slice(max(x - 5, 0), x + across + 5)
        region = label[box] == k
        around = _around(region)
        if not around.any():
            continue
        steps = [float(a[box][region].mean() - np.median(a[box][around])) for a in (lesser, excess)]
        vivid = excess[box][region] / (denser[box][region] + 0.15)
        plain = np.abs(blue[box][around]) < MAX_BLUE
        quality[box][region] = (
            ramp(float(vivid.mean()), VIVIDNESS)
            * ramp(float(plain.mean()), SURROUNDED)
            * ramp(min(steps), STEP)
        )
    return quality, inked


def _around(region: Mask) -> Mask:
    """Return the pixels that lie three or four pixels outside a region (h, w)."""
    inner, outer = (cv2.dilate(region.astype(np.uint8), np.ones((n, n), np.uint8)) for n in (5, 9))
    around: Mask = outer > inner
    return around
