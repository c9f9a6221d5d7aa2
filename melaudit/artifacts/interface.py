"""What an artifact is: something in the picture that is not the lesion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Found:
    """What a finder saw in one image."""

    score: float
    """0 to 1, higher is surer."""
    present: bool
    """Whether the score passes the finder's own threshold."""
    mask: NDArray[np.bool_]
    """(h, w) True on the artifact; all False when none is seen."""


class Artifact(Protocol):
    """One kind of artifact."""

    id: str
    title: str

    def find(self, image: NDArray[np.uint8]) -> Found:
        """Look for the artifact in an RGB image (h, w, 3) of any size."""
        ...
