"""A white border: what scans, screenshots and slides leave around a picture.

How it is found: even white that touches much of the picture's edge and ends sharply. Glare is not a
frame, because it fades.
Chosen: the constants are round figures, not measured: no labelled images exist (docs/artifacts.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.canvas import margin_coverage
from melaudit.artifacts.painting.inpainting import continued
from melaudit.artifacts.painting.placebos import neutral_placebos
from melaudit.artifacts.picture import (
    blended,
    brightest_channel,
    checked,
    checked_dose,
    checked_mask,
    darkest_channel,
    dilated,
    edit,
    enlarged,
    ramp,
    reduced,
)
from melaudit.artifacts.search.components import components

Pixel = TypeVar("Pixel", np.bool_, np.int32)

SIDE = 192
"""Longer side of the reduced copy that is searched, in pixels."""
MIN_WHITE = 225
"""Level of the darkest channel from which a pixel is white."""
MAX_TINT = 14
"""Largest difference between the channels of white."""
MIN_STEP = 24
"""Levels by which the picture is darker a few pixels further in; glare fades by less."""
ON_EDGE = (0.15, 0.5)
"""Share of the picture's edge that is white: from no frame to a certain one."""
SHARPNESS = (0.35, 0.75)
"""Share of the frame's inner edge where the picture is darker at once: from no frame to a certain
one."""
CONVEXITY = (0.9, 0.97)
"""Share of its convex hull that the inside fills, from no frame to a certain one: the inside of a
frame is a rectangle or a disc, a lesion is not."""
WIDTHS = (0.025, 0.09)
"""Width of a frame, as a share of the shorter side."""
RIM = 0.01
"""Width of the blur at the inner edge of a frame, as a share of the longer side; removed with
it."""


class WhiteFrame:
    """A white border around the picture, or white bars at two of its sides."""

    id = "white_frame"
    title = "White frame"
    phrases = Phrases(
        "white frame",
        "framed",
        "frame-free",
        "a white border or bars",
        "white frames",
        "at the rim",
    )
    remedy = "Crop every image to the picture itself before training and before use."
    whole_picture = False
    threshold = 0.5
    doses = "width of the frame"
    ground = "background"
    """What placebos call the colour that the picture itself has there."""

    def find(self, image: RGB) -> Found:
        """Look for a white border in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, "a white frame").shape[:2]
        small = reduced(image, SIDE)
        low, high = darkest_channel(small), brightest_channel(small)
        frame = _at_edge((low >= MIN_WHITE) & (high - low <= MAX_TINT))
        score = _score(frame, low)
        present = score >= self.threshold
        mask = dilated(frame, 1) if present else np.zeros(frame.shape, np.bool_)
        return Found(score, present, enlarged(mask, height, width))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Put a white border around the picture; the dose is its width."""
        height, width = checked(image, "a white frame").shape[:2]
        kind = rng.choice(3, p=[0.6, 0.2, 0.2])
        thick = rng.uniform(*WIDTHS) * min(height, width)
        level = rng.uniform(238, 255)
        tones = level + rng.uniform(-2, 2, 3)
        tone = float(tones[0]), float(tones[1]), float(tones[2])
        inset = checked_dose(dose) * (thick if kind == 0 else 1.6 * thick)
        rows, columns = (margin_coverage(n, inset) for n in (height, width))
        coverage = np.maximum(rows[:, None] * (kind != 2), columns[None] * (kind != 1))
        return edit(image, blended(image, tone, coverage.astype(np.float32)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Continue the skin over the border."""
        checked_mask(mask, checked(image, "a white frame"))
        hidden = dilated(mask, RIM * max(mask.shape))
        return edit(image, continued(image, hidden, np.random.default_rng(0)))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return skin and texture (neutral), a black border and a grey one."""
        coverage = edited.mask.astype(np.float32)
        checked(image, "a white frame")
        return (
            *neutral_placebos(image, edited, rng, "a frame", self.ground),
            PaintedLater(
                "black",
                "a black frame",
                lambda: blended(image, (5.0,) * 3, coverage),
                "any high-contrast frame",
            ),
            PaintedLater(
                "grey",
                "a grey frame",
                lambda: blended(image, (128.0,) * 3, coverage),
                "any frame",
            ),
        )


def _at_edge(white: Mask) -> Mask:
    """Return the white regions (h, w) that touch the picture's edge."""
    if not _edge_pixels(white).any():
        return np.zeros(white.shape, np.bool_)
    label = components(white).label
    edge = _edge_pixels(label)
    joined: Mask = np.isin(label, np.unique(edge[edge > 0]))
    return joined


def _edge_pixels(image: NDArray[Pixel]) -> NDArray[Pixel]:
    """Return the pixels along the four sides of an image (h, w), corners twice."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def _score(frame: Mask, low: NDArray[np.uint8]) -> float:
    """Return how surely a white region (h, w) is a frame; `low` (h, w) is the darkest channel."""
    if frame.all() or not frame.any():
        return 0.0
    edge = _edge_pixels(frame)
    region = frame.astype(np.uint8)
    three, seven = np.ones((3, 3), np.uint8), np.ones((7, 7), np.uint8)
    inside = (cv2.dilate(region, seven) > cv2.dilate(region, three)) & ~frame
    # The frame continues beyond the edge of the picture, so it has no inner edge there.
    rim = cv2.erode(region, three, borderValue=1) > cv2.erode(region, seven, borderValue=1)
    if not inside.any() or not rim.any():
        return 0.0
    sharp = float((low[inside] < float(np.median(low[rim])) - MIN_STEP).mean())
    return (
        ramp(float(edge.mean()), ON_EDGE)
        * ramp(sharp, SHARPNESS)
        * ramp(_convexity(~frame), CONVEXITY)
    )


def _convexity(inside: Mask) -> float:
    """Return the share of its convex hull that the largest connected region (h, w) fills."""
    contours, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    outline = max(contours, key=cv2.contourArea)
    hull = cv2.contourArea(cv2.convexHull(outline))
    return float(cv2.contourArea(outline) / max(hull, 1.0))
