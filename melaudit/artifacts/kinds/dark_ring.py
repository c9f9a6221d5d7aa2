"""The black ring, or the dark corners, that a dermatoscope leaves around its field of view.

How it is found: from the middle outwards, the picture turns dark in a corner and stays dark to the
end. Darkness is measured against the field just inside, so that dark skin is no ring; in the red
channel, where skin and lesions are bright and a ring is black; and over the whole corner, so that
hairs and ruler ticks average out. The dark region must also lie outside the convex hull of the
bright field: a lesion or a marker in a corner bulges into the hull and lowers the score.
Chosen: the constants, with all labelled ISIC 2018 images in view; of them only `MIN_CORNER` moves
the AUC (benchmarks/artifacts.py; docs/artifacts.md has the result).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.ring_edits import ring_placebos, with_ring, without_ring
from melaudit.artifacts.picture import checked, checked_dose, checked_mask
from melaudit.artifacts.search.field_of_view import Outline, outline

SIDE = 96
"""Side of the reduced copy that is searched, in pixels."""
BINS = 72
"""Bins of the distance from the middle."""
REACH = 1.5
"""Radius of the outermost bin, as a share of half the side; a corner lies at 1.41."""
MIN_RADIUS = 18
"""Smallest radius of a field, in bins: .375 of half the side."""
GAP, BAND = 6, 5
"""The field is measured in a band of 5 bins, 6 bins inside the edge, because rims are often
soft."""
MIN_CORNER = 2
"""Pixels of the reduced copy that a dark corner must have. With 1 or 2 the AUC is .989 to .995 over
36 settings, with 4 or 8 it is .966 to .970: people label corners that small."""
MAX_BULGE = 2.0
"""Pixels that the dark may reach into the hull of the field before it counts as a bulge."""
MIN_CONTRAST = 0.15
"""Contrast from which a corner is dark."""
SINGLE_CORNER = 0.8
"""Weight of a single dark corner: not only rings darken one corner."""
MIN_EVENNESS = 0.6
"""Smallest over largest depth of a dark margin from which it is a bar and not an arc."""

Grid = NDArray[np.float64]


def four_black_corners(image: NDArray[np.uint8]) -> bool:
    """Tell whether each of the four 10 x 10 corner blocks of an RGB image has a mean below 10.

    This plain rule finds fully black rings only. It is kept because published counts use it.
    """
    blocks = (image[:10, :10], image[:10, -10:], image[-10:, :10], image[-10:, -10:])
    return all(float(block.mean()) < 10 for block in blocks)


class DarkRing:
    """The black ring, or the dark corners, of a dermatoscope."""

    id = "dark_ring"
    title = "Black ring of the dermatoscope"
    phrases = Phrases(
        "ring", "ringed", "ring-free", "a black ring or dark corners", "black rings", "at the rim"
    )
    remedy = (
        "Crop every image to the field of view, or give images of every class rings while training."
    )
    whole_picture = False
    threshold = 0.5
    doses = "depth of the ring"
    ground = "background"
    """What placebos call the colour that the picture itself has there."""
    rule_id = "corners"
    rule_title = "all four corners black"
    rule_definition = "All four 10 x 10 corner blocks below 10"
    aliases = ("darkcorner", "darkcorners", "blackring")

    def rule(self, image: RGB) -> bool:
        """Tell whether `four_black_corners` holds."""
        return four_black_corners(image)

    def find(self, image: NDArray[np.uint8]) -> Found:
        """Look for a ring in an RGB image (h, w, 3) of any size; the mask is the dark outside.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        checked(image, "a ring")
        height, width = image.shape[:2]
        red = _reduced(image)
        contrast, level = _corners(red)
        score = float(contrast.max())
        if score >= MIN_CONTRAST:
            outside = _outside(red, level, contrast >= MIN_CONTRAST)
            edge = outline(_largest(~outside))
            if edge is None:
                return Found(0.0, False, np.zeros((height, width), np.bool_))
            score = _score(contrast, outside, edge)
            if score >= self.threshold:
                return Found(score, True, _mask(outside, edge, height, width))
        return Found(score, False, np.zeros((height, width), np.bool_))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Paint a ring; the dose is how far it reaches into the picture."""
        return with_ring(checked(image, "a ring"), rng, checked_dose(dose))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Continue the skin over a ring and its soft rim."""
        return without_ring(checked(image, "a ring"), checked_mask(mask, image))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return rings of skin and of texture (neutral), a white ring and a black square frame."""
        return ring_placebos(checked(image, "a ring"), edited, rng, self.ground)


def _reduced(image: NDArray[np.uint8]) -> Grid:
    """Return the red channel, averaged over pixel areas (SIDE, SIDE)."""
    red = Image.fromarray(np.ascontiguousarray(image[..., 0]))
    return np.asarray(red.resize((SIDE, SIDE), Image.Resampling.BOX)).astype(np.float64)


@lru_cache(maxsize=1)
def _polar() -> tuple[NDArray[np.int64], NDArray[np.int64], Grid]:
    """Return the polar grid: quadrant and cell of each pixel, and the pixels of each cell.

    Quadrants and cells (quadrant * BINS + bin of the radius) are (SIDE, SIDE), counts (4, BINS).
    """
    axis = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x, y = np.meshgrid(axis, axis)
    radius = np.minimum((np.hypot(x, y) / REACH * BINS).astype(np.int64), BINS - 1)
    quadrant = 2 * (y > 0).astype(np.int64) + (x > 0)
    cell = quadrant * BINS + radius
    count = np.bincount(cell.ravel(), minlength=4 * BINS).reshape(4, BINS)
    return quadrant, cell, count.astype(np.float64)


def _corners(red: Grid) -> tuple[Grid, Grid]:
    """Return for each corner the contrast of field to outside (4,), and the level half way (4,).

    For every radius, the mean of everything further out is compared with a band inside, and the
    radius with the largest difference is taken. The contrast is that difference over the brightness
    of the field, the mean of the band's and the picture's; it is at most 1.
    """
    _, cell, pixels = _polar()
    sums = np.bincount(cell.ravel(), red.ravel(), 4 * BINS).reshape(4, BINS)
    total, count = (np.pad(np.cumsum(a, 1), ((0, 0), (1, 0))) for a in (sums, pixels))
    edge = np.arange(MIN_RADIUS, BINS)
    n_out = count[:, -1:] - count[:, edge]
    out = (total[:, -1:] - total[:, edge]) / np.maximum(n_out, 1)
    hi, lo = edge - GAP, edge - GAP - BAND
    band = (total[:, hi] - total[:, lo]) / np.maximum(count[:, hi] - count[:, lo], 1)
    # The 90th percentile, because a field may fill only a quarter of the picture, and glints fill
    # less than a tenth.
    field = max(float(np.percentile(red, 90)), 1.0)
    contrast = np.where(n_out >= MIN_CORNER, (band - out) / (0.5 * (band + field)), 0)
    best = contrast.argmax(1)[:, None]
    take = [np.take_along_axis(a, best, 1)[:, 0] for a in (contrast, (band + out) / 2)]
    return np.clip(take[0], 0, 1), take[1]


def _outside(red: Grid, level: Grid, dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what is darker than half way and connected to one of the dark corners (SIDE, SIDE)."""
    quadrant, _, _ = _polar()
    level = np.where(dark, level, np.median(level[dark]))
    below = red < level[quadrant]
    # Opening cuts off hairs; the picture is continued outwards so that the corners stay.
    opened = ndimage.binary_opening(np.pad(below, 3, mode="edge"))[3:-3, 3:-3]
    for y in (slice(3), slice(-3, None)):
        for x in (slice(3), slice(-3, None)):
            opened[y, x] |= below[y, x]
    regions, _ = ndimage.label(opened)
    at_corner = regions[[0, 0, -1, -1], [0, -1, 0, -1]][dark]
    joined: NDArray[np.bool_] = np.isin(regions, at_corner[at_corner > 0])
    return joined


