"""Fill a hole in a picture of skin with skin.

Small holes are closed from their rim (Telea 2004, as implemented in OpenCV). Large holes, such as
the outside of a field of view, have no rim on the far side: there the colour of the rim continues
and levels off to the picture's own skin colour, with the mottling of its skin.

Chosen: the constants are round figures, not measured.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.painting.skin import mottle, skin_colour
from melaudit.artifacts.picture import Layer, box_of, reduced, rounded

LEVEL_OFF = 0.10
"""Distance over which the colour of the rim levels off, as a share of the longer side."""
FADE = 0.012
"""Distance over which the fill fades in, as a share of the longer side."""
SIDE = 160
"""Longer side of the reduced copy on which the colours near the rim are spread, in pixels."""
WINDOWS = (3, 6, 12, 24, 48, 96)
"""Standard deviations of the windows in which a colour is looked for, in pixels of that copy."""
MIN_WINDOW = 3.0
"""Standard deviation of a window on the coarser copy on which it is computed, in its pixels."""
MIN_KNOWN = 0.15
"""Share of known pixels in a window from which its colour is fully trusted."""
RADIUS = 3
"""Radius of the neighbourhood from which a small hole is closed, in pixels of the working copy."""
WORKING_SIDE = 512
"""Longer side of the copy on which small holes are closed; larger pictures take its colours."""


def continued(image: RGB, mask: Mask, rng: np.random.Generator) -> RGB:
    """Continue the skin over a mask (h, w) of any size; an empty mask changes nothing."""
    if not mask.any():
        return image.copy()
    side = max(mask.shape)
    # A picture that is hidden completely has no rim: every pixel gets the largest depth.
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    skin, noise = skin_colour(image, mask), mottle(image, mask, rng)
    box = box_of(mask)  # nothing changes outside
    depth = np.minimum(depth[box], float(side))
    colour = _spread(image, mask, skin)[box]
    far = (1 - np.exp(-depth / (LEVEL_OFF * side)))[..., None]
    filled = colour + far * (skin - colour) + noise[box]
    fade = np.clip(depth / max(FADE * side, 1.0), 0, 1)[..., None]
    out = image.copy()
    out[box] = rounded(image[box] + fade * (filled - image[box]))
    return out


def closed(image: RGB, mask: Mask) -> RGB:
    """Close small holes (h, w) from their rim; an empty or a full mask changes nothing."""
    if not mask.any() or mask.all():
        return image.copy()
    height, width = mask.shape
    small = reduced(image, WORKING_SIDE)
    size = small.shape[1], small.shape[0]
    hole = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    filled = cv2.inpaint(small, hole.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)
    full = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.where(mask[..., None], full, image).astype(np.uint8)


def _spread(image: RGB, mask: Mask, skin: NDArray[np.float32]) -> Layer:
    """Return smooth colours (h, w, 3) that equal those of the rim near it, and the skin's beyond.

    Each is a mean over the pixels that are not hidden, in a window that widens until it holds
    enough of them (normalised convolution, Knutsson and Westin 1993).
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
        trusted = np.clip(weight / MIN_KNOWN, 0, 1) * (1 - known)
        spread += trusted[..., None] * blurred[..., :3] / np.maximum(weight, 1e-6)[..., None]
        known += trusted
        if known.min() >= 1:  # larger windows add nothing
            break
    spread += (1 - known)[..., None] * skin
    full = cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32)


def _blurred(layers: Layer, window: float) -> Layer:
    """Blur layers (h, w, 4) with a wide Gaussian, on a copy as coarse as the window allows."""
    height, width = layers.shape[:2]
    coarse = max(1, round(window / MIN_WINDOW))
    if coarse == 1:
        return np.asarray(cv2.GaussianBlur(layers, (0, 0), window), np.float32)
    size = max(1, width // coarse), max(1, height // coarse)
    small = cv2.resize(layers, size, interpolation=cv2.INTER_AREA)
    small = np.asarray(cv2.GaussianBlur(small, (0, 0), window * size[0] / width), np.float32)
    return np.asarray(cv2.resize(small, (width, height)), np.float32)
