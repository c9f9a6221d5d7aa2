"""Images in two halves, and the groups that a fit balances.

One half is for fitting, the other for the proof. All images of a patient are in the same half. A
group is a class with or without the artifact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Halves:
    """Rows of images, each half in order."""

    fit: Rows
    proof: Rows


def halves(
    labels: Rows, present: Mask, units: NDArray[np.object_], used: Rows, seed: int
) -> Halves:
    """Divide the labelled images (n,) so that both halves have about as many of each group.

    present: (n,) whether an image shows the artifact; units: (n,) the patient; used: rows that the
    audit changed to test the artifact. Patients of these go to the half for fitting, the others, in
    random order, to the half that lacks their groups most.
    """
    group = 2 * labels + present
    _, unit = np.unique(units.astype(str), return_inverse=True)
    known = np.flatnonzero(labels >= 0)
    members: dict[int, list[int]] = {}
    for row in known:
        members.setdefault(int(unit[row]), []).append(int(row))
    first = list(dict.fromkeys(int(u) for u in unit[used] if int(u) in members))
    taken = set(first)
    order = np.random.default_rng(seed).permutation(sorted(members))
    counts = np.zeros((2, 2 * (int(labels.max(initial=0)) + 1)))
    sides: tuple[list[int], list[int]] = ([], [])
    for place, u in enumerate([*first, *(int(u) for u in order if int(u) not in taken)]):
        rows = members[u]
        of = group[rows]
        side = 0
        if place >= len(first):
            ahead = float((counts[0, of] - counts[1, of]).sum())
            side = int(ahead > 0)
        sides[side].extend(rows)
        np.add.at(counts[side], of, 1)
    fit, proof = (np.array(sorted(side), np.int64) for side in sides)
    return Halves(fit, proof)


@dataclass(frozen=True)
class Pool:
    """Pictures to fit on: images as they are, and edited ones."""

    features: NDArray[np.float32]
    """(m, d)."""
    labels: Rows
    """(m,) class."""
    present: Mask
    """(m,) whether the picture shows the artifact, for its own or after an edit."""
    edited: Mask
    """(m,)."""
    units: Rows
    """(m,) number of the patient."""

    @property
    def groups(self) -> Rows:
        """The group (m,) of each picture: its class, and whether it shows the artifact."""
        return 2 * self.labels + self.present

    def take(self, rows: Rows | Mask) -> Pool:
        """Return some of the pictures."""
        return Pool(
            self.features[rows],
            self.labels[rows],
            self.present[rows],
            self.edited[rows],
            self.units[rows],
        )


def balanced(groups: Rows, rng: np.random.Generator) -> Rows:
    """Draw as many pictures of each group (m,) as the smallest has, without replacement."""
    names, sizes = np.unique(groups, return_counts=True)
    least = int(sizes.min())
    drawn = [rng.permutation(np.flatnonzero(groups == name))[:least] for name in names]
    return np.sort(np.concatenate(drawn))
