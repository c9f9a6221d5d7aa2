"""Mask files: they mark which pixels of an image are lesion, or an artifact."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from melaudit.artifacts.interface import Mask
from melaudit.errors import DatasetError
from melaudit.images.files import Omissions, image_files, stem_of
from melaudit.images.imagefile import read_image
from melaudit.wording.names import visible

ENDINGS = ("_segmentation", "_mask", "_lesion")
"""Endings of the names of mask files in ISIC, HAM10000 and PH2."""
MAX_UNMARKED = 127
"""Level up to which a pixel is not marked; in a mask of 0 and 1, 1 is marked."""
TOLERANCE = 0.02
"""Relative difference that aspect ratios may have, because shrinking rounds. Chosen: a round
figure, not measured."""


@dataclass(frozen=True, eq=False)
class Masks:
    """The mask file of each of n images."""

    paths: tuple[str | None, ...]
    """(n,) None for an image without a mask."""

    def read(self, row: int, shape: tuple[int, int]) -> Mask | str | None:
        """Return a mask of this shape (h, w), None if there is no mask, or why it cannot be used.

        Reasons: unreadable, of_other_proportions.
        """
        path = self.paths[row]
        return None if path is None else read_mask(path, shape)

    @property
    def count(self) -> int:
        """Number of images that have a mask."""
        return sum(path is not None for path in self.paths)

    def update(self, digest: hashlib._Hash) -> None:
        """Add the content of every mask to a hash, so that other masks make another run."""
        for row, path in enumerate(self.paths):
            if path is not None:
                digest.update(f"{row}\0".encode())
                digest.update(_content(path))


def open_masks(folder: Path, ids: Sequence[str], what: str) -> Masks:
    """Find the mask of each image (n ids) below a folder, by name.

    A mask has the name of its image, with any image extension and perhaps one of `ENDINGS`. `what`
    is what error messages call the masks. Raises DatasetError if the folder does not exist, or none
    of its files fits an image.
    """
    if not folder.is_dir():
        raise DatasetError(f"the folder of {what} {folder} does not exist")
    root = os.path.realpath(folder)
    omitted = Omissions()
    files = image_files(root, omitted)
    matched = match(files, ids)
    if not any(matched):
        seen = f" ({', '.join(map(visible, sorted(files)[:3]))})" if files else ""
        raise DatasetError(
            f"none of the {len(files)} files in the folder of {what} {folder}{seen} is named as an "
            f"image of the data ({', '.join(ids[:3])}); a mask is a PNG with the image's name, or "
            f"with that and {' or '.join(ENDINGS)}"
        )
    return Masks(tuple(None if file is None else f"{root}/{file}" for file in matched))


def match(files: Iterable[str], ids: Sequence[str]) -> list[str | None]:
    """Return the mask file of each image; None if there is none, or several fit.

    The whole path is compared first, then the plain name if only one image has it.
    """
    ways: dict[str, str | None] = {}
    for file in files:
        stem = stem_of(visible(file))[0]
        for ending in ENDINGS:
            stem = stem.removesuffix(ending)
        for way in {stem, _last(stem)}:
            ways[way] = None if way in ways else file
    stems = [stem_of(identity)[0] for identity in ids]
    named = Counter(map(_last, stems))
    return [
        ways.get(stem) or (ways.get(_last(stem)) if named[_last(stem)] == 1 else None)
        for stem in stems
    ]


def read_mask(path: str | Path, shape: tuple[int, int]) -> Mask | str:
    """Read a mask and resize it to `shape` (h, w), or return why it cannot be used."""
    decoded = read_image(path)
    if decoded.image is None:
        return "unreadable"
    values = decoded.image.max(2)
    mask: Mask = values > (MAX_UNMARKED if values.max() > 1 else 0)
    if mask.shape == shape:
        return mask
    (height, width), (h, w) = mask.shape, shape
    if abs(height * w - width * h) > TOLERANCE * max(height * w, width * h):
        return "of_other_proportions"
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    resized: Mask = np.asarray(picture.resize((w, h), Image.Resampling.BOX)) > MAX_UNMARKED
    return resized


def _last(stem: str) -> str:
    return stem.rpartition("/")[2]


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:  # counted as unreadable when its image is read
        return b"unreadable"
