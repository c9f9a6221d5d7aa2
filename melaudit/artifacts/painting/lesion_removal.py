"""A picture of skin without its lesion, to see what an artifact does on its own.

In dermoscopy the lesion lies in the middle, so the middle is covered with the skin around it. If a
lesion fills the picture, a part of it stays; the caller can tell, because it knows what the model
makes of the skin alone.
Reference: Bissoto et al. 2019, "(De)Constructing bias on skin lesion datasets".
"""

from __future__ import annotations

import numpy as np

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.painting.inpainting import continued

REACH = 0.8
"""Radius that is covered, as a share of half the side. Chosen: a round figure, not measured."""


def without_lesion(image: RGB, rng: np.random.Generator) -> RGB:
    """Cover the middle of an image (h, w, 3) with the skin around it, mottled as that skin is."""
    return continued(image, middle(*image.shape[:2]), rng)


def middle(height: int, width: int) -> Mask:
    """Return a mask (height, width), True in the ellipse in the middle where lesions lie."""
    y = (np.arange(height)[:, None] + 0.5) / height * 2 - 1
    x = (np.arange(width)[None] + 0.5) / width * 2 - 1
    return np.asarray(np.hypot(y, x) < REACH, np.bool_)
