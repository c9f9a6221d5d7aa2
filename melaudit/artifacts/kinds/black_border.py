"""A black border: straight black bars along the edges, as collimation, scans and screenshots leave.

How it is found: rows or columns at an edge that are black all along, after which the picture gets
lighter at once along most of their length. A body before black gets lighter in a few places only.
Chosen: the constants are round figures, not measured: no labelled images exist.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    dilated,
    edit,
    enlarged,
    ramp,
    reduced,
)

SIDE = 192
"""Longer side of the reduced copy that is searched, in pixels."""
MAX_BLACK = 14
"""Level of the brightest channel up to which a pixel is black."""
ALL_ALONG = 0.985
"""Share of a row that is black, from which it belongs to a bar: noise is not black everywhere."""
MAX_DEPTH = 0.4
"""Depth of a bar at most, as a share of the side."""
STEP = 10
"""Levels by which the picture is lighter than black beyond a bar."""
BEYOND = 3
"""Rows beyond a bar within which it gets lighter."""
SHARPNESS = (0.4, 0.8)
"""Share of a bar's inner edge where it gets lighter, from no border to a certain one."""
WIDTHS = (0.03, 0.11)
"""Width of a border that is added, as a share of the shorter side."""
MIN_CHANGED = 0.05
"""Share of a row that an edit changed, from which the row belongs to its bars."""
RIM = 0.01
"""Width of the blur at the inner edge, as a share of the longer side; removed with it."""

THING = "a black border"
"""What error messages say is looked for."""


class BlackBorder:
    """A black border around the picture, or black bars along some of its sides."""

    id = "black_border"
    title = "Black border"
    phrases = Phrases(
        "black border", "bordered", "border-free", "a black border or bars", "black borders"
    )
    remedy = "Crop every image to the picture itself before training and before use."
    whole_picture = False
    threshold = 0.5
    doses = "width of the border"
    ground = "background"
    """What placebos call the colour that the picture itself has there."""

    def find(self, image: RGB) -> Found:
        """Look for a black border in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, THING).shape[:2]
        light = brightest_channel(reduced(image, SIDE))
        score, mask = _bars(light)
        present = score >= self.threshold
        mask = mask if present else np.zeros_like(mask)
        return Found(score, present, enlarged(mask, height, width))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Put black bars along all sides, two or three; the dose is their width."""
        height, width = checked(image, THING).shape[:2]
        kind = rng.choice(3, p=[0.6, 0.2, 0.2])
        thick = rng.uniform(*WIDTHS) * min(height, width)
        tone = (float(rng.uniform(0, 6)),) * 3
        inset = checked_dose(dose) * (thick if kind == 0 else 1.6 * thick)
        rows, columns = (margin_coverage(n, inset) for n in (height, width))
        coverage = np.maximum(rows[:, None] * (kind != 2), columns[None] * (kind != 1))
        return edit(image, blended(image, tone, coverage.astype(np.float32)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Continue the picture over the border."""
        checked_mask(mask, checked(image, THING))
        hidden = dilated(mask, RIM * max(mask.shape)) if mask.any() else mask
        return edit(image, continued(image, hidden, np.random.default_rng(0)))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return ground and texture (neutral), a white border and a grey one."""
        coverage = _whole(edited.mask).astype(np.float32)
        checked(image, THING)
        return (
            *neutral_placebos(image, edited, rng, "a border", self.ground),
            PaintedLater(
                "white",
                "a white border",
                lambda: blended(image, (250.0,) * 3, coverage),
                "any high-contrast frame",
            ),
            PaintedLater(
                "grey",
                "a grey border",
                lambda: blended(image, (128.0,) * 3, coverage),
                "any frame",
            ),
        )


def _bars(light: NDArray[np.uint8]) -> tuple[float, Mask]:
    """Return how surely there is a border, and where (h, w); `light` (h, w) is what is searched."""
    height, width = light.shape
    black = light <= MAX_BLACK
    depths = [_depth(turned) for turned in (black, black[::-1], black.T, black.T[::-1])]
    top, bottom, left, right = depths
    mask = np.zeros(black.shape, np.bool_)
    inner = light[top : height - bottom, left : width - right]
    if not inner.size:
        return 0.0, mask
    score = 0.0
    for depth, side, turned in (
        (top, mask, inner),
        (bottom, mask[::-1], inner[::-1]),
        (left, mask.T, inner.T),
        (right, mask.T[::-1], inner.T[::-1]),
    ):
        if not 0 < depth <= MAX_DEPTH * len(side):
            continue
        lighter = (turned[:BEYOND].max(0) > MAX_BLACK + STEP).mean()
        sharp = ramp(float(lighter), SHARPNESS)
        score = max(score, sharp)
        if sharp > 0:
            side[:depth] = True
    return score, mask


def _whole(mask: Mask) -> Mask:
    """Return the bars of an edit (h, w) without gaps: what was black before was not changed."""
    whole = np.zeros_like(mask)
    for side, turned in (
        (whole, mask),
        (whole[::-1], mask[::-1]),
        (whole.T, mask.T),
        (whole.T[::-1], mask.T[::-1]),
    ):
        changed = turned.mean(1) > MIN_CHANGED
        side[: len(changed) if changed.all() else int((~changed).argmax())] = True
    return whole


def _depth(black: Mask) -> int:
    """Return how many rows from the first on are black all along."""
    whole = black.mean(1) >= ALL_ALONG
    return len(whole) if whole.all() else int((~whole).argmax())
