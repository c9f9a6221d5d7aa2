"""Edits by other code than the audit's: whether what it claims of a model is true.

Where a plant is of the kind that is claimed, it is put in; for other artifacts, NumPy and Pillow do
what the words of the claim say. Of what an audit discovered away from the middle, and of what is
only known by its looks, the surroundings of images that show it are put around others
(`surrounded`), and one outer ninth of them into the same place of others (`in_place`). A claim is
true when decisions follow, by `FOLLOWS` or more of 100, beyond what a plain edit of the same places
does (`plain`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.photographs.plants import ARTIFACTS, PLANTS, RGB

Edit = Callable[[RGB, np.random.Generator], RGB]

FOLLOWS = 0.05
"""Change of decisions from which a claim is true. Half of what an audit asks for."""
AROUND = (0.65, 0.75)
"""Distance from the centre, of half a side, from which something is around the middle; between the
two it fades in. The square between has half of the picture's area."""
NINTHS = tuple((row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1))
"""Row and column of the outer ninths of a picture."""
SEEN = 8
"""Difference of a channel, of 255, from which a pixel counts as edited."""


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


def _strands(image: RGB, rng: np.random.Generator) -> RGB:
    """Draw thin dark curves all over the picture."""
    height, width = image.shape[:2]
    page = Image.fromarray(image).resize((2 * width, 2 * height))
    pen = ImageDraw.Draw(page)
    t = np.linspace(0, 1, 24)[:, None]
    for _ in range(int(rng.integers(10, 22))):
        ends = rng.uniform(-0.1, 1.1, (3, 2)) * (2 * width, 2 * height)
        curve = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]
        shade = int(rng.integers(15, 60))
        pen.line([(x, y) for x, y in curve.tolist()], (shade, shade - 5, shade - 10), 2)
    return np.asarray(page.resize((width, height), Image.Resampling.BOX))


EDITS: dict[str, tuple[Edit, ...]] = {
    **{artifact: (PLANTS[plant],) for plant, artifact in ARTIFACTS.items()},
    "hair": (PLANTS["hair"], _strands),
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


def plain(image: RGB, edited: RGB) -> RGB:
    """Return an image (h, w, 3) with its own mirrored place wherever it was edited."""
    where = np.abs(edited.astype(int) - image).max(2, keepdims=True) > SEEN
    return np.where(where, image[:, ::-1], image)


def surrounded(image: RGB, donor: RGB) -> RGB:
    """Return an image (h, w, 3) with what lies around the middle of another of the same size."""
    y, x = np.abs(np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j])
    weight = np.clip((np.maximum(y, x) - AROUND[0]) / (AROUND[1] - AROUND[0]), 0, 1)[..., None]
    mixed = (1 - weight) * image + weight * donor
    return np.asarray(mixed + 0.5, np.uint8)


def in_place(image: RGB, donor: RGB, ninth: tuple[int, int]) -> RGB:
    """Return an image (h, w, 3) with one ninth of another of the same size in its place."""
    weights = []
    for length, number in zip(image.shape[:2], ninth, strict=True):
        far = np.abs(np.linspace(0, 3, length) - number - 0.5)
        weights.append(np.clip((0.65 - far) / 0.15, 0, 1))
    rows, columns = (np.flatnonzero(weight) for weight in weights)
    place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    weight = np.outer(*weights)[place][..., None]
    out = image.copy()
    mixed = (1 - weight) * image[place] + weight * donor[place]
    out[place] = np.asarray(mixed + 0.5, np.uint8)
    return out


def edits_for(finding: str, artifact: str) -> tuple[Edit, ...]:
    """Return the edits that try a claim; none where there is no such edit."""
    return EDITS.get(finding) or EDITS.get(artifact) or ()
