"""A tube or a wire: a bright line across a radiograph, as drains, catheters and leads leave.

How it is found: what is much brighter than both sides, long and thin. Ribs are not as bright, and
what lies at the edge of the black around a body, such as the skull, has one dark side.
How it is drawn: one to three long, smooth, bright curves of even width. They are removed by closing
the picture over them.
Why it matters: a drain treats what a model may be asked to find, and a wire belongs to a ward.
Networks for pneumothorax went by the drain (Oakden-Rayner et al. 2020).
Chosen: the constants, on drawn radiographs (docs/domains.md has what was measured).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.canvas import Canvas, Points, ribbon
from melaudit.artifacts.painting.inpainting import closed
from melaudit.artifacts.painting.thin_placebos import blotches, flipped, scattered
from melaudit.artifacts.picture import (
    blended,
    brightest_channel,
    checked,
    checked_dose,
    checked_mask,
    dilated,
    edit,
    enlarged,
    ramp,
    reduced,
)
from melaudit.artifacts.search.components import components

THING = "tubes and wires"
"""What error messages say is looked for."""
SIDE = 256
"""Longer side of the reduced copy that is searched, in pixels."""
WINDOW = 0.035
"""Side of the window against which a line is bright, as a share of the longer side: wider than any
line."""
MIN_CONTRAST = 50
"""Levels of 255 by which a line is brighter than both sides."""
BLACK = 22
"""Level up to which a place beside a line is outside the body."""
MIN_INSIDE = 0.9
"""Share of a line that lies beside nothing black."""
MAX_WIDTH = 0.024
"""Width of a line at most, as a share of the longer side."""
LENGTHS = (0.15, 0.35)
"""Extent of the longest line as a share of the side, from no tube to a certain one."""
COUNT = (1, 4)
"""How many lines are drawn, the last number not among them."""
THICKNESS = (0.008, 0.014)
"""Width of a line, as a share of the shorter side."""
LENGTH = (0.5, 1.0)
"""Length of a line, as a share of the shorter side."""
POINTS = 48
"""Points along a line."""
MARGIN = 0.006
"""Radius by which the mask is dilated before removal, as a share of the longer side."""


class Tube:
    """Bright lines across the picture."""

    id = "tube"
    title = "Tubes and wires"
    phrases = Phrases("tube", "with tubes", "tube-free", "tubes or wires", "tubes and wires")
    remedy = (
        "Give images of every class tubes and wires while training, and report results on images "
        "without them; then audit again."
    )
    whole_picture = False
    threshold = 0.5
    doses = "opacity of the lines"
    aliases = ("tubes", "drain", "drains", "device", "devices", "lines", "wires", "catheter")

    def find(self, image: RGB) -> Found:
        """Look for tubes and wires in an RGB image (h, w, 3); the mask is the clear ones.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, THING).shape[:2]
        extents, label = _lines(brightest_channel(reduced(image, SIDE)))
        score = ramp(max(extents.values(), default=0.0), LENGTHS)
        if score < self.threshold:
            return Found(score, False, np.zeros((height, width), np.bool_))
        clear = [number for number, extent in extents.items() if extent >= LENGTHS[0]]
        return Found(score, True, enlarged(dilated(np.isin(label, clear), 1), height, width))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Lay bright curves over the picture; the dose is their opacity."""
        height, width = checked(image, THING).shape[:2]
        checked_dose(dose)
        side = min(height, width)
        opacity = float(rng.uniform(0.8, 0.95))
        canvas = Canvas(height, width)
        for _ in range(int(rng.integers(*COUNT))):
            thick = rng.uniform(*THICKNESS) * side
            path = _path(rng) * side + (width / 2, height / 2)
            canvas.fill(ribbon(path, np.full(POINTS, thick)))
        coverage = canvas.coverage(max(0.001 * side, 0.3))
        return edit(image, blended(image, (245.0,) * 3, dose * opacity * coverage))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Close the picture over the lines."""
        checked_mask(mask, checked(image, THING))
        return edit(image, closed(image, dilated(mask, MARGIN * max(mask.shape))))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return blotches (neutral), dark lines in place of the bright ones, and straight lines."""
        side = min(checked(image, THING).shape[:2])
        (own,) = rng.spawn(1)
        return (
            Placebo(
                "blotches",
                "soft light and dark blotches along the lines",
                blotches(image, edited, 0.08 * side, rng),
            ),
            PaintedLater(
                "dark", "the same lines, darker", lambda: flipped(image, edited), "any thin lines"
            ),
            PaintedLater(
                "straight",
                "straight bright lines",
                lambda: scattered(image, edited, 0.5 * side, 0.1 * side, own),
                "any thin bright lines",
            ),
        )


def _lines(light: NDArray[np.uint8]) -> tuple[dict[int, float], NDArray[np.int32]]:
    """Return number -> extent of each thin bright line, and the number of each pixel (h, w).

    Extents are shares of the longer side.
    """
    side = max(light.shape)
    window = np.ones((max(3, round(WINDOW * side) | 1),) * 2, np.uint8)
    bright = cv2.morphologyEx(light, cv2.MORPH_TOPHAT, window) >= MIN_CONTRAST
    count, label, stats, _ = components(bright)
    inside = np.bincount(label[cv2.erode(light, window) > BLACK], minlength=count)
    extents = {}
    for number in range(1, count):
        _, _, across, down, area = stats[number]
        extent = float(np.hypot(across, down))
        if area <= MAX_WIDTH * side * extent and inside[number] >= MIN_INSIDE * area:
            extents[number] = extent / side
    return extents, np.asarray(label, np.int32)


def _path(rng: np.random.Generator) -> Points:
    """Return a smooth curve (POINTS, 2) from the middle, in sides: a cubic Bezier curve."""
    start = rng.uniform(-0.35, 0.35, 2)
    turn = rng.uniform(0, 2 * np.pi)
    ahead = np.array([np.cos(turn), np.sin(turn)])
    aside = np.array([-ahead[1], ahead[0]])
    length = rng.uniform(*LENGTH)
    bends = length * rng.normal(0, 0.2, 2)
    end = start + length * ahead
    inner = [start + (end - start) * k / 3 + bends[k - 1] * aside for k in (1, 2)]
    controls = np.stack([start, *inner, end])
    t = np.linspace(0, 1, POINTS)[:, None]
    blend = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    return np.asarray(blend @ controls, np.float64)
