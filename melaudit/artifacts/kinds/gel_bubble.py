"""Air bubbles in the gel between the skin and the dermatoscope.

How they are found: search/bubble_specks.py. How they are drawn: as small lenses with a thin dark
outline, a light rim inside it that is brightest towards the lamp and opposite to it, and a glint; a
few large ones and many small specks.
Against human labels (227 images of ISIC 2018 at 180 pixels, the half that nothing was chosen on)
the finder's AUC is .77 [.67, .84]. That is enough to rank pictures and not to decide about one: at
a threshold that 95 % of pictures without bubbles stay below, it finds one in ten.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.inpainting import closed
from melaudit.artifacts.painting.thin_placebos import blotches, flipped, spread
from melaudit.artifacts.picture import (
    Layer,
    checked,
    checked_dose,
    checked_mask,
    dilated,
    edit,
    enlarged,
    rounded,
)
from melaudit.artifacts.search.bubble_specks import clearest, specks

THING = "air bubbles"
"""What error messages say is looked for."""
TYPICAL = 25.0
"""Contrast of the clearest specks at which the score is 0.5. Chosen: 95 % of the pictures without
bubbles in the tuning half of the labelled images have less (benchmarks/artifacts.py)."""
MIN_SHARE = 0.4
"""Share of the typical contrast from which a speck belongs to the mask."""
LARGE, LARGE_RADII = (2, 8), (0.008, 0.035)
SMALL, SMALL_RADII = (6, 26), (0.0025, 0.006)
"""How many bubbles are drawn, and their radii as shares of the shorter side. Chosen: round figures,
not measured."""
MARGIN = 0.008
"""Radius by which the mask is dilated before removal, as a share of the longer side."""
RIM = 0.13
"""Width of a rim, in radii."""
WHITE = np.array([252, 250, 248], np.float32)
"""The colour of rims and glints, in levels of 255."""


class GelBubble:
    """Air bubbles in the immersion gel."""

    id = "gel_bubble"
    title = "Air bubbles in the gel"
    phrases = Phrases(
        "bubbles", "with bubbles", "bubble-free", "air bubbles in the gel", "air bubbles"
    )
    remedy = (
        "Press the air out before the picture is taken, or give images of every class bubbles "
        "while training."
    )
    whole_picture = False
    threshold = 0.5
    doses = "brightness of the bubbles"
    aliases = ("gelbubbles", "bubble", "bubbles")

    def find(self, image: RGB) -> Found:
        """Look for bubbles in an RGB image (h, w, 3) of any size; the mask is rims and glints.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, THING).shape[:2]
        contrast = specks(image)
        clear = clearest(contrast)
        score = clear / (clear + TYPICAL)
        if score < self.threshold:
            return Found(score, False, np.zeros((height, width), np.bool_))
        return Found(
            score, True, enlarged(dilated(contrast > MIN_SHARE * TYPICAL, 1), height, width)
        )

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Scatter bubbles around one place; the dose is their brightness."""
        height, width = checked(image, THING).shape[:2]
        checked_dose(dose)
        side = min(height, width)
        lamp = rng.uniform(0, 2 * np.pi)
        middle = np.array([width, height]) * rng.uniform(0.15, 0.85, 2)
        light, dark = (np.zeros((height, width), np.float32) for _ in range(2))
        for count, radii, far in ((LARGE, LARGE_RADII, 0.16), (SMALL, SMALL_RADII, 0.24)):
            for _ in range(int(rng.integers(*count))):
                centre = middle + side * rng.normal(0, far, 2)
                radius = side * float(np.exp(rng.uniform(*np.log(radii))))
                _bubble(light, dark, centre, radius, lamp, float(rng.uniform(0.8, 1)))
        ground = image.astype(np.float32)
        ground = ground * (1 - dose * dark[..., None])
        return edit(image, rounded(ground + dose * light[..., None] * (WHITE - ground)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Close the skin over rims and glints."""
        checked_mask(mask, checked(image, THING))
        return edit(image, closed(image, dilated(mask, MARGIN * max(mask.shape))))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return blotches (neutral), soft light spots, and the negative of the bubbles."""
        side = min(checked(image, THING).shape[:2])
        return (
            Placebo(
                "blotches",
                "soft light and dark blotches",
                blotches(image, edited, 0.05 * side, rng),
            ),
            PaintedLater(
                "spots",
                "soft light spots without a rim",
                lambda: spread(image, edited, WHITE, 0.015 * side),
                "any light spots",
            ),
            PaintedLater(
                "negative",
                "the bubbles, light for dark",
                lambda: flipped(image, edited),
                "any small rings",
            ),
        )


def _bubble(
    light: Layer, dark: Layer, centre: np.ndarray, radius: float, lamp: float, clear: float
) -> None:
    """Add one bubble, in place, to the weights of lightened and of darkened pixels (h, w)."""
    height, width = light.shape
    reach = 1.6 * radius + 3
    left, top = np.maximum(np.floor(centre - reach), 0).astype(int)
    right, bottom = np.minimum(np.ceil(centre + reach), (width, height)).astype(int)
    if left >= right or top >= bottom:
        return
    window = slice(top, bottom), slice(left, right)
    x = np.arange(left, right, dtype=np.float32)[None] + 0.5 - centre[0]
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5 - centre[1]
    away, turn = np.hypot(x, y), np.arctan2(y, x) - lamp
    # A rim thinner than a pixel gets fainter instead.
    thin = max(RIM * radius, 0.45)
    faint = min(1.0, RIM * radius / 0.45) ** 0.5
    lit = 0.45 + 0.55 * np.cos(turn) ** 2 * np.where(np.cos(turn) > 0, 1, 0.6)
    rim = faint * lit * np.exp(-0.5 * ((away - 0.8 * radius) / thin) ** 2)
    outline = 0.28 * faint * np.exp(-0.5 * ((away - radius) / thin) ** 2)
    spot = np.hypot(x - 0.45 * radius * np.cos(lamp), y - 0.45 * radius * np.sin(lamp))
    size = max(0.2 * radius, 0.5)
    glint = min(1.0, 0.2 * radius / 0.5 + 0.5) * np.exp(-0.5 * (spot / size) ** 2)
    inside = 0.05 / (1 + np.exp(np.clip((away - 0.8 * radius) / thin, -30, 30)))
    light[window] = np.maximum(light[window], clear * np.maximum(np.maximum(rim, glint), inside))
    dark[window] = np.maximum(dark[window], clear * outline)
