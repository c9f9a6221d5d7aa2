"""Overlap: how much groups of the same things have in common (Jaccard 1912), and places."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CHUNK = 256
"""Masks held in memory at a time."""


class Masks(Protocol):
    """Masks (n, h, w), above 0 where something is, read by rows."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[Any]:
        """Return the masks (k, h, w) of rows (k,)."""
        ...


def jaccard(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the Jaccard index of two groups given as masks (n,): members of both over members.

    0 where both are empty.
    """
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else 0.0


def like_none(members: NDArray[np.bool_], known: Iterable[NDArray[np.bool_]], alike: float) -> bool:
    """Tell whether the Jaccard index of a group with each of some others lies below `alike`."""
    return all(jaccard(members, each) < alike for each in known)


def overlap(first: Masks, second: Masks, rows: NDArray[np.int64]) -> float:
    """Return the share of the smaller of two things that lies in the other, over rows of masks.

    The overlap coefficient (Szymkiewicz 1934, Simpson 1943); 0 where one of them has no place.
    """
    shared = one = other = 0
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        a, b = first[chunk] > 0, second[chunk] > 0
        shared, one, other = shared + int((a & b).sum()), one + int(a.sum()), other + int(b.sum())
    return shared / min(one, other) if min(one, other) else 0.0


def pairwise_jaccard(
    first: NDArray[np.int64], second: NDArray[np.int64], groups: int
) -> NDArray[np.float64]:
    """Return the Jaccard index (groups, m) of every group of one labelling with every of another.

    first, second: (n,) the group that each thing is in, from 0 up to below `groups` and m; what is
    below 0 is in none. NaN where the first labelling has nothing of a group.
    """
    others = int(second.max(initial=-1)) + 1
    both = (first >= 0) & (second >= 0)
    shared = np.zeros((groups, others))
    np.add.at(shared, (first[both], second[both]), 1)
    mine = np.bincount(first[first >= 0], minlength=groups).astype(float)[:, None]
    theirs = np.bincount(second[second >= 0], minlength=others)[None]
    return shared / np.where(mine > 0, mine + theirs - shared, np.nan)
