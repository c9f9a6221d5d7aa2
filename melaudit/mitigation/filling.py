"""The pictures to fit on: images as they are, and edited ones where a group has too few.

Where a class hardly shows the artifact, no fit can learn that it does not matter. Then the artifact
is put into images of that class, and into as many of every other class, so that the edit itself
goes with no class; and taken out likewise, where a class hardly ever lacks it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from melaudit.artifacts.interface import Artifact, Phrases
from melaudit.mitigation.groups import Mask, Pool, Rows
from melaudit.mitigation.views import Eyes, View
from melaudit.wording.sentences import many

MIN_GROUP = 30
"""Images as they are below which a group is filled. Chosen, not measured."""
MAX_EDITED = 100
"""Pictures of each class that are edited for one group, at most. Limits the time."""


@dataclass(frozen=True)
class Filled:
    """What there is to fit on, and the same for a placebo mitigation."""

    pool: Pool
    placebo: Pool
    """Of the same size: the artifact's labels shuffled, a meaningless edit in place of it."""
    counts: tuple[tuple[str, int], ...]
    """Group in words -> pictures, edited ones apart."""
    said: str
    """Which groups were filled and how; "" where none was."""


@dataclass(frozen=True)
class Known:
    """What is known of the images of the half for fitting."""

    labels: Rows
    present: Mask
    units: Rows
    """(n,) of all images: class, whether it shows the artifact, number of the patient."""
    classes: tuple[str, ...]
    phrases: Phrases
    seed: int


def gathered(eyes: Eyes, artifact: Artifact, natural: View, known: Known) -> Filled:
    """Return the pictures to fit on: `natural`, and edited ones where groups are thin."""
    rows, labels, present = natural.rows, known.labels, known.present
    counts = np.array(
        [
            [int(((labels[rows] == c) & (present[rows] == a)).sum()) for a in (0, 1)]
            for c in range(len(known.classes))
        ]
    )
    parts = [_part(natural, known, present[rows], edited=False)]
    stand_ins = [_part(natural, known, _shuffled(present[rows], known.seed), edited=False)]
    said = []
    if (counts[:, 1] < MIN_GROUP).any():
        put = eyes.put_in(artifact, _some(rows[~present[rows]], known), known.seed)
        parts.append(_part(put.added, known, np.ones(len(put.added), bool), edited=True))
        instead = put.placebos[0] if put.placebos else natural.of(put.added.rows)
        stand_ins.append(_part(instead, known, np.ones(len(instead), bool), edited=True))
        said.append(_said(known, counts[:, 1], put.added, has=True))
    if (counts[:, 0] < MIN_GROUP).any():
        taken = eyes.taken_out(artifact, _some(rows[present[rows]], known))
        if len(taken):
            parts.append(_part(taken, known, np.zeros(len(taken), bool), edited=True))
            instead = natural.of(taken.rows)
            stand_ins.append(_part(instead, known, np.zeros(len(instead), bool), edited=True))
            said.append(_said(known, counts[:, 0], taken, has=False))
    pool = _joined(parts)
    return Filled(pool, _joined(stand_ins), _counted(pool, known), " ".join(said))


def _some(rows: Rows, known: Known) -> Rows:
    """Choose at most `MAX_EDITED` images of each class."""
    labels = known.labels[rows]
    rng = np.random.default_rng([known.seed, 2])
    chosen = [
        rng.permutation(rows[labels == label])[:MAX_EDITED] for label in range(len(known.classes))
    ]
    out: Rows = np.sort(np.concatenate(chosen))
    return out


def _shuffled(present: Mask, seed: int) -> Mask:
    return np.random.default_rng([seed, 3]).permutation(present)


def _part(view: View, known: Known, present: Mask, *, edited: bool) -> Pool:
    return Pool(
        view.features,
        known.labels[view.rows],
        present,
        np.full(len(view), edited),
        known.units[view.rows],
    )


def _joined(parts: list[Pool]) -> Pool:
    return Pool(
        np.concatenate([p.features for p in parts]),
        np.concatenate([p.labels for p in parts]),
        np.concatenate([p.present for p in parts]),
        np.concatenate([p.edited for p in parts]),
        np.concatenate([p.units for p in parts]),
    )


def _counted(pool: Pool, known: Known) -> tuple[tuple[str, int], ...]:
    phrases = known.phrases
    out = []
    for label, name in enumerate(known.classes):
        for shown in (False, True):
            for edited in (False, True):
                of = (pool.labels == label) & (pool.present == shown) & (pool.edited == edited)
                done = f" ({phrases.thing} {'put in' if shown else 'taken out'})" if edited else ""
                if of.any():
                    state = phrases.having if shown else phrases.lacking
                    out.append((f"{name}, {state}{done}", int(of.sum())))
    return tuple(out)


def _said(known: Known, counts: Rows, view: View, *, has: bool) -> str:
    """Say which groups were thin and what they were filled with."""
    phrases = known.phrases
    state = phrases.having if has else phrases.lacking
    thin = [
        f"{many(int(n), f'{state} image')} of {name}"
        for name, n in zip(known.classes, counts, strict=True)
        if n < MIN_GROUP
    ]
    of = [
        f"{int((known.labels[view.rows] == label).sum()):,} of {name}"
        for label, name in enumerate(known.classes)
    ]
    done = "put into" if has else "taken out of"
    said = (
        f"Among the images to fit on are only {' and '.join(thin)}, so the {phrases.thing} was "
        f"{done} others: {', '.join(of)}."
    )
    alike = " Every class has such pictures, so that the edit itself goes with none."
    return said + alike if has else said
