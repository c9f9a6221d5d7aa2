"""Controls on the user's own model and data: would this audit raise a false alarm, miss a true one?

Negative controls put the audit's own tests to what is certainly nothing: shuffled labels, regions
laid on images that do not show them. The positive one plants evidence of known strength in the
model's own answers and asks how weak it may be and still be found.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from melaudit.detectors.artifact import MIN_WITH_ARTIFACT
from melaudit.detectors.measures.regions import Stratum, excess
from melaudit.detectors.rungs.attention import looks
from melaudit.detectors.rungs.effect import MIN_EDITED, MIN_SHARE
from melaudit.detectors.rungs.opportunity import associate
from melaudit.detectors.rungs.trials import log_odds, turned
from melaudit.findings import Control
from melaudit.measurements import Measurements
from melaudit.statistics.correction import ALPHA, settle
from melaudit.wording.sentences import many, percent, points

DRAWS = 20
"""Shuffles of the labels, and draws of null regions. Chosen, not measured."""
MAX_MAPS = 60
"""Images with null regions, and as many to compare them with, at most. Limits the time."""
STRENGTHS = tuple(np.linspace(0.25, 8.0, 32))
"""Log-odds that are planted, weakest first."""
PLANTED_DRAWS = 40
"""Audits that are simulated for each strength."""
POWER = 0.8
"""Share of them in which a strength must be found: the usual power of a study (Cohen 1988)."""

RowMask = NDArray[np.bool_]


def controls(table: Measurements, present: Mapping[str, RowMask]) -> tuple[Control, ...]:
    """Run all controls that these measurements allow; `present`: artifact -> (n,)."""
    frequent = {
        name: rows
        for name, rows in present.items()
        if MIN_WITH_ARTIFACT <= rows.sum() <= len(rows) - MIN_WITH_ARTIFACT
    }
    found = (
        _shuffled_labels(table, frequent),
        _null_regions(table, frequent),
        _planted_evidence(table),
    )
    return tuple(control for control in found if control is not None)


def _shuffled_labels(table: Measurements, present: Mapping[str, RowMask]) -> Control | None:
    """Count the shuffles of the labels in which any artifact seems to go with a class."""
    labels = table.labels
    if not present or not 0 < (labels >= 0).sum():
        return None
    rng = np.random.default_rng(table.seed)
    alarms = 0
    for _ in range(DRAWS):
        shuffled = labels.copy()
        known = np.flatnonzero(labels >= 0)
        shuffled[known] = rng.permutation(labels[known])
        # Correction only raises p-values: what is above the level before it is not reached.
        tried = [associate(rows, shuffled, table.classes, ALPHA) for rows in present.values()]
        alarms += any(a.reached for a in settle([a for a in tried if a is not None]))
    return _negative(
        "shuffled_labels",
        "Labels shuffled",
        alarms,
        f"With the labels dealt out at random, {many(len(present), 'artifact')} "
        f"{'was' if len(present) == 1 else 'were'} tested for a link with them",
    )


def _null_regions(table: Measurements, present: Mapping[str, RowMask]) -> Control | None:
    """Lay the masks of the most frequent artifact on images that do not show it."""
    if not table.explanations.usable:
        return None
    placed = {name: rows for name, rows in present.items() if _has_masks(table, name)}
    if not placed:
        return None
    name = max(placed, key=lambda artifact: int(placed[artifact].sum()))
    target = int(np.bincount(table.targets[~placed[name]]).argmax())
    free = np.flatnonzero(~placed[name] & (table.targets == target))
    masked = np.flatnonzero(placed[name] & (table[f"{name}.area"] > 0))
    if len(free) < 4 * MIN_EDITED or len(masked) < MIN_WITH_ARTIFACT:
        return None
    masks, maps = table[f"{name}.mask"], table.absolute_shares
    rng = np.random.default_rng(table.seed)
    alarms = 0
    for draw in range(DRAWS):
        order = rng.permutation(len(free))
        half = min(MAX_MAPS, len(free) // 2)
        own, others = maps(free[order[:half]]), maps(free[order[half : 2 * half]])
        laid = masks[masked[rng.integers(0, len(masked), half)]].reshape(half, -1) / 255.0
        (found,) = settle([excess([Stratum(laid, own, others)], table.seed + draw)])
        alarms += looks(found)
    return _negative(
        "null_regions",
        "Regions where nothing is",
        alarms,
        f"Masks of {name.replace('_', ' ')} were laid on images predicted {table.classes[target]} "
        "that do not show it, and their relevance there compared with that of other such images",
    )


def _planted_evidence(table: Measurements) -> Control | None:
    """Find the weakest evidence that, planted in answers to placebos, would be called a use."""
    target = 1 if table.positive is None else table.positive
    at = [
        log_odds(trials.after[rows], target)
        for trials in table.trials.values()
        for edit in trials.edits
        if edit.placebo_for == "add" and edit.look_alike is None
        if len(rows := trials.of(edit.id)) >= MIN_EDITED
    ]
    if not at:
        return None

    def turning(strength: float) -> float:
        return turned(table.logits, target, strength)

    margins = max(at, key=len)
    rng = np.random.default_rng(table.seed)
    weakest = next(
        (
            (strength, moved)
            for strength in STRENGTHS
            if (moved := _moved_when_found(margins, strength, turning(strength), rng)) is not None
        ),
        None,
    )
    if weakest is None:
        statement = (
            f"No evidence up to {STRENGTHS[-1]:.0f} in log-odds, added to the model's answers to "
            f"{len(margins)} pictures, would have been found reliably: with so few pictures, or "
            "answers so sure, this audit cannot tell whether the model uses anything."
        )
    else:
        statement = (
            f"Evidence of {weakest[0]:.2g} in log-odds, added to the model's answers to "
            f"{len(margins)} pictures with a placebo, moves {points(weakest[1])} decisions; a cue "
            f"as strong as that would have been found in {percent(POWER)} of audits like this one. "
            "A weaker one would more often have been missed."
        )
    return Control(
        id="planted_evidence",
        title="Evidence planted in the model's answers",
        kind="positive",
        statement=statement,
        value=None if weakest is None else weakest[1],
        n=len(margins),
        passed=weakest is not None,
    )


def _moved_when_found(
    margins: NDArray[np.float64], strength: float, turning: float, rng: np.random.Generator
) -> float | None:
    """Return the share of decisions that a planted strength moves, if it is found often enough.

    Judged as `Effect.reached` judges: by the decisions that it turns on all the images, `turning`
    (its log-odds are the same on every picture, so their test is clear), or by those seen to turn,
    in closed form: what is planted moves decisions one way only, so the test of signs is
    2 * .5 ** moved.
    """
    n = len(margins)
    drawn = margins[rng.integers(0, n, (PLANTED_DRAWS, n))]
    moved = ((drawn + strength > 0) & (drawn <= 0)).sum(1)
    seen = (2.0 * 0.5**moved < ALPHA) & (moved / n >= MIN_SHARE)
    found = 1.0 if turning >= MIN_SHARE else seen.mean()
    return float(moved.mean() / n) if found >= POWER else None


def _negative(identity: str, title: str, alarms: int, done: str) -> Control:
    """Put a negative control into words; it fails where chance hardly gives as many alarms."""
    most = int(binom.ppf(0.99, DRAWS, ALPHA))
    passed = alarms <= most
    verdict = "as it should be" if passed else f"more than the {most} that chance explains"
    return Control(
        id=identity,
        title=title,
        kind="negative",
        statement=f"{done}, {DRAWS} times: {many(alarms, 'false alarm')}, {verdict}.",
        value=alarms / DRAWS,
        n=DRAWS,
        passed=passed,
    )


def _has_masks(table: Measurements, name: str) -> bool:
    try:
        table[f"{name}.mask"]
    except KeyError:  # the whole picture has it
        return False
    return True
