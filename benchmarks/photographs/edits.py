"""Edits by other code than the audit's: whether what it claims of a model is true.

Where a plant is of the kind that is claimed, it is put in; for other artifacts, NumPy and Pillow do
what the words of the claim say. A claim is true when decisions follow, by `FOLLOWS` or more of 100,
beyond what a plain edit of as much of the picture does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.photographs.plants import ARTIFACTS, PLANTS, RGB

Edit = Callable[[RGB, np.random.Generator], RGB]

FOLLOWS = 0.05
"""Change of decisions from which a claim is true. Half of what an audit asks for."""


def _radius(image: RGB) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(np.hypot(x, y))


def _scaled(image: RGB, factor: object) -> RGB:
    scaled = image.astype(np.float64) * np.asarray(factor)
    return np.asarray(np.clip(scaled + 0.5, 0, 255), np.uint8)


def _vignette(image: RGB, rng: np.random.Generator) -> RGB:
    shade = 1 - np.clip((_radius(image) - 0.6) / 0.8, 0, 1) * rng.uniform(0.6, 0.9)
    return _scaled(image, shade[..., None])


def _darker(image: RGB, rng: np.random.Generator) -> RGB:
    return _scaled(image, rng.uniform(0.5, 0.65))


def _lighter(image: RGB, rng: np.random.Generator) -> RGB:
    return _scaled(image, rng.uniform(1.25, 1.4))


def _framed(level: int) -> Edit:
    def edit(image: RGB, rng: np.random.Generator) -> RGB:
        out, band = image.copy(), round(image.shape[0] * float(rng.uniform(0.06, 0.11)))
        out[:band], out[-band:], out[:, :band], out[:, -band:] = level, level, level, level
        return out

    return edit


def _tinted(red: float, green: float, blue: float) -> Edit:
    return lambda image, rng: _scaled(image, np.array([red, green, blue]))


def _small(image: RGB, rng: np.random.Generator) -> RGB:
    page = Image.fromarray(image)
    less = page.resize((image.shape[1] // 3, image.shape[0] // 3), Image.Resampling.BILINEAR)
    return np.asarray(less.resize(page.size, Image.Resampling.BILINEAR))


EDITS: dict[str, tuple[Edit, ...]] = {
    **{artifact: (PLANTS[plant],) for plant, artifact in ARTIFACTS.items()},
    "vignette": (_vignette,),
    "brightness": (_darker, _lighter),
    "white_frame": (_framed(255),),
    "black_border": (_framed(0),),
    "picture_size": (_small,),
    "colour_cast.bluish": (_tinted(0.82, 1.0, 1.15), PLANTS["white_balance"]),
    "colour_cast.pinkish": (_tinted(1.12, 0.9, 1.02),),
    "colour_cast.yellowish": (_tinted(1.05, 1.02, 0.82),),
    "colour_cast.greenish": (_tinted(0.9, 1.1, 0.92),),
}
"""What an audit names in a claim -> edits that do what the claim says, any of which will do."""


def edits_for(finding: str, artifact: str) -> tuple[Edit, ...]:
    """Return the edits that try a claim; none where there is no such edit."""
    return EDITS.get(finding) or EDITS.get(artifact) or ()
