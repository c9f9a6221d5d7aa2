"""Overlap: how much groups of the same things have in common (Jaccard 1912)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def jaccard(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the Jaccard index of two groups given as masks (n,): members of both over members.

    0 where both are empty.
    """
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else 0.0


def like_none(members: NDArray[np.bool_], known: Iterable[NDArray[np.bool_]], alike: float) -> bool:
    """Tell whether the Jaccard index of a group with each of some others lies below `alike`."""
    return all(jaccard(members, each) < alike for each in known)


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
