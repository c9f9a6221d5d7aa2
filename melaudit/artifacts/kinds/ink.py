"""Surgical marker on the skin: purple or blue lines, arcs, dots and scribbles.

What is looked for: parts that take red and green light from the skin beneath and leave the blue,
with plain skin all round. Pigment takes blue first and blood takes green and blue; hairs and ruler
ticks take all; the blue veil of a lesion looks like ink but lies amid pigment.
Reference: Winkler et al. 2019, "Association between surgical skin markings in dermoscopic images
and diagnostic performance of a deep learning convolutional neural network for melanoma".
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.ink_strokes import strokes
from melaudit.artifacts.painting.inpainting import closed
from melaudit.artifacts.painting.placebos import neutral
from melaudit.artifacts.picture import (
    Layer,
    checked,
    checked_dose,
    checked_mask,
    edit,
    enlarged,
    grown,
    most,
    reduced,
    rounded,
    sure,
)
from melaudit.artifacts.search.optical_density import DARKEST, absorption

SIDE = 256
"""Longer side of the reduced copy that is searched, in pixels."""
BOTH, EITHER = 0.06, 0.16
"""Density by which red and green, and the denser of them, exceed blue in a pixel of ink."""
BLACK = 45
"""Levels of the lightest channel below which no colour can be told."""
FEWEST = 6
"""Pixels of the reduced copy that a part of ink has at least."""
SMALL = 0.0004
"""Share of the picture at which sure ink has a score of a half: two dots of a marker."""
VIVID = (0.25, 0.55)
"""Share of its density that a part takes from red or green alone: from no ink to sure ink."""
PLAIN = 0.22
"""Density in blue up to which a pixel is plain skin: pigment has more."""
SURROUNDED = (0.5, 0.95)
"""Share of plain skin around a part: from no ink to sure ink."""
STEP = (0.06, 0.14)
"""By how much a part is denser, and bluer, than what lies around it: from no ink to sure ink."""
RIM = 0.006
"""Faint ink around what is found, in sides of the picture; removed with it."""
MARGIN = 2
"""Pixels of the reduced copy along the picture's edge that are left out: lines lie there."""

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
        "ink", "ink-marked", "ink-free", "purple or blue marks of a skin marker", "ink marks"
    )
    remedy = (
        "Take pictures before the skin is marked, or give marked images of every class while "
        "training."
    )
    whole_picture = False
    threshold = 0.5
    doses = "opacity of the ink"
    aliases = ("marking", "pen", "penmarking")

    def find(self, image: RGB) -> Found:
        """Look for ink in an RGB image (h, w, 3) of any size.

        Raises ValueError when the array is no 8-bit RGB image.
        """
        height, width = checked(image, "ink").shape[:2]
        small = reduced(image, SIDE)
        density = np.asarray(cv2.GaussianBlur(absorption(small), (0, 0), 0.7), np.float32)
        quality, inked = _parts(density, small)
        total = float(quality.sum()) / inked.size
        score = total / (total + SMALL)
        if score < self.threshold:
            return Found(score, False, np.zeros((height, width), np.bool_))
        return Found(score, True, enlarged(grown(quality > 0, 0), height, width))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Draw marks around the middle; the dose is how opaque the ink is."""
        height, width = checked(image, "ink").shape[:2]
        checked_dose(dose)
        kind = rng.choice(len(INKS), p=[often for _, often in INKS])
        ink = np.array(INKS[kind][0], np.float32) * np.float32(rng.uniform(0.7, 1.5))
        cover = strokes(height, width, rng)
        return edit(image, _through(image, dose * cover[..., None] * ink))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Close the marks from their rim."""
        checked_mask(mask, checked(image, "ink"))
        return edit(image, closed(image, grown(mask, RIM)))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return skin and texture in place of the marks (neutral), and grey and brown strokes."""
        light = checked(image, "ink").astype(np.float32) + DARKEST
        density = np.log(light / (edited.image.astype(np.float32) + DARKEST))
        density = np.where(edited.mask[..., None], density, 0)
        grey = np.repeat(density.mean(2, keepdims=True), 3, 2)
        # Pigment takes light in the opposite order: most blue, least red.
        ordered = np.sort(density, 2)
        return (
            *neutral(image, edited, rng, "strokes"),
            Placebo("grey", "grey strokes", _through(image, grey), "any strokes"),
            Placebo("brown", "brown strokes", _through(image, ordered), "any strokes"),
        )


def _through(image: RGB, density: Layer) -> RGB:
    """Return what is seen of a picture through a density (h, w, 3)."""
    light = image.astype(np.float32)
    return rounded((light + DARKEST) * np.exp(-density) - DARKEST)


def _parts(density: Layer, small: RGB) -> tuple[NDArray[np.float32], Mask]:
    """Return how surely each pixel (h, w) belongs to ink, and the pixels that were considered."""
    red, green, blue = (np.ascontiguousarray(density[..., k]) for k in range(3))
    denser, lesser = np.maximum(red, green), np.minimum(red, green)
    excess = denser - blue
    inked = (lesser - blue > BOTH) & (excess > EITHER) & (most(small) > BLACK)
    inked[:MARGIN] = inked[-MARGIN:] = inked[:, :MARGIN] = inked[:, -MARGIN:] = False
    count, label, stats, _ = cv2.connectedComponentsWithStats(inked.astype(np.uint8))
    vivid = excess / (denser + 0.15)
    plain = np.abs(blue) < PLAIN
    quality = np.zeros(inked.shape, np.float32)
    for k in range(1, count):
        x, y, across, down, area = stats[k]
        if area < FEWEST:
            continue
        box = slice(max(y - 5, 0), y + down + 5), slice(max(x - 5, 0), x + across + 5)
        part = label[box] == k
        around = _around(part)
        if not around.any():
            continue
        steps = [float(a[box][part].mean() - np.median(a[box][around])) for a in (lesser, excess)]
        quality[box][part] = (
            sure(float(vivid[box][part].mean()), VIVID)
            * sure(float(plain[box][around].mean()), SURROUNDED)
            * sure(min(steps), STEP)
        )
    return quality, inked


def _around(part: Mask) -> Mask:
    """Return the pixels that lie three and four pixels outside a part."""
    inner, outer = (cv2.dilate(part.astype(np.uint8), np.ones((n, n), np.uint8)) for n in (5, 9))
    around: Mask = outer > inner
    return around
