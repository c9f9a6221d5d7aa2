"""Structure that recurs at one place of the picture, image after image.

What pictures are of differs from image to image; a watermark, a time stamp or a logo stays where
it is. The measure is not colour but how much detail a place shows against its surroundings, so that
lettering recurs even where its text differs. Objects are in the middle of all images and vignettes
at the edge. So what a place shares with its mirror images and quarter turns is subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from melaudit.measurements import GRID

Array = NDArray[np.float64]

NEIGHBOURHOOD = 9
"""Side, in cells, of the square that counts as the surroundings of a place. Chosen, not
measured."""
FLOOR_FACTOR = 0.25
"""Times the median detail is added before the logarithm, so that noise in plain skin is no
structure. Chosen, not measured."""
MIN_COHERENCE = 0.2
"""Share of a place's structure that must be the same in all images. It is about the share of
images that bear a clear mark. Chosen, not measured."""
MIN_STRUCTURE = 0.4
"""Structure that a place must have on average, on the log scale: 1.5 times the detail of its
surroundings. No place in 1000 real images without a mark has it; weaker structure, where images
hardly differ, passes the other line now and then."""
JOINED = 2
"""Half of the distance, in cells, up to which pieces are one place."""
MIN_CELLS = 2
"""Cells of a place."""
MAX_PLACES = 3
SEPARATION = 3.0
"""Distance of images that bear a mark from others, in standard deviations within them, that
separates them. Chosen, not measured."""


def detail(inputs: Tensor) -> NDArray[np.float16]:
    """Return how much the pixels of images (N, C, H, W) change, on the grid: (N, GRID, GRID)."""
    grey = inputs.float().mean(1, keepdim=True)
    padded = functional.pad(grey, (0, 1, 0, 1), mode="replicate")
    change = (padded[..., :-1, 1:] - grey).abs() + (padded[..., 1:, :-1] - grey).abs()
    pooled = functional.adaptive_avg_pool2d(change, GRID)[:, 0]
    return pooled.clamp(max=6e4).to(torch.float16).cpu().numpy()


def floor_of(details: NDArray[np.float16]) -> float:
    """Return how much detail (n, GRID, GRID) is next to none in these images."""
    return FLOOR_FACTOR * float(np.median(details.astype(np.float64))) or 1.0


def structure(details: NDArray[np.float16], floor: float) -> Array:
    """Return each place's detail against its surroundings, on a log scale: (n, GRID, GRID)."""
    logs = np.log(details.astype(np.float64) + floor)
    size = (0, NEIGHBOURHOOD, NEIGHBOURHOOD)
    out: Array = logs - ndimage.uniform_filter(logs, size, mode="nearest")
    return out


def coherence(structures: Array) -> Array:
    """Return what part of the structure (n, g, g) is the same in all images: (g, g), 0 to 1.

    The energy of the mean over the mean energy, less what n images that have nothing in common
    would reach; before, the median of the other seven places that rotation by 90 degrees and
    reflection lead to is taken off the mean. 0 where less than `MIN_STRUCTURE` is left of it.
    """
    n = len(structures)
    mean = structures.mean(0)
    turned = [np.rot90(m, k) for m in (mean, mean.T) for k in range(4)]
    own = mean - np.median(turned[1:], 0)
    energy = (structures**2).mean(0)
    share: Array = np.where(own >= MIN_STRUCTURE, own**2 / np.maximum(energy, 1e-12), 0.0)
    return np.clip(share - (1 - share) / max(n - 1, 1), 0, 1)


@dataclass(frozen=True)
class Place:
    """A place at which structure recurs."""

    mask: NDArray[np.bool_]
    """(GRID, GRID)."""
    coherence: float
    pattern: Array
    """(cells,) the mean structure there."""
    line: float
    """Part of the pattern from which an image bears it."""

    def bears(self, structures: Array) -> NDArray[np.bool_]:
        """Tell which images bear what recurs, from their structure (n, GRID, GRID)."""
        out: NDArray[np.bool_] = _scores(structures[:, self.mask], self.pattern) > self.line
        return out

    def where(self) -> str:
        """Say in words where it is: "at the lower right", "in the middle"."""
        rows, columns = np.nonzero(self.mask)
        y, x = (rows.mean() + 0.5) / GRID, (columns.mean() + 0.5) / GRID
        vertical = "upper" if y < 1 / 3 else "lower" if y > 2 / 3 else ""
        side = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
        if vertical and side:
            return f"at the {vertical} {side}"
        if vertical:
            return f"at the {'top' if vertical == 'upper' else 'bottom'}"
        return f"at the {side}" if side else "in the middle"


def places(structures: Array) -> list[Place]:
    """Find the places at which structure (n, GRID, GRID) recurs, the clearest first."""
    same = coherence(structures)
    clear = same >= MIN_COHERENCE
    # A rare mark shows in pieces; those that are near each other are one.
    parts, count = ndimage.label(ndimage.binary_dilation(clear, np.ones((3, 3), np.bool_), JOINED))
    found = []
    for part in range(1, count + 1):
        mask = clear & (parts == part)
        if mask.sum() >= MIN_CELLS:
            pattern = structures[:, mask].mean(0)
            line = _line(_scores(structures[:, mask], pattern))
            found.append(Place(mask, float(same[mask].mean()), pattern, line))
    found.sort(key=lambda place: -place.coherence * float(place.mask.sum()))
    return found[:MAX_PLACES]


def _scores(values: Array, pattern: Array) -> Array:
    """Return how much of a pattern (cells,) each image (n, cells) shows; 1 on average."""
    out: Array = values @ pattern / max(float(pattern @ pattern), 1e-12)
    return out


def _line(scores: Array) -> float:
    """Return the score that splits images (n,) into bearers and others.

    Where two groups differ the most (Otsu 1979); half of the mean where no two groups are clearly
    apart, so that all may bear it.
    """
    order = np.sort(scores)
    n = len(order)
    low = np.arange(1, n)
    total = np.cumsum(order)
    below, above = total[:-1] / low, (total[-1] - total[:-1]) / (n - low)
    cut = int((low * (n - low) * (above - below) ** 2).argmax())
    first, second = order[: cut + 1], order[cut + 1 :]
    inside = np.sqrt((first.var() * len(first) + second.var() * len(second)) / n)
    clear = above[cut] - below[cut] >= SEPARATION * inside
    return float((order[cut] + order[cut + 1]) / 2) if clear else 0.5
