"""Round coloured stickers beside the lesion, as in pictures of children.

How it is found: an even region far from the skin in hue, with a sharp, round edge, away from the
middle of the picture. Blue naevi and blood are in the middle, uneven, and fade out.
Chosen: the constants are round figures, not measured: no labelled images exist (docs/artifacts.md).
Light and shade and an oval outline are allowed for since things cut out of photographs were missed.
Reference: Rieger et al. 2020, "Interpretations are useful: penalizing explanations to align neural
networks with prior knowledge", on the coloured patches of ISIC.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.inpainting import continued
from melaudit.artifacts.painting.placebos import neutral_placebos
from melaudit.artifacts.painting.skin import smooth_noise
from melaudit.artifacts.picture import (
    Layer,
    blended,
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

SIDE = 128
"""Longer side of the reduced copy that is searched, in pixels."""
MIN_DISTANCE = 24
"""Distance from the skin in a and b of Lab (8-bit steps) from which a colour is foreign."""
MIN_CHROMA = 16
"""Distance from grey in a and b below which a region has no colour."""
MIN_LIGHTNESS = 50
"""Lightness (0 to 255) below which hue means nothing."""
AREA = (0.006, 0.35)
"""Smallest and largest share of the picture that one sticker covers."""
SPREAD = (16.0, 6.0)
"""Standard deviation of the colour inside: from no sticker to a certain one."""
STRONG = 50.0
"""Distance from the skin in a and b beyond which the colour may spread in proportion: light and
shade on a strong colour move it by more."""
SHARPNESS = (0.35, 0.7)
"""Share of the colour's distance from the skin that is reached within two pixels of the edge: from
no sticker to a certain one."""
ROUNDNESS = (0.72, 0.9)
"""Jaccard index of the region and the fitted circle, or the ellipse as which a sticker is seen from
an angle: from no sticker to a certain one."""
MAX_ELONGATION = 1.6
"""Long axis of the ellipse over the short one, at most. Chosen, not measured."""
OFF_CENTRE = (0.18, 0.32)
"""Distance of the region from the centre of the picture, as a share of its sides: from no sticker
to a certain one."""
RIM = 0.012
"""Width of the shadow around a sticker, as a share of the longer side; removed with it."""

COLOURS = (
    (44, 92, 172),
    (70, 156, 96),
    (238, 132, 48),
    (240, 212, 70),
    (200, 54, 56),
)
"""Blue, green, orange, yellow and red stickers."""


class ColourPatch:
    """A round coloured sticker, usually cut off by the edge of the picture."""

    id = "colour_patch"
    title = "Coloured sticker"
    phrases = Phrases(
        "coloured patch",
        "patched",
        "patch-free",
        "a round coloured sticker",
        "coloured patches",
        "near the edge",
    )
    remedy = "Crop or paint over stickers in every class, or take pictures without them."
    whole_picture = False
    threshold = 0.5
    doses = "opacity of the sticker"
    ground = "background"
    """What placebos call the colour that the picture itself has there."""
    aliases = ("patch", "patches", "colorpatch")

    def find(self, image: RGB) -> Found:
        """Look for stickers in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, "a coloured patch").shape[:2]
        small = reduced(image, SIDE)
        score, found = _best(small)
        present = score >= self.threshold
        return Found(score, present, enlarged(found & present, height, width))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Put a round sticker at the edge of the picture; the dose is its opacity."""
        height, width = checked(image, "a coloured patch").shape[:2]
        side = min(height, width)
        radius, turn = rng.uniform(0.12, 0.28), rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.46, 0.6)
        colour = np.array(COLOURS, np.float32)[rng.integers(len(COLOURS))]
        colour = colour + rng.normal(0, 8, 3).astype(np.float32)
        y, x = height / 2 + reach * height * np.sin(turn), width / 2 + reach * width * np.cos(turn)
        opacity = _disc(height, width, (y, x), radius * side, 0.006 * side)
        shadow = _disc(height, width, (y + 0.006 * side, x), 1.04 * radius * side, 0.03 * side)
        layer = _lit(image, colour) * (1 + 0.02 * smooth_noise(height, width, 2, rng))[..., None]
        shaded = blended(image, (0.0, 0.0, 0.0), checked_dose(dose) * 0.3 * shadow)
        return edit(image, blended(shaded, layer, dose * opacity))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Continue the skin over the sticker."""
        checked_mask(mask, checked(image, "a coloured patch"))
        hidden = dilated(mask, RIM * max(mask.shape))
        return edit(image, continued(image, hidden, np.random.default_rng(0)))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return skin and texture (neutral), a grey disc, and a square of the same colour."""
        checked(image, "a coloured patch")
        mask = edited.mask

        def colour() -> NDArray[np.float64]:
            return np.median(edited.image[mask], 0) if mask.any() else np.zeros(3)

        def grey() -> RGB:
            level = _equally_far_grey(image, mask, colour())
            opacity = np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7), np.float32)
            opacity[~mask] = 0
            return blended(image, (level,) * 3, opacity)

        def square() -> RGB:
            return blended(image, tuple(map(float, colour())), _square(mask).astype(np.float32))

        return (
            *neutral_placebos(image, edited, rng, "a disc", self.ground),
            PaintedLater("grey", "a grey disc", grey, "any disc"),
            PaintedLater("square", "a square of the same colour", square, "any foreign colour"),
        )


def _best(small: RGB) -> tuple[float, Mask]:
    """Return the score of the best region of one foreign hue, and where it lies (h, w)."""
    lab = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.float32)
    hue = lab[..., 1:]
    light, red, yellow = (np.ascontiguousarray(lab[..., k]) for k in range(3))
    bright = light >= np.median(light)
    redder, yellower = (plane - np.median(plane[bright]) for plane in (red, yellow))
    away = np.hypot(redder, yellower)
    foreign = (away > MIN_DISTANCE) & (light > MIN_LIGHTNESS)
    foreign &= np.hypot(red - 128, yellow - 128) > MIN_CHROMA
    score, best = 0.0, np.zeros(foreign.shape, np.bool_)
    if np.count_nonzero(foreign) / foreign.size < AREA[0]:
        return score, best
    angle = np.arctan2(yellower[foreign], redder[foreign]) / (np.pi / 2)
    quadrant = np.full(foreign.shape, -1, np.int8)
    # A lesion that touches a sticker is foreign too, but in another hue. Hues are split into four
    # quadrants, and again into quadrants between those, so that each sticker lies within one.
    for turned in (0.0, 0.5):
        quadrant[foreign] = np.floor(angle + turned) % 4
        for k in range(4):
            for region, middle in _regions(quadrant == k):
                value = _score(region, hue, away, middle)
                if value > score:
                    score, best = value, region
    return score, best


def _regions(mask: Mask) -> list[tuple[Mask, NDArray[np.float64]]]:
    """Return the connected regions that are as large as a sticker, with their centres (x, y)."""
    if np.count_nonzero(mask) / mask.size < AREA[0]:
        return []
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, label, stats, middles = components(np.asarray(opened, np.uint8), connectivity=4)
    sizes = stats[:, 4] / mask.size
    fits = [k for k in range(1, count) if AREA[0] <= sizes[k] <= AREA[1]]
    return [(label == k, middles[k]) for k in fits]


def _score(region: Mask, hue: Layer, away: Layer, middle: NDArray[np.float64]) -> float:
    """Return how surely a region is a sticker: even, sharp, round and off the centre."""
    height, width = region.shape
    placed = ramp(np.hypot(middle[1] / height - 0.5, middle[0] / width - 0.5), OFF_CENTRE)
    if not placed:  # the dearest factors come last, where they still decide
        return 0.0
    five = np.ones((5, 5), np.uint8)
    # A sticker continues beyond the edge of the picture, so it has no rim there.
    inside = cv2.erode(region.astype(np.uint8), five, borderValue=1) > 0
    outside = ~(cv2.dilate(region.astype(np.uint8), five) > 0)
    if not inside.any() or not outside.any():
        return 0.0
    near = ~outside & ~region
    rim = region & ~inside
    far = cv2.dilate((~outside).astype(np.uint8), five) > 0
    beyond = far & outside
    if not beyond.any() or not rim.any() or not near.any():
        return 0.0
    inner = np.median(away[inside])
    sharp = float((inner - np.median(away[beyond])) / max(float(inner), 1.0))
    spread = float(hue[inside].std(0).max()) / max(1.0, float(inner) / STRONG)
    even = ramp(spread, SPREAD) * ramp(sharp, SHARPNESS)
    return even * ramp(_roundness(region), ROUNDNESS) * placed if even else 0.0


def _roundness(region: Mask) -> float:
    """Return the Jaccard index of a region and the circle or ellipse fitted to its rim."""
    height, width = region.shape
    contours, _ = cv2.findContours(
        region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    points = max(contours, key=len)[:, 0].astype(np.float64)
    cut = (points < 2).any(1) | (points[:, 0] > width - 3) | (points[:, 1] > height - 3)
    points = points[~cut]
    if len(points) < 8:
        return 0.0
    # x² + y² = 2 a x + 2 b y + c, by least squares (Kåsa 1976).
    design = np.c_[2 * points, np.ones(len(points))]
    (a, b, c), *_ = np.linalg.lstsq(design, (points**2).sum(1), rcond=None)
    radius = np.sqrt(max(c + a * a + b * b, 0.0))
    y, x = np.mgrid[:height, :width]
    round_one = _overlap(np.hypot(x - a, y - b) <= radius + 0.5, region)
    if cut.any():  # part of an outline tells no ellipse
        return round_one
    middle, (one, other), turn = cv2.fitEllipse(points.astype(np.float32))
    if max(one, other) > MAX_ELONGATION * min(one, other):
        return round_one
    oval = np.zeros(region.shape, np.uint8)
    cv2.ellipse(oval, (middle, (one + 1, other + 1), turn), 1, -1)
    return max(round_one, _overlap(oval > 0, region))


def _overlap(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / max(int((one | other).sum()), 1))


def _disc(
    height: int, width: int, centre: tuple[float, float], radius: float, soft: float
) -> Layer:
    """Return a disc (h, w), 1 inside and 0 outside, whose edge is `soft` pixels wide."""
    y = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5 - centre[0])
    x = np.arange(width, dtype=np.float32)[None] + np.float32(0.5 - centre[1])
    away = (np.float32(radius) - np.hypot(y, x)) / np.float32(max(soft, 0.7))
    return np.asarray(np.clip(0.5 + away, 0, 1), np.float32)


def _lit(image: RGB, colour: NDArray[np.float32]) -> Layer:
    """Return a colour (h, w, 3) in the light of the picture: as bright as its bright areas."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    light = float(np.percentile(grey, 80)) / 200
    layer = np.empty(image.shape, np.float32)
    layer[:] = colour * np.clip(light, 0.35, 0.95)
    return layer


