"""Candidates are put into images of the half that they were chosen on: what moves decisions first.

What a class shows most of is often what the model does not go by. What a candidate does on this
half proves nothing, for it was chosen there; it says which ones are worth a trial on the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.discovery.made import NOT_NAMED_YET, Candidate
from melaudit.audit.edits.answers import Answers
from melaudit.audit.edits.attempts import beside, neutral, put_in
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.detectors.rungs.trials import log_odds
from melaudit.measurements import Measurements, Trials

SHOWN = 16
"""Images that a candidate is put into. Chosen, not measured."""
FARTHEST = 50.0
"""Log-odds beyond which a change counts as this."""

Logits = NDArray[np.floating]


def pull(
    candidate: Candidate, table: Measurements, laboratory: Laboratory, half: NDArray[np.bool_]
) -> float:
    """Return how far a candidate moves decisions to its class, in log-odds beyond its placebos.

    On images (n,) of the half that it was chosen on, which lack it and are decided otherwise.
    """
    free = half & ~candidate.present & (table.predictions != candidate.predicted)
    rows = np.random.default_rng(table.seed).permutation(np.flatnonzero(free))[:SHOWN]
    if not len(rows):
        return -np.inf
    rows = np.sort(rows)
    artifact = candidate.artifact(NOT_NAMED_YET)
    answers = Answers()
    answers.ask(laboratory, put_in(artifact, rows, laboratory, table.seed))
    answers.ask(laboratory, beside(artifact, rows, laboratory, table.seed, neutral))
    if not answers.kept:
        return -np.inf
    trials = answers.trials()
    moved = {each.id: _moved(trials, each.id, candidate.predicted) for each in trials.edits}
    return moved.pop("add") - max(moved.values())


def shifts(before: Logits, after: Logits, target: int) -> NDArray[np.float64]:
    """Return how far log-odds of a class move between logits (m, K): (m,), `FARTHEST` at most.

    What is no number counts as no change.
    """
    change = np.nan_to_num(log_odds(after, target) - log_odds(before, target))
    shifted: NDArray[np.float64] = np.clip(change, -FARTHEST, FARTHEST)
    return shifted


def _moved(trials: Trials, edit: str, target: int) -> float:
    at = trials.of(edit)
    change = shifts(trials.before[at], trials.after[at], target)
    return float(change.mean()) if len(at) else 0.0
