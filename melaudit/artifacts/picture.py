"""What a picture is here: an 8-bit RGB array; and how an edit of one is written down."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Mask

VISIBLE = 3
"""Levels of 255 that a channel must change by before a person could see it."""

Layer = NDArray[np.float32]
"""(h, w, 3) colours, or (h, w) weights from 0 to 1."""


def checked(image: RGB, thing: str) -> RGB:
    """Return an 8-bit RGB image (h, w, 3) as it is.

    Raises ValueError for any other array; `thing` is what is looked for: "a ring".
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"got an array of shape {image.shape} and type {image.dtype}; "
            f"{thing} is looked for in an RGB image (h, w, 3) of type uint8"
        )
    return image


def checked_mask(mask: Mask, image: RGB) -> Mask:
    """Return a mask (h, w) of an image (h, w, 3) as it is.

    Raises ValueError when it is of another size or type.
    """
    if mask.shape != image.shape[:2] or mask.dtype != np.bool_:
        raise ValueError(
            f"got a mask of shape {mask.shape} and type {mask.dtype}; "
            f"this image needs one of shape {image.shape[:2]} and type bool"
        )
    return mask


def checked_dose(dose: float) -> float:
    """Return a dose from 0 to 1 as it is.

    Raises ValueError for any other number.
    """
    if not 0 <= dose <= 1:
        raise ValueError(
            f"got a dose of {dose}; a dose lies from 0 (nothing) to 1 (as usually met)"
        )
    return dose


def reduced(image: RGB, side: int) -> RGB:
    """Return a copy whose longer side is `side` at most, each pixel the mean of what it covers."""
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def most(image: RGB) -> NDArray[np.uint8]:
    """Return the lightest channel of each pixel (h, w)."""
    # Two passes over planes are many times faster than a maximum along the last axis.
    return np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])


def least(image: RGB) -> NDArray[np.uint8]:
    """Return the darkest channel of each pixel (h, w)."""
    return np.minimum(np.minimum(image[..., 0], image[..., 1]), image[..., 2])


def enlarged(mask: Mask, height: int, width: int) -> Mask:
    """Return a mask found on a reduced copy at the full size (height, width)."""
    full = cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_LINEAR)
    large: Mask = full > 127
    return large


def sure(value: float, span: tuple[float, float]) -> float:
    """Return 0 at the first end of a span, 1 at the second, in between by proportion."""
    return float(np.clip((value - span[0]) / (span[1] - span[0]), 0, 1))


def grown(mask: Mask, by: float) -> Mask:
    """Return a mask grown by a part of the picture's longer side, a pixel at least."""
    reach = max(1, round(by * max(mask.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    larger: Mask = cv2.dilate(mask.astype(np.uint8), disc) > 0
    return larger


def mixed(image: RGB, layer: Layer | tuple[float, ...], weight: Layer) -> RGB:
    """Lay colours (h, w, 3), or one colour, over a picture as thick as weights (h, w) say."""
    colours, ground = np.asarray(layer, np.float32), image.astype(np.float32)
    return rounded(ground + weight[..., None] * (colours - ground))


def rounded(image: NDArray[np.floating]) -> RGB:
    """Return the nearest 8-bit picture."""
    return np.asarray(np.clip(image, 0, 255) + 0.5, np.uint8)


def changed(before: RGB, after: RGB) -> Mask:
    """Return where a person could see a difference (h, w)."""
    seen: Mask = most(np.asarray(cv2.absdiff(before, after), np.uint8)) >= VISIBLE
    return seen


def edit(before: RGB, after: RGB) -> Edited:
    """Return the edit that made one picture of another."""
    return Edited(after, changed(before, after))
