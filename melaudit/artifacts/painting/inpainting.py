"""Fill a hole in a picture of skin with skin.

Small holes are closed from their rim (Telea 2004, as OpenCV has it). Large ones, as outside a
field of view, have no far rim: there the colour of the rim goes on outward and levels off at the
picture's own skin colour, mottled as its skin is.
"""

from __future__ import annotations

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.painting.skin import mottle, skin_colour
from melaudit.artifacts.picture import Layer, reduced, rounded

LEVEL = 0.10
"""Distance over which the colour of the rim levels off, in sides of the picture."""
FADE = 0.012
"""Distance over which the fill sets in, in sides of the picture."""
SIDE = 160
"""Side of the reduced copy on which the colours near the rim are spread outward."""
WINDOWS = (3, 6, 12, 24, 48, 96)
"""Widths of the windows in which a colour is looked for, in pixels of that copy."""
FINEST = 3.0
"""Width of a window below which it is not taken on a coarser copy, in pixels of that."""
RADIUS = 3
"""Radius of the neighbourhood that closes a small hole, in pixels of the picture worked on."""
LARGEST = 512
"""Side of the largest copy on which holes are closed; larger pictures take its colours."""


def continued(image: RGB, mask: Mask, rng: np.random.Generator) -> RGB:
    """Continue the skin that is left over a mask of any size."""
    if not mask.any():
        return image.copy()
    side = max(mask.shape)
    # A picture that is hidden altogether has no rim: its pixels are all as deep as can be.
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    depth = np.minimum(depth, float(side))
    colour = _spread(image, mask)
    far = (1 - np.exp(-depth / (LEVEL * side)))[..., None]
    filled = colour + far * (skin_colour(image, mask) - colour) + mottle(image, mask, rng)
    fade = np.clip(depth / max(FADE * side, 1.0), 0, 1)[..., None]
    return rounded(image + fade * (filled - image))


def closed(image: RGB, mask: Mask) -> RGB:
    """Close small holes from their rim."""
    if not mask.any() or mask.all():
        return image.copy()
    height, width = mask.shape
    small = reduced(image, LARGEST)
    size = small.shape[1], small.shape[0]
    hole = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    filled = cv2.inpaint(small, hole.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)
    full = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.where(mask[..., None], full, image).astype(np.uint8)


def _spread(image: RGB, mask: Mask) -> Layer:
    """Return smooth colours (h, w, 3): near the rim those of the rim, everywhere some.

    A mean over the pixels that are left, in a window that widens until it finds enough of them
    (normalised convolution, Knutsson and Westin 1993).
    """
    height, width = mask.shape
    small = reduced(image, SIDE)
    size = small.shape[1], small.shape[0]
    covered = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    kept = (covered < 1e-3).astype(np.float32)
    colours = np.concatenate([small * kept[..., None], kept[..., None]], 2)
    spread = np.zeros((*small.shape[:2], 3), np.float32)
    known = np.zeros(small.shape[:2], np.float32)
    for window in WINDOWS:
        blurred = _blurred(colours, window)
        weight = blurred[..., 3]
        sure = np.clip(weight / 0.15, 0, 1) * (1 - known)
        spread += sure[..., None] * blurred[..., :3] / np.maximum(weight, 1e-6)[..., None]
        known += sure
    spread += (1 - known)[..., None] * skin_colour(image, mask)
    full = cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32)


def _blurred(layers: Layer, window: float) -> Layer:
    """Blur layers (h, w, 4) over a wide window, on a copy as coarse as the window allows."""
    height, width = layers.shape[:2]
    coarse = max(1, round(window / FINEST))
    if coarse == 1:
        return np.asarray(cv2.GaussianBlur(layers, (0, 0), window), np.float32)
    size = max(1, width // coarse), max(1, height // coarse)
    small = cv2.resize(layers, size, interpolation=cv2.INTER_AREA)
    small = np.asarray(cv2.GaussianBlur(small, (0, 0), window * size[0] / width), np.float32)
    return np.asarray(cv2.resize(small, (width, height)), np.float32)