def _equally_far_grey(image: RGB, mask: Mask, colour: NDArray[np.floating]) -> float:
    """Return the grey that differs from what a mask hides by as much as a colour does."""
    if not mask.any():
        return 128.0
    hidden = image[mask][:: max(1, int(mask.sum()) // 4000)].astype(np.float64)
    aim = ((hidden - colour) ** 2).mean()
    greys = np.arange(20.0, 236.0, 2.0)
    reached = ((hidden[:, None] - greys[None, :, None]) ** 2).mean((0, 2))
    return float(greys[np.abs(reached - aim).argmin()])


def _square(mask: Mask) -> Mask:
    """Return a rectangle of equal area in place of a mask, cut off by the edge as the mask is."""
    square = np.zeros(mask.shape, np.bool_)
    if not mask.any():
        return square
    ys, xs = np.nonzero(mask)
    top, left, down, across = ys.min(), xs.min(), np.ptp(ys) + 1, np.ptp(xs) + 1
    # The box is shrunk to the area of the disc, at the sides that lie inside the picture.
    shrink = np.sqrt(mask.sum() / (down * across))
    new_down, new_across = max(1, round(down * shrink)), max(1, round(across * shrink))
    y = top if top == 0 else top + (down - new_down) * (1 if top + down == len(mask) else 0.5)
    at_right = left + across == mask.shape[1]
    x = left if left == 0 else left + (across - new_across) * (1 if at_right else 0.5)
    square[int(y) : int(y) + new_down, int(x) : int(x) + new_across] = True
    return square
