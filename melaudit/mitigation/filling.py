"""The pictures to fit on: images as they are, and edited ones where a group has too few.

Where a class hardly shows the artifact, no fit can learn that it does not matter. Then the artifact
is put into images of that class, and into as many of every other class, so that the edit itself
goes with no class. The placebos of the same images, edits that mean nothing, are fitted on as
images without the artifact, so that what is learned is the artifact and not that something was
edited there. It is taken out likewise, where a class hardly ever lacks it.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    thing = known.phrases.thing
    parts = {"": _part(natural, known, present[rows], edited=False)}
    stand_ins = [_part(natural, known, _shuffled(present[rows], known.seed), edited=False)]
    said = []
    if (counts[:, 1] < MIN_GROUP).any():
        put = eyes.put_in(artifact, _some(rows[~present[rows]], known), known.seed)
        alone = natural.of(put.added.rows)
        instead = put.placebos[0] if put.placebos else alone
        parts[f" ({thing} put in)"] = _edited(put.added, known, has=True)
        stand_ins.append(_edited(instead, known, has=True))
        if put.placebos:
            neutral = _joined([_edited(each, known, has=False) for each in put.placebos])
            parts[f" (placebo of the {thing} put in)"] = neutral
            stand_ins.append(neutral)
        said.append(_said(known, counts[:, 1], put.added, has=True))
    if (counts[:, 0] < MIN_GROUP).any():
        taken = eyes.taken_out(artifact, _some(rows[present[rows]], known))
        if len(taken):
            parts[f" ({thing} taken out)"] = _edited(taken, known, has=False)
            stand_ins.append(_edited(natural.of(taken.rows), known, has=False))
            said.append(_said(known, counts[:, 0], taken, has=False))
    pool = _joined(list(parts.values()))
    return Filled(pool, _joined(stand_ins), _counted(parts, known), " ".join(said))


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


def _edited(view: View, known: Known, *, has: bool) -> Pool:
    """Return edited pictures, all of which show the artifact, or none."""
    return _part(view, known, np.full(len(view), has), edited=True)


def _joined(parts: list[Pool]) -> Pool:
    return Pool(
        np.concatenate([p.features for p in parts]),
        np.concatenate([p.labels for p in parts]),
        np.concatenate([p.present for p in parts]),
        np.concatenate([p.edited for p in parts]),
        np.concatenate([p.units for p in parts]),
    )


def _counted(parts: Mapping[str, Pool], known: Known) -> tuple[tuple[str, int], ...]:
    phrases, out = known.phrases, []
    for label, name in enumerate(known.classes):
        for done, pool in parts.items():
            for shown in (False, True):
                n = int(((pool.labels == label) & (pool.present == shown)).sum())
                state = phrases.having if shown else phrases.lacking
                if n:
                    out.append((f"{name}, {state}{done}", n))
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
    alike = (
        " Every class has such pictures, and pictures with a placebo in that place instead, so "
        "that an edit by itself goes with none."
    )
    return said + alike if has else said
