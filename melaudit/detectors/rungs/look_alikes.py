"""Look-alikes: does what resembles an artifact act as the artifact does, and how sure is that?

On few images, the share of the artifact's effect that a look-alike has is a noisy figure. So the
name of the cue depends on the interval of that share, and may be left open. The placebo is asked
the same: where it does what the artifact does, the cue is any change there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from melaudit.detectors.rungs.trials import LEFT_ALONE, Rows, called, log_odds
from melaudit.measurements import Edit, Trials
from melaudit.statistics.estimates import Estimate

MIN_ALIKE = 0.4
"""Share of the artifact's effect from which a look-alike is named beside it. Chosen, not
measured."""
MIN_SAME = 0.8
"""Share from which the claim is about what both have in common. Chosen, not measured."""
MIN_TURNED = 0.1
"""Share of decisions that the artifact must turn for a placebo to be compared with it by decisions;
below, by log-odds. The change that matters, `effect.MIN_SHARE`."""
DRAWS = 4000
"""Draws that the interval of a share is read from."""


class Likeness(StrEnum):
    """How a look-alike acts, compared with the artifact."""

    SAME = "same"
    """At least `MIN_SAME` of the artifact's effect."""
    MUCH = "much"
    """At least `MIN_ALIKE` of it."""
    PARTLY = "partly"
    """Some of it, and less than `MIN_SAME`."""
    UNLIKE = "unlike"
    """Less than `MIN_ALIKE` of it."""
    UNKNOWN = "unknown"
    """Too few images to tell."""


@dataclass(frozen=True)
class Alike:
    """What an edit that resembles the artifact does."""

    edit: Edit
    called: int
    """Images called the class after the edit, of `n`."""
    n: int
    share: Estimate
    """Of the artifact's own effect; both beyond the placebo, or, for the placebo itself, beyond the
    picture left alone."""

    @property
    def likeness(self) -> Likeness:
        """How it acts, by the interval of its share of the effect."""
        low, high = self.share.low, self.share.high
        if low >= MIN_SAME:
            return Likeness.SAME
        if low >= MIN_ALIKE:
            return Likeness.MUCH
        if high < MIN_ALIKE:
            return Likeness.UNLIKE
        return Likeness.PARTLY if low > 0 and high < MIN_SAME else Likeness.UNKNOWN


def look_alikes(
    trials: Trials,
    artifact: Rows,
    placebo: Rows,
    target: int,
    fewest: int,
    seed: int,
    groups: NDArray[np.object_] | None,
    *,
    by_decisions: bool,
) -> tuple[Alike, ...]:
    """Return what every look-alike does, the most alike first.

    artifact, placebo: rows of `trials` under the artifact's edit and its placebo. groups: (n,)
    patients of the audited images. The effect is counted in decisions for the class `target`, or
    in its log-odds. Look-alikes on fewer than `fewest` images are left out.
    """
    rng = np.random.default_rng(seed)

    def drawn(at: Rows) -> NDArray[np.float64]:
        return _means(trials, at, target, groups, rng, by_decisions=by_decisions)

    whole, floor = drawn(artifact), drawn(placebo)
    out = []
    for edit in trials.edits:
        at = trials.of(edit.id)
        if edit.look_alike is None or len(at) < fewest:
            continue
        said = int(called(trials.after[at], target).sum())
        out.append(Alike(edit, said, len(at), _share(drawn(at) - floor, whole - floor)))
    return tuple(sorted(out, key=lambda a: -a.share.value))


def as_cue(
    trials: Trials,
    artifact: Rows,
    placebos: tuple[Edit, Edit],
    target: int,
    seed: int,
    groups: NDArray[np.object_] | None,
    cue: str,
) -> Alike | None:
    """Return the placebo as one more look-alike, whose cue is any change there; else None.

    artifact: rows of `trials` under the artifact's edit. placebos: the strongest by decisions, and
    by log-odds. cue: what is at work if the placebo acts as the artifact does. Both are held
    against the picture left alone: in decisions, of which any change may turn nearly all, where the
    artifact turns some of them.
    """
    rng = np.random.default_rng(seed)
    turned = (
        called(trials.after[artifact], target).mean()
        - called(trials.before[artifact], target).mean()
    )
    by_decisions = bool(turned >= MIN_TURNED)
    placebo = placebos[0] if by_decisions else placebos[1]
    at, alone = trials.of(placebo.id), trials.of(f"{LEFT_ALONE}.{placebo.placebo_for}")
    if placebo.id.startswith(LEFT_ALONE) or not len(alone):
        return None
    effect, own, floor = (
        _means(trials, rows, target, groups, rng, by_decisions=by_decisions)
        for rows in (artifact, at, alone)
    )
    said = int(called(trials.after[at], target).sum())
    edit = replace(placebo, look_alike=cue)
    return Alike(edit, said, len(at), _share(own - floor, effect - floor))


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> Estimate:
    """Estimate part over whole, both (1 + DRAWS,) with the observed means first.

    Where the whole may be nothing, its share may be anything: the interval is open.
    """
    if whole[0] <= 0:
        return Estimate(0.0, -np.inf, np.inf)
    drawn = np.where(whole[1:] > 0, part[1:] / np.where(whole[1:] > 0, whole[1:], 1), np.inf)
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return Estimate(float(part[0] / whole[0]), float(low), float(high))


def _means(
    trials: Trials,
    at: Rows,
    target: int,
    groups: NDArray[np.object_] | None,
    rng: np.random.Generator,
    *,
    by_decisions: bool,
) -> NDArray[np.float64]:
    """Return the mean effect of an edit (1 + DRAWS,): as observed, and as it may be.

    Images of one patient count as one. Shares are drawn from Jeffreys' posterior, which stays wide
    where all decisions are alike; log-odds from the normal law of their mean.
    """
    patients = len(at) if groups is None else len(np.unique(groups[trials.rows[at]]))
    if by_decisions:
        value = float(called(trials.after[at], target).mean())
        k, rest = value * patients + 0.5, (1 - value) * patients + 0.5
        drawn = stats.beta(k, rest).rvs(DRAWS, random_state=rng)
    else:
        moved = log_odds(trials.after[at], target) - log_odds(trials.before[at], target)
        moved = np.clip(moved, -50, 50)
        value = float(moved.mean())
        spread = float(moved.std(ddof=1)) / np.sqrt(patients) if len(at) > 1 else np.inf
        drawn = rng.normal(value, spread, DRAWS)
    out: NDArray[np.float64] = np.concatenate([[value], drawn])
    return out
