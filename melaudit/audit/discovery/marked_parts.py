"""Parts that the finder of a known artifact marks more often in one predicted class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from melaudit.artifacts.interface import Artifact
from melaudit.audit.discovery.parts import Part, by_turns
from melaudit.audit.discovery.seeing import seeing_marked
from melaudit.audit.groups.exclusive import MIN_OTHERS_TO_TEST
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.groups.strategies import smallest_group
from melaudit.measurements import CHUNK, Measurements
from melaudit.statistics.correction import ALPHA

Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]


def marked_parts(table: Measurements, artifacts: Sequence[Artifact], half: Bools) -> list[Part]:
    """Choose what the finders of artifacts mark more in one predicted class, the strongest first.

    On half of the images (n,), by Fisher's exact test. Such a part has the finder's own threshold,
    and is put in as these images show it, not as the artifact is drawn.
    """
    chosen: list[Part] = []
    for artifact in (each for each in artifacts if not each.whole_picture):
        try:
            score, masks = table[f"{artifact.id}.score"], table[f"{artifact.id}.mask"]
            present = np.asarray(table[f"{artifact.id}.present"], bool)
        except KeyError:  # its detector failed in the pass
            continue
        for index in range(len(table.classes)):
            own, others = table.predictions == index, table.of_other_classes(index)
            n, m = int((own & half).sum()), int((others & half).sum())
            if min(n, m) < MIN_OTHERS_TO_TEST:
                continue
            size, rare = int((present & own & half).sum()), int((present & others & half).sum())
            p = hypergeom.sf(size - 1, n + m, size + rare, n)
            if size < smallest_group(n) or p > ALPHA:
                continue
            chosen.append(
                Part(
                    index,
                    np.where(present, 1 + np.asarray(score, np.float64), 0.0),
                    partial(_marked_places, masks),
                    size / n - rare / m,
                    _central_of_masks(masks, np.flatnonzero(present & half)),
                    f"It is what the finder of {artifact.phrases.things} marks, put in as these "
                    "images show it.",
                    partial(seeing_marked, artifact=artifact),
                    fine=True,
                )
            )
    return by_turns(chosen)


def _marked_places(masks: NDArray[np.uint8], rows: Rows) -> Bools:
    return masks[rows] > 0


def _central_of_masks(masks: NDArray[np.uint8], rows: Rows) -> float:
    """Return which share of what is marked in some rows lies in the centre."""
    middle = outside_centre(*masks.shape[1:3]) == 0
    inside = every = 0
    for some in (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)):
        there = masks[some] > 0
        inside, every = inside + int(there[:, middle].sum()), every + int(there.sum())
    return inside / max(1, every)
