"""Put a region of one picture into the same place of another one.

The region fades in over its rim, and keeps its own colours. Poisson blending (Perez et al. 2003),
which levels them to the picture around, was tried: a black ring became skin. On 24 photographs with
a ring put in, its visual words were seen again in 29 % of them, and in 96 % as it is done here; of
three other parts in 4 to 8 %, and in 21 to 38 %. What skin and light of the other picture do by
themselves is for placebos to tell.
"""

from __future__ import annotations

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.picture import blended

FADE = 0.012
"""Standard deviation of the rim over which a region fades in, as a share of the longer side.
Chosen: a round figure, not measured."""


def transplanted(image: RGB, donor: RGB, region: Mask, dose: float = 1.0) -> RGB:
    """Return an image (h, w, 3) with a region (h, w) of a donor of any size in its place.

    The dose is the opacity of the region.
    """
    if not region.any() or dose == 0:
        return image.copy()
    height, width = region.shape
    kernel = cv2.INTER_AREA if donor.shape[0] > height else cv2.INTER_LINEAR
    source = cv2.resize(np.ascontiguousarray(donor), (width, height), interpolation=kernel)
    weight = cv2.GaussianBlur(region.astype(np.float32), (0, 0), max(FADE * max(region.shape), 0.5))
    return blended(image, np.asarray(source, np.float32), np.float32(dose) * weight)
