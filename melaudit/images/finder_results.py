"""What the finders saw in a batch of images, packed small enough to travel between processes.

A mask takes a bit for each pixel, and nothing at all where it is the same everywhere, as most are.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Artifact, Found


@dataclass(frozen=True)
class Packed:
    """What a finder saw in one image."""

    score: float
    present: bool
    shape: tuple[int, int]
    """Height and width of the mask."""
    mask: bool | NDArray[np.uint8]
    """The mask's bits, row by row; one bool where all are the same."""


class Sightings(Mapping[str, Sequence[Found]]):
    """Artifact -> (N,) what its finder saw; unpacked when asked for, artifact by artifact."""

    def __init__(self, packed: Mapping[str, Sequence[Packed]]) -> None:
        self._packed = packed

    def __getitem__(self, artifact: str) -> Sequence[Found]:
        return [unpacked(each) for each in self._packed[artifact]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def able_to_travel(artifacts: Sequence[Artifact]) -> tuple[Artifact, ...]:
    """Return the artifacts that another process can be handed: those that can be pickled."""
    able: list[Artifact] = []
    for artifact in artifacts:
        with contextlib.suppress(Exception):  # an artifact may be anybody's, and hold anything
            pickle.dumps(artifact)
            able.append(artifact)
    return tuple(able)


def sightings(
    artifacts: Sequence[Artifact], images: Sequence[RGB]
) -> dict[str, tuple[Packed, ...]]:
    """Look for artifacts in images: artifact -> (N,).

    One whose finder fails is left out: whoever asks for it will look again, and meet the error
    where it can be told.
    """
    seen: dict[str, tuple[Packed, ...]] = {}
    for artifact in artifacts:
        with contextlib.suppress(Exception):
            seen[artifact.id] = tuple(packed(artifact.find(image)) for image in images)
    return seen


def packed(found: Found) -> Packed:
    """Pack what a finder saw.

    Raises ValueError for a mask that is none.
    """
    mask = np.asarray(found.mask)
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"a mask is {mask.shape}, {mask.dtype}; expected (h, w) of type bool")
    alike = mask.all() or not mask.any()
    bits = bool(mask.size and mask.flat[0]) if alike else np.packbits(mask)
    return Packed(found.score, found.present, (mask.shape[0], mask.shape[1]), bits)


def unpacked(packed: Packed) -> Found:
    """Return what was packed."""
    if isinstance(packed.mask, bool):
        mask = np.full(packed.shape, packed.mask)
    else:
        size = packed.shape[0] * packed.shape[1]
        mask = np.unpackbits(packed.mask, count=size).view(np.bool_).reshape(packed.shape)
    return Found(packed.score, packed.present, mask)
