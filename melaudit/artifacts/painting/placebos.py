"""Neutral placebos: edits that mean nothing, in the same place and of the same size as an artifact.

A placebo stays inside the mask of the edit that it is compared with. Skin is what the picture
itself shows as skin. Texture is smooth and both lighter and darker, so that it has no colour, no
edge and no shape that has a name.

Chosen: the constants are round figures, not measured.
"""

from __future__ import annotations

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Mask, Placebo
from melaudit.artifacts.painting.bisection import bisected
from melaudit.artifacts.painting.inpainting import continued
from melaudit.artifacts.painting.skin import skin_colour, smooth_noise
from melaudit.artifacts.picture import Layer, box_of, rounded

GRAIN = 1 / 12
"""Largest size of the spots of a texture, as a share of the longer side."""
FEATHER = 1 / 60
"""Width over which a texture fades in from the edge of its mask, as a share of the longer side."""
AMPLITUDES = (0.5, 48.0)
"""Levels of 255 between which the amplitude of a texture is fitted. A larger one would be clipped
at black and white and turn into dark spots, which people would call lesions."""
HALVINGS = 12
"""Halvings of that interval."""
MAX_PIXELS = 4000
"""Pixels on which the amplitude is fitted: all of them would take a second at full size."""


def rms_change(before: RGB, after: RGB, mask: Mask) -> float:
    """Return the root mean square of the pixel differences inside a mask, in levels of 255."""
    if not mask.any():
        return 0.0
    difference = after[mask].astype(np.float32) - before[mask]
    return float(np.sqrt((difference**2).mean()))


def feathered(mask: Mask) -> Layer:
    """Return weights (h, w): 0 outside a mask, rising to 1 inside it.

    In narrow masks, such as those of lines, they rise over half the width of the mask.
    """
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    depth = _depth(mask)
    width = max(1.0, min(FEATHER * max(mask.shape), 0.5 * float(depth.max())))
    rise = np.clip(depth / width, 0, 1)
    weight: Layer = (rise * rise * (3 - 2 * rise)).astype(np.float32)
    return weight


def _depth(mask: Mask) -> Layer:
    """Return how many pixels each pixel lies inside a mask (h, w)."""
    # The picture is continued at its edge: a mask that touches the edge does not end there.
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    if padded.all():
        return np.full(mask.shape, max(mask.shape), np.float32)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    return np.asarray(depth[1:-1, 1:-1], np.float32)


def neutral_placebos(
    image: RGB, edited: Edited, rng: np.random.Generator, thing: str, ground: str
) -> tuple[Placebo, Placebo]:
    """Return the two neutral placebos of an edit.

    The ground covers the same place and leaves nothing to see, but changes less. Texture changes
    the place by about as much. Their titles call them `thing`, "a ring", and the picture's own
    ground `ground`, "skin".
    """
    mask = edited.mask
    strength = rms_change(image, edited.image, mask)
    return (
        Placebo(ground, f"{thing} of {ground} colour", continued(image, mask, rng)),
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
    """Lay a smooth texture over a mask (h, w), which it changes by `strength`.

    `strength` is a root mean square in levels of 255. The texture is lighter and darker in the
    colour of the picture, and its spots are as wide as the mask. If nothing smooth changes the
    picture by that much, the change is as large as it can be. It fades with `weight` (h, w), or at
    the edge of the mask if there is none.
    """
    height, width = image.shape[:2]
    if not mask.any() or strength <= 0:
        return image.copy()
    side = max(height, width)
    grain = min(GRAIN * side, 0.6 * float(_depth(mask).max()))
    noise = smooth_noise(height, width, grain, rng)
    # Equally light and dark within the mask, even if only a few spots lie there.
    noise = noise - noise[mask].mean()
    noise = np.clip(noise / max(float(noise[mask].std()), 1e-3), -1.2, 1.2)
    tint = skin_colour(image, mask)
    faded = noise * (feathered(mask) if weight is None else weight)
    tone = tint / max(float(tint.mean()), 1.0)
    ys, xs = np.nonzero(mask)
    every = slice(None, None, max(1, len(ys) // MAX_PIXELS))
    before = image[ys[every], xs[every]].astype(np.float32)
    sample = faded[ys[every], xs[every]][..., None] * tone

    def enough(amplitude: float) -> bool:
        after = np.clip(before + amplitude * sample, 0, 255)
        return float(np.sqrt(((after - before) ** 2).mean())) >= strength

    _, amplitude = bisected(enough, *AMPLITUDES, HALVINGS, geometric=True)
    out, box = image.copy(), box_of(mask)  # nothing changes outside
    out[box] = rounded(image[box] + amplitude * (faded[box][..., None] * tone))
    return out
