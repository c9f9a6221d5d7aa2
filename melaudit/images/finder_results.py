"""The results of the finders for a batch of images, packed to travel between processes.

A mask takes one bit per pixel, or one bool if it is the same everywhere, as most masks are.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.held import find
from melaudit.artifacts.interface import RGB, Artifact, Found
from melaudit.artifacts.picture import copies_kept


@dataclass(frozen=True)
class PackedFound:
    """The result of one finder for one image, packed."""

    score: float
    present: bool
    shape: tuple[int, int]
    """Height and width of the mask."""
    mask: bool | NDArray[np.uint8]
    """The bits of the mask, row by row; one bool if all of them are the same."""


class FinderResults(Mapping[str, Sequence[Found]]):
    """Artifact id -> result for each image (N,); unpacked when an artifact is asked for."""

    def __init__(self, packed: Mapping[str, Sequence[PackedFound]]) -> None:
        self._packed = packed

    def __getitem__(self, artifact: str) -> Sequence[Found]:
        return [unpack(each) for each in self._packed[artifact]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def picklable(artifacts: Sequence[Artifact]) -> tuple[Artifact, ...]:
    """Return the artifacts that can be sent to another process."""
    able: list[Artifact] = []
    for artifact in artifacts:
        with contextlib.suppress(Exception):  # third-party artifacts can hold anything
            pickle.dumps(artifact)
            able.append(artifact)
    return tuple(able)


def find_all(artifacts: Sequence[Artifact], images: Iterable[RGB]) -> dict[str, list[PackedFound]]:
    """Look for artifacts in images: artifact id -> result for each image (N,).

    An artifact whose finder fails is left out. Whoever asks for it runs the finder again, and gets
    the error where it can be reported.
    """
    results: dict[str, list[PackedFound]] = {artifact.id: [] for artifact in artifacts}
    for image in images:
        with copies_kept([image]):
            for artifact in artifacts:
                if artifact.id in results:
                    try:
                        results[artifact.id].append(pack(find(artifact, image)))
                    except Exception:  # a finder may be anybody's
                        del results[artifact.id]
    return results


def pack(found: Found) -> PackedFound:
    """Pack the result of a finder.

    Raises ValueError if its mask is not (h, w) of type bool.
    """
    mask = np.asarray(found.mask)
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(
            f"got a mask of shape {mask.shape} and type {mask.dtype}; a finder must return a mask "
            "(h, w) of type bool"
        )
    same = mask.all() or not mask.any()
    bits = bool(mask.size and mask.flat[0]) if same else np.packbits(mask)
    return PackedFound(found.score, found.present, (mask.shape[0], mask.shape[1]), bits)


def unpack(packed: PackedFound) -> Found:
    """Return the result that was packed."""
    if isinstance(packed.mask, bool):
        mask = np.full(packed.shape, packed.mask)
    else:
        size = packed.shape[0] * packed.shape[1]
        mask = np.unpackbits(packed.mask, count=size).view(np.bool_).reshape(packed.shape)
    return Found(packed.score, packed.present, mask)
