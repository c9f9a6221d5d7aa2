"""What image files held when a run began; nothing is measured on or taken over from others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from melaudit.errors import DatasetError
from melaudit.images.imagefile import Decoded, read_image
from melaudit.images.storage.reading import content_of
from melaudit.images.storage.stored import shown
from melaudit.wording.names import visible

_READERS = 8
"""Files that are read at once. Chosen: a round figure, not measured."""
_AT_A_TIME = 512
_BYTES = 32

Contents = NDArray[np.uint8]
"""(n, 32) SHA-256 of the bytes of each file; zeros where they could not be read."""


def contents_of(paths: Sequence[str], advance: Callable[[int], None]) -> Contents:
    """Read the files; `advance` is told how many more are done."""
    found = np.zeros((len(paths), _BYTES), np.uint8)
    with ThreadPoolExecutor(_READERS) as readers:
        for start in range(0, len(paths), _AT_A_TIME):
            some = paths[start : start + _AT_A_TIME]
            for row, content in enumerate(readers.map(content_of, some), start):
                found[row] = _as_row(content)
            advance(len(some))
    return found


def refuse_changed(path: str, content: bytes, expected: Contents | None) -> None:
    """Raise DatasetError if a file held something else, (32,), when the run began."""
    if expected is not None and not np.array_equal(_as_row(content), expected):
        raise DatasetError(
            f"{visible(shown(path))} is no longer the file that it was when the run began. Run "
            "again when nothing writes to the images: all of them are measured again"
        )


def read_unchanged(
    paths: Sequence[str], contents: Contents | None, row: int, white: int
) -> Decoded:
    """Decode a file of several that must hold what it did. Raises DatasetError if it does not."""
    decoded = read_image(paths[row], white=white)
    refuse_changed(paths[row], decoded.content, None if contents is None else contents[row])
    return decoded


def _as_row(content: bytes) -> Contents:
    return np.frombuffer(content or bytes(_BYTES), np.uint8)
