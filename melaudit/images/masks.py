"""Masks: files that mark which pixels of an image are lesion, or an artifact."""

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
"""What mask files have after the image's name in ISIC, HAM10000 and PH2."""
WHITE = 127
"""Grey value above which a pixel is marked; a mask of 0 and 1 is marked from 1 on."""
LEEWAY = 0.02
"""By how much proportions may differ: rounding when an image was shrunk."""


@dataclass(frozen=True, eq=False)
class Masks:
    """The mask file of each of n images."""

    paths: tuple[str | None, ...]
    """(n,) None for an image that has none."""

    def read(self, row: int, shape: tuple[int, int]) -> Mask | str | None:
        """Return a mask as large as the image (h, w), None without one, or why it is no use.

        Reasons: unreadable, of_other_proportions.
        """
        path = self.paths[row]
        return None if path is None else read_mask(path, shape)

    @property
    def count(self) -> int:
        """How many images have a mask."""
        return sum(path is not None for path in self.paths)

    def update(self, digest: hashlib._Hash) -> None:
        """Add every image's mask to a hash: two runs are alike only if their masks are."""
        for row, path in enumerate(self.paths):
            if path is not None:
                digest.update(f"{row}\0".encode())
                digest.update(_content(path))


def open_masks(folder: Path, ids: Sequence[str], what: str) -> Masks:
    """Find the mask of each image (n ids) below a folder, by the image's name.

    A mask is named as its image, with any extension of an image and perhaps one of `ENDINGS`.
    Raises DatasetError when the folder is not there or none of its files fits an image; `what`
    names the masks in it.
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
    """Return, for each image, the one mask file that is named as it is; None without or in doubt.

    Folders count where they agree; else the plain name, if only one image has it.
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
    """Read a mask as a view of `shape` (h, w); or say why it is no use."""
    decoded = read_image(path)
    if decoded.image is None:
        return "unreadable"
    values = decoded.image.max(2)
    mask: Mask = values > (WHITE if values.max() > 1 else 0)
    if mask.shape == shape:
        return mask
    (height, width), (h, w) = mask.shape, shape
    if abs(height * w - width * h) > LEEWAY * max(height * w, width * h):
        return "of_other_proportions"
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    resized: Mask = np.asarray(picture.resize((w, h), Image.Resampling.BOX)) > WHITE
    return resized


def _last(stem: str) -> str:
    return stem.rpartition("/")[2]


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:  # counted as unreadable when its image comes up
        return b"unreadable"
