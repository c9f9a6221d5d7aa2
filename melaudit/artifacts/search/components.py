"""Connected components of a mask: how many, which pixel is in which, and how large they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Mask

MAX_SHORT = 2**16 - 1
"""The largest number of a component that 16 bits hold."""


class Components(NamedTuple):
    """The connected components of a mask (h, w); component 0 is all that is not set."""

    number: int
    """How many there are, component 0 among them."""
    label: NDArray[Any]
    """(h, w) the component of each pixel, of 16 or 32 bits."""
    stats: NDArray[np.int32]
    """(number, 5) left, top, width, height and area; see cv2.CC_STAT_LEFT and the others."""
    middle: NDArray[np.float64]
    """(number, 2) x and y."""


def components(mask: Mask | NDArray[np.uint8], connectivity: int = 8) -> Components:
    """Return the connected components of what is not 0 in a mask (h, w).

    connectivity: 8, where corners join, or 4.
    """
    # With numbers of 16 bits OpenCV takes a third of the time, and finds the same.
    height, width = mask.shape
    most = -(-height // 2) * -(-width // 2) if connectivity == 8 else -(-height * width // 2)
    kind = cv2.CV_16U if most <= MAX_SHORT else cv2.CV_32S
    binary = mask.astype(np.uint8, copy=False)
    number, label, stats, middle = cv2.connectedComponentsWithStats(
        binary, connectivity=connectivity, ltype=kind
    )
    return Components(number, label, np.asarray(stats, np.int32), np.asarray(middle, np.float64))
