"""8-bit RGB arrays: checks of what comes in, and the pixel operations that artifacts share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Mask

MIN_VISIBLE_CHANGE = 3
"""Levels of 255 that a channel must change by before a person could see it. Chosen: a round figure,
not measured."""

Layer = NDArray[np.float32]
"""(h, w, 3) colours in levels of 255, or (h, w) weights from 0 to 1."""


def checked(image: RGB, thing: str) -> RGB:
    """Return an 8-bit RGB image (h, w, 3) unchanged.

    `thing` is what is looked for: "a ring". Raises ValueError for any other array.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"got an array of shape {image.shape} and type {image.dtype}; to look for {thing}, "
            "pass an RGB image (h, w, 3) of type uint8"
        )
    return image


def checked_mask(mask: Mask, image: RGB) -> Mask:
    """Return a mask (h, w) of an image (h, w, 3) unchanged.

    Raises ValueError if it has another size or type.
    """
    if mask.shape != image.shape[:2] or mask.dtype != np.bool_:
        raise ValueError(
            f"got a mask of shape {mask.shape} and type {mask.dtype}; "
            f"this image needs one of shape {image.shape[:2]} and type bool"
        )
    return mask


def checked_dose(dose: float) -> float:
    """Return a dose from 0 to 1 unchanged.

    Raises ValueError for any other number.
    """
    if not 0 <= dose <= 1:
        raise ValueError(
            f"got a dose of {dose}; expected 0 (nothing) to 1 (as strong as it usually is)"
        )
    return dose


_copies: ContextVar[dict[int, dict[int, RGB]] | None] = ContextVar("copies", default=None)
"""Identity of a picture -> side -> its reduced copy, as long as copies are kept."""


@contextmanager
def copies_kept(images: Sequence[RGB]) -> Iterator[None]:
    """Keep reduced copies of pictures, which must not change, while the `with` lasts.

    Most finders look at the same few sizes of a picture. `images` are held meanwhile, so that no
    other picture gets the identity of one of them.
    """
    kept = tuple(images)
    token = _copies.set({id(image): {} for image in kept})
    try:
        yield
    finally:
        _copies.reset(token)


def reduced(image: RGB, side: int) -> RGB:
    """Return a copy whose longer side is at most `side` pixels, averaged over pixel areas.

    Where copies are kept (`copies_kept`) it is read-only.
    """
    kept = (_copies.get() or {}).get(id(image))
    if kept is None:
        return _reduced(image, side)
    if side not in kept:
        kept[side] = _reduced(image, side)
        kept[side].flags.writeable = False
    return kept[side]


def _reduced(image: RGB, side: int) -> RGB:
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def brightest_channel(image: RGB) -> NDArray[np.uint8]:
    """Return the maximum over the channels of each pixel (h, w)."""
    # Two passes over planes are many times faster than a maximum along the last axis.
    return np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])


def darkest_channel(image: RGB) -> NDArray[np.uint8]:
    """Return the minimum over the channels of each pixel (h, w)."""
    return np.minimum(np.minimum(image[..., 0], image[..., 1]), image[..., 2])


def enlarged(mask: Mask, height: int, width: int) -> Mask:
    """Return a mask that was found on a reduced copy at full size (height, width)."""
    full = cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_LINEAR)
    large: Mask = full > 127
    return large


def ramp(value: float, span: tuple[float, float]) -> float:
    """Return 0 at the first end of a span, 1 at the second, linear in between.

    Finders use it to turn a measurement into a score; the first end may be the larger one.
    """
    return float(np.clip((value - span[0]) / (span[1] - span[0]), 0, 1))


def dilated(mask: Mask, pixels: float) -> Mask:
    """Return a mask (h, w) dilated by a disc of that radius, rounded, at least 1 pixel."""
    radius = max(1, round(pixels))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    larger: Mask = cv2.dilate(mask.astype(np.uint8), disc) > 0
    return larger


def box_of(mask: Mask) -> tuple[slice, slice]:
    """Return rows and columns of the smallest box around a mask (h, w) that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def blended(image: RGB, layer: Layer | tuple[float, ...], weight: Layer) -> RGB:
    """Lay colours (h, w, 3), or one colour, over an image with the opacity `weight` (h, w)."""
    colours, ground = np.asarray(layer, np.float32), image.astype(np.float32)
    return rounded(ground + weight[..., None] * (colours - ground))


def rounded(image: NDArray[np.floating]) -> RGB:
    """Return the nearest 8-bit image."""
    levels = np.clip(image, 0, 255)
    levels += 0.5
    return np.asarray(levels, np.uint8)


def changed(before: RGB, after: RGB) -> Mask:
    """Return where a person could see a difference (h, w)."""
    difference = np.asarray(cv2.absdiff(before, after), np.uint8)
    visible: Mask = brightest_channel(difference) >= MIN_VISIBLE_CHANGE
    return visible


def edit(before: RGB, after: RGB) -> Edited:
    """Return an edit of a part of the picture; its mask is where the change can be seen."""
    return Edited(after, changed(before, after))
