"""A white border: what scans, screenshots and slides leave round a picture.

What is looked for: white that is even, reaches the picture's edge along much of it, and ends
sharply. Glare is no frame: it fades.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.inpainting import continued
from melaudit.artifacts.painting.placebos import neutral
from melaudit.artifacts.picture import (
    Layer,
    checked,
    checked_dose,
    checked_mask,
    edit,
    enlarged,
    grown,
    least,
    mixed,
    most,
    reduced,
    sure,
)

SIDE = 192
"""Longer side of the reduced copy that is searched, in pixels."""
WHITE = 225
"""Least level of the darkest channel in white."""
TINT = 14
"""Greatest difference between the channels of white."""
STEP = 24
"""Levels that the picture is darker three pixels farther in; glare fades by fewer."""
ALONG = (0.15, 0.5)
"""Share of the picture's edge that is white: from no frame to a sure one."""
SHARP = (0.35, 0.75)
"""Share of the frame's inner edge where the picture is darker at once."""
CONVEX = (0.9, 0.97)
"""Share of its hull that the picture inside fills: it is a rectangle or a disc, a lesion is not."""
WIDTHS = (0.025, 0.09)
"""Width of a frame, in shorter sides."""
RIM = 0.01
"""Blur at the inner edge of a frame, in sides; removed with it."""


class WhiteFrame:
    """A white border around the picture, or white bars at two of its sides."""

    id = "white_frame"
    title = "White frame"
    phrases = Phrases(
        "white frame", "framed", "frame-free", "a white border or bars", "white frames"
    )
    remedy = "Crop every image to the picture itself before training and before use."
    whole_picture = False
    threshold = 0.5
    doses = "width of the frame"

    def find(self, image: RGB) -> Found:
        """Look for a white border in an RGB image (h, w, 3) of any size.

        Raises ValueError when the array is no 8-bit RGB image.
        """
        height, width = checked(image, "a white frame").shape[:2]
        small = reduced(image, SIDE)
        low, high = least(small), most(small)
        frame = _at_edge((low >= WHITE) & (high - low <= TINT))
        score = _score(frame, low)
        present = score >= self.threshold
        mask = grown(frame, 0) if present else np.zeros(frame.shape, np.bool_)
        return Found(score, present, enlarged(mask, height, width))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Put a white border round the picture; the dose is how wide it is."""
        height, width = checked(image, "a white frame").shape[:2]
        kind = rng.choice(3, p=[0.6, 0.2, 0.2])
        wide = rng.uniform(*WIDTHS) * min(height, width)
        level = rng.uniform(238, 255)
        tones = level + rng.uniform(-2, 2, 3)
        tone = float(tones[0]), float(tones[1]), float(tones[2])
        inset = checked_dose(dose) * (wide if kind == 0 else 1.6 * wide)
        rows, columns = (_beyond(n, inset) for n in (height, width))
        cover = np.maximum(rows[:, None] * (kind != 2), columns[None] * (kind != 1))
        return edit(image, mixed(image, tone, cover.astype(np.float32)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Continue the skin over the border."""
        checked_mask(mask, checked(image, "a white frame"))
        hidden = grown(mask, RIM) if mask.any() else mask
        return edit(image, continued(image, hidden, np.random.default_rng(0)))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return skin and texture in place of the border (neutral), a black one and a grey one."""
        cover = edited.mask.astype(np.float32)
        checked(image, "a white frame")
        return (
            *neutral(image, edited, rng, "a frame"),
            Placebo(
                "black", "a black frame", mixed(image, (5.0,) * 3, cover), "any high-contrast frame"
            ),
            Placebo("grey", "a grey frame", mixed(image, (128.0,) * 3, cover), "any frame"),
        )


def _beyond(length: int, inset: float) -> Layer:
    """Return for each pixel of a side (n,) how much of it lies within `inset` of an end."""
    near = np.clip(inset - np.arange(length, dtype=np.float32), 0, 1)
    return np.asarray(np.maximum(near, near[::-1]), np.float32)


def _at_edge(white: Mask) -> Mask:
    """Return the white parts that reach the picture's edge."""
    _, label = cv2.connectedComponents(white.astype(np.uint8))
    edge = np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]])
    joined: Mask = np.isin(label, np.unique(edge[edge > 0]))
    return joined


def _score(frame: Mask, low: NDArray[np.uint8]) -> float:
    """Return how surely a white region (h, w) is a frame around darkest channels (h, w)."""
    if frame.all() or not frame.any():
        return 0.0
    edge = np.concatenate([frame[0], frame[-1], frame[:, 0], frame[:, -1]])
    region = frame.astype(np.uint8)
    three, seven = np.ones((3, 3), np.uint8), np.ones((7, 7), np.uint8)
    inside = (cv2.dilate(region, seven) > cv2.dilate(region, three)) & ~frame
    # Beyond the picture's edge the frame goes on: there it has no inner edge.
    rim = cv2.erode(region, three, borderValue=1) > cv2.erode(region, seven, borderValue=1)
    if not inside.any() or not rim.any():
        return 0.0
    sharp = float((low[inside] < float(np.median(low[rim])) - STEP).mean())
    return sure(float(edge.mean()), ALONG) * sure(sharp, SHARP) * sure(_convexity(~frame), CONVEX)


def _convexity(inside: Mask) -> float:
    """Return the share of its convex hull that the largest part of a region fills."""
    contours, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    outline = max(contours, key=cv2.contourArea)
    hull = cv2.contourArea(cv2.convexHull(outline))
    return float(cv2.contourArea(outline) / max(hull, 1.0))
