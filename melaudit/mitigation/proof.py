"""What a mitigation did, on images that no step of it has used: pure functions from features.

Both heads are asked about the same pictures, so every change is paired, image by image. Images of
one patient count together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.findings import CueChange, Measured, Paired
from melaudit.logits import predictions
from melaudit.mitigation.head import Head
from melaudit.mitigation.views import PutIn, View
from melaudit.statistics.estimates import COVERAGE, Estimate, paired_mean, paired_share

Rows = NDArray[np.int64]
Values = NDArray[np.float64]

MIN_GROUP = 8
"""Images of a group below which its loss decides nothing. Chosen: as `effect.MIN_EDITED`."""
MIN_GROWTH = 0.05
"""Share of decisions by which another dependence must grow before it is looked at again on further
images, and clearly on these before it is told. Chosen: half of what counts as use,
`effect.MIN_SHARE`; not measured."""


@dataclass(frozen=True)
class Heads:
    """The head before and after."""

    before: Head
    after: Head


@dataclass(frozen=True)
class Images:
    """What is known of the n images."""

    labels: Rows
    classes: tuple[str, ...]
    positive: int | None
    units: NDArray[np.object_]
    """(n,) the patient."""
    seed: int


def called(head: Head, view: View, target: int) -> Values:
    """Return (m,) 1 where a head predicts a class, else 0."""
    out: Values = (predictions(head.logits(view.features)) == target).astype(np.float64)
    return out


def right(head: Head, view: View, labels: Rows) -> Values:
    """Return (m,) 1 where a head predicts the label, else 0."""
    out: Values = (predictions(head.logits(view.features)) == labels[view.rows]).astype(np.float64)
    return out


def flips(head: Head, put: PutIn, natural: View, target: int) -> Values:
    """Return (m,) how each image turns to a class with the artifact put in, beyond the placebo.

    1 where the artifact alone turns it there, -1 where the placebo alone does. The placebo is the
    one that turns most images there; leaving the picture alone is one of them.
    """
    added = put.added
    alone = natural.of(added.rows)
    candidates = [p for p in (*put.placebos, alone) if np.array_equal(p.rows, added.rows)]
    strongest = max((called(head, p, target) for p in candidates), key=lambda of: float(of.mean()))
    return called(head, added, target) - strongest


def cue_change(
    heads: Heads,
    put: PutIn,
    natural: View,
    target: int,
    images: Images,
    *,
    key: str,
    title: str,
    compared: int = 1,
) -> CueChange:
    """Return how far decisions follow an artifact before and after.

    `compared`: of how many artifacts, told from other images, it is asked whether decisions follow
    them more; growth is then clear at the level of all of them together (Bonferroni). It has to be
    clear of what was before and of the placebo: decisions that went the other way before and follow
    nothing now have not taken to it.
    """
    first, second = (flips(head, put, natural, target) for head in (heads.before, heads.after))
    units = images.units[put.added.rows]
    change, after = (paired_mean(v, images.seed, units) for v in (second - first, second))
    share = _paired(first, second, change)
    level = (1 - COVERAGE) / compared
    clear = all(tested.value > 0 and tested.p_value <= level for tested in (change, after))
    return CueChange(
        artifact=key,
        title=title,
        target=images.classes[target],
        flips=share,
        grew=clear and growth(share) >= MIN_GROWTH,
    )


def growth(share: Paired) -> float:
    """Return by how much decisions follow an artifact more than they did, or than not at all."""
    return share.after - max(share.before, 0.0)


def share_right(heads: Heads, view: View, images: Images) -> Paired:
    """Return the share right on pictures (m,) before and after."""
    first, second = (right(head, view, images.labels) for head in (heads.before, heads.after))
    return _paired(first, second, paired_share(second - first, images.units[view.rows]))


def measured(
    heads: Heads, views: Mapping[str, View], images: Images, tolerance: float
) -> tuple[Measured, ...]:
    """Return the share right on each of several sets of pictures, by name; empty ones left out."""
    out = []
    for name, view in views.items():
        if len(view):
            share = share_right(heads, view, images)
            lost = share.n >= MIN_GROUP and -share.change > tolerance + 1e-9
            out.append(Measured(name, share, lost))
    return tuple(out)


def of_class(view: View, labels: Rows, label: int) -> View:
    """Return the pictures of images of one class."""
    return view.of(view.rows[labels[view.rows] == label])


def measure_of(images: Images, label: int) -> str:
    """Return what the share right of a class is called: "sensitivity", "recall of nevus"."""
    if images.positive is None:
        return f"recall of {images.classes[label]}"
    if label == images.positive:
        return "sensitivity"
    return "specificity" if len(images.classes) == 2 else f"recall of {images.classes[label]}"


def reduced_by_half(change: CueChange) -> bool:
    """Tell whether a dependence is clearly less and at most half of what it was."""
    share = change.flips
    return share.falls and share.after <= share.before / 2


def grown(others: Sequence[CueChange]) -> tuple[CueChange, ...]:
    """Return the artifacts that decisions follow clearly more, the largest growth first."""
    return tuple(sorted((o for o in others if o.grew), key=lambda o: -o.flips.change))


def _paired(first: Values, second: Values, change: Estimate) -> Paired:
    return Paired(
        before=float(first.mean()) if len(first) else 0.0,
        after=float(second.mean()) if len(second) else 0.0,
        change=float(second.mean() - first.mean()) if len(first) else 0.0,
        ci_low=change.low,
        ci_high=change.high,
        n=len(first),
    )