def _largest(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected component, without spurs thinner than three pixels."""
    components, n = ndimage.label(region)
    if n == 0:
        return region
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return ndimage.binary_opening(np.pad(components == sizes.argmax(), 2, mode="edge"))[2:-2, 2:-2]


def _score(contrast: Grid, outside: NDArray[np.bool_], edge: Outline) -> float:
    """Return the mean contrast of the two darkest corners, reduced by bulges into the field."""
    quadrant, _, _ = _polar()
    n = np.bincount(quadrant[outside], minlength=4)
    bulge = np.bincount(quadrant[outside & (edge.depth > MAX_BULGE)], minlength=4)
    corner = np.sort(contrast * np.where(n > 0, 1 - bulge / np.maximum(n, 1), 0))
    score = max(float(corner[2:].mean()), SINGLE_CORNER * float(corner[3]))
    return score * (1 - _bar(outside))


def _bar(outside: NDArray[np.bool_]) -> float:
    """Return 1 if the dark is one bar of even depth along a side, such as a ruler, else 0."""
    for turned in (outside, outside[::-1], outside.T, outside.T[::-1]):
        depth = np.where(turned.all(0), SIDE, (~turned).argmax(0))
        within = np.arange(SIDE)[:, None] < depth.max()
        alone = not (turned & ~within).any()
        if alone and depth.max() < SIDE / 2 and depth.min() >= MIN_EVENNESS * depth.max():
            return 1.0
    return 0.0


def _mask(outside: NDArray[np.bool_], edge: Outline, height: int, width: int) -> NDArray[np.bool_]:
    """Return the dark outside at full size (height, width)."""
    grown = ndimage.binary_dilation(outside).astype(np.uint8) * 255
    full = Image.fromarray(grown).resize((width, height), Image.Resampling.BILINEAR)
    return edge.outside(height, width) & (np.asarray(full) > 127)
