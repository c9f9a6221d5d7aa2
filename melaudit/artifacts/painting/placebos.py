"""Edits that mean nothing, of the same place and size as one that does: the shared maths.

A placebo is kept to the mask of the edit it stands beside. Skin is what the picture itself shows as
skin; texture is smooth and goes both ways, lighter and darker, so that it has no colour, no edge
and no shape that anybody would name.
"""

from __future__ import annotations

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Mask, Placebo
from melaudit.artifacts.painting.inpainting import continued
from melaudit.artifacts.painting.skin import skin_colour, smooth_noise
from melaudit.artifacts.picture import Layer, rounded

GRAIN = 1 / 12
"""Largest size of a texture's spots, in sides of the picture."""
FEATHER = 1 / 60
"""Width over which a texture fades in from the edge of its mask, in sides of the picture."""
WEAKEST, STRONGEST = 0.5, 48.0
"""Levels of 255 between which a texture's height is sought. A higher one is cut off at black and
white and turns into dark spots, which people would call lesions."""
STEPS = 12
"""Halvings of that interval."""


def change(before: RGB, after: RGB, mask: Mask) -> float:
    """Return the root mean square of the differences inside a mask, in levels of 255."""
    if not mask.any():
        return 0.0
    difference = after[mask].astype(np.float32) - before[mask]
    return float(np.sqrt((difference**2).mean()))


def feathered(mask: Mask) -> Layer:
    """Return weights (h, w): 0 outside a mask, rising inside it to 1.

    Narrow masks, as of lines, rise over half their own width.
    """
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    depth = _depth(mask)
    width = max(1.0, min(FEATHER * max(mask.shape), 0.5 * float(depth.max())))
    rise = np.clip(depth / width, 0, 1)
    weight: Layer = (rise * rise * (3 - 2 * rise)).astype(np.float32)
    return weight


def _depth(mask: Mask) -> Layer:
    """Return by how many pixels each pixel lies inside a mask (h, w)."""
    # The picture goes on beyond its edge: a mask that touches the edge does not end there.
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    if padded.all():
        return np.full(mask.shape, max(mask.shape), np.float32)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    return np.asarray(depth[1:-1, 1:-1], np.float32)


def neutral(
    image: RGB, edited: Edited, rng: np.random.Generator, thing: str
) -> tuple[Placebo, Placebo]:
    """Return the two edits that should mean nothing, where another edit was made.

    Skin covers as much and leaves nothing to see, but changes less; texture changes the place by
    about as much. `thing` is what they are named: "a ring".
    """
    mask = edited.mask
    strength = change(image, edited.image, mask)
    return (
        Placebo("skin", f"{thing} of skin colour", continued(image, mask, rng)),
        Placebo(
            "texture", f"{thing} of smooth light and dark", textured(image, mask, strength, rng)
        ),
    )


def textured(
    image: RGB,
    mask: Mask,
    strength: float,
    rng: np.random.Generator,
    weight: Layer | None = None,
) -> RGB:
    """Change what lies in a mask by a smooth texture, by `strength` (root mean square).

    Lighter here and darker there, in the colour of the picture; its spots are as wide as the mask
    is. Where nothing smooth changes the picture by as much, as much as something smooth can. It
    fades as `weight` (h, w) says, or else at the edge of the mask.
    """
    height, width = image.shape[:2]
    if not mask.any() or strength <= 0:
        return image.copy()
    side = max(height, width)
    grain = min(GRAIN * side, 0.6 * float(_depth(mask).max()))
    noise = smooth_noise(height, width, grain, rng)
    # As much lighter as darker within the mask, however few of its spots lie there.
    noise = noise - noise[mask].mean()
    noise = np.clip(noise / max(float(noise[mask].std()), 1e-3), -1.2, 1.2)
    tint = skin_colour(image, mask)
    faded = noise * (feathered(mask) if weight is None else weight)
    wave = faded[..., None] * (tint / max(float(tint.mean()), 1.0))
    ys, xs = np.nonzero(mask)
    # A few thousand pixels tell the strength; all of them would take a second at full size.
    every = slice(None, None, max(1, len(ys) // 4000))
    before, part = image[ys[every], xs[every]].astype(np.float32), wave[ys[every], xs[every]]
    low, high = WEAKEST, STRONGEST
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        after = np.clip(before + middle * part, 0, 255)
        enough = float(np.sqrt(((after - before) ** 2).mean())) >= strength
        low, high = (low, middle) if enough else (middle, high)
    return rounded(image + high * wave)
