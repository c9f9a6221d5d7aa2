"""A picture of skin without its lesion, to see what an artifact does on its own.

Dermoscopy puts the lesion in the middle: what lies there is covered with the skin around it. Where
a lesion fills the picture, part of it stays; such pictures are told apart by the caller, who knows
what the model makes of the skin alone.
Reference: Bissoto et al. 2019, "(De)Constructing bias on skin lesion datasets".
"""

from __future__ import annotations

import numpy as np

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.painting.inpainting import continued

REACH = 0.8
"""Radius that is covered, in half sides."""


def without_lesion(image: RGB, rng: np.random.Generator) -> RGB:
    """Cover the middle of an image (h, w, 3) with the skin around it, mottled as that is."""
    return continued(image, middle(*image.shape[:2]), rng)


def middle(height: int, width: int) -> Mask:
    """Return (height, width), True in the ellipse about the centre that lesions lie in."""
    y = (np.arange(height)[:, None] + 0.5) / height * 2 - 1
    x = (np.arange(width)[None] + 0.5) / width * 2 - 1
    return np.asarray(np.hypot(y, x) < REACH, np.bool_)
