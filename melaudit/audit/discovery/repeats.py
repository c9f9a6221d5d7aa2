"""Whether a candidate is what is known already, so that it need not be tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.discovery.made import Candidate, Made, SeenMasks
from melaudit.audit.discovery.parts import Part
from melaudit.detectors.discovered import DiscoveredDetector
from melaudit.detectors.interface import Detector, artifacts_of
from melaudit.detectors.rungs.dependence import Dependence, depend
from melaudit.detectors.rungs.shown import shown
from melaudit.detectors.rungs.stopping import is_clear
from melaudit.measurements import Measurements
from melaudit.statistics.overlap import Masks, jaccard, overlap

SAME_IMAGES = 0.5
"""Jaccard index of the images that show two things from which these may be one. Chosen, not
measured."""
SAME_PLACE = 0.5
"""Share of the smaller one that lies in the other from which they are one: one half."""
MAX_COMPARED = 400
"""Images on which two places are compared, about; evenly spread. Limits the time."""

Bools = NDArray[np.bool_]


def acts(use: Dependence) -> bool:
    """Tell whether an artifact seems to move decisions."""
    return any(effect.turns or effect.moves for effect in use.effects)


def acts_clearly(detector: DiscoveredDetector, table: Measurements) -> bool:
    """Tell whether what was discovered moves decisions to its class clearly in its own trial.

    By the p-value `stopping.CLEAR`, before correction over the run. Else it is tried on the other
    half, too.
    """
    use = depend(table, detector.id, detector.artifact.phrases)
    if not isinstance(use, Dependence) or use.add is None:
        return False
    return is_clear(use.add) and use.classes[use.target] == detector.origin.predicted


def called_alike(made: Made, clear: DiscoveredDetector) -> bool:
    """Tell whether two things are known to be the same, and of the same class."""
    own, other = made.origin, clear.origin
    name, known = (each.split(".")[0] for each in (made.artifact.id, clear.id))
    return own.named and other.named and (name, own.predicted) == (known, other.predicted)


def in_place_of(
    candidate: Candidate,
    tested: Bools,
    table: Measurements,
    detectors: Sequence[Detector],
    used: Callable[[Dependence], bool] = lambda use: True,
) -> str:
    """Return the things of an artifact that images show there and that the model uses; or ""."""
    sought = artifacts_of(detectors)
    for artifact in sought:
        try:
            every = shown(artifact, table, sought)
            masks = None if artifact.whole_picture else table[f"{artifact.id}.mask"]
        except KeyError:  # its detector failed in the pass
            continue
        for each in every:
            if masks is None:  # all over a picture: a part or a look of these images may be it
                same = jaccard(each.present[tested], candidate.present[tested]) >= SAME_IMAGES
            else:
                same = _one(candidate, each.present, masks, tested)
            if not same:
                continue
            use = depend(table, each.key, each.artifact.phrases)
            if isinstance(use, Dependence) and used(use):
                return each.artifact.phrases.things
    return ""


def in_one_place(part: Part, candidate: Candidate, some: Bools) -> bool:
    """Tell whether two things are one: on the same of some images (n,), in one place."""
    masks = candidate.masks
    return masks is not None and _one(part, candidate.present, masks, some)


def _one(thing: Part | Candidate, present: Bools, masks: Masks, some: Bools) -> bool:
    """Tell whether a thing is what images (n,) show: on the same of some, in one place.

    masks: (n, GRID, GRID) where they show it, above 0. A look has no place.
    """
    if thing.places is None or jaccard(present[some], thing.present[some]) < SAME_IMAGES:
        return False
    rows = np.flatnonzero(present & thing.present & some)
    few = rows[:: max(1, len(rows) // MAX_COMPARED)]
    return overlap(masks, SeenMasks(thing.present, thing.places), few) >= SAME_PLACE
