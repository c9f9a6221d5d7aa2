"""Harm: what does it cost when an artifact is put into pictures, or taken out of them?

Right decisions are counted on labelled images at the model's own operating point: specificity where
the artifact pushes benign images to malignant, sensitivity where malignant images lose it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Phrases
from melaudit.detectors.claim import evidence_of
from melaudit.detectors.rungs.comparison import less
from melaudit.detectors.rungs.dependence import Dependence
from melaudit.detectors.rungs.effect import MIN_EDITED, Effect, strongest
from melaudit.detectors.rungs.trials import Rows, called
from melaudit.findings import Counts, Evidence, Rung, Table
from melaudit.measurements import Edit, Measurements, Trials
from melaudit.statistics.correction import clear
from melaudit.statistics.estimates import Tested, proportion
from melaudit.statistics.looks import at_look, coverage_of
from melaudit.wording.figures import figure
from melaudit.wording.sentences import interval, many, percent, points
from melaudit.wording.terms import NO_HARM

MIN_LOSS = 0.05
"""Share of right decisions lost beyond the placebo from which an artifact has a cost. Chosen,
not measured."""

PER = 1000
"""Right decisions of which a sentence says how many are lost."""

Rights = NDArray[np.float64]


@dataclass(frozen=True)
class Harm:
    """What one edit costs on the images of one label."""

    effect: Effect
    placebo: Edit
    """The placebo that loses the most right decisions on these images."""
    label: int
    measure: str
    """"specificity", "sensitivity" or "recall of nevus"."""
    n: int
    right_before: int
    right_after: int
    right_with_placebo: float
    """Share right after the placebo."""
    loss: Tested
    """Share of right decisions lost, beyond what the placebo loses."""

    @property
    def reached(self) -> bool:
        """Whether right decisions are lost clearly, and enough to matter."""
        return self.loss.value >= MIN_LOSS and self.loss.low > 0 and clear(self.loss)


def harm(measurements: Measurements, artifact: str, found: Dependence) -> tuple[Harm, ...]:
    """Return the cost of each edit on the labels it endangers; none where labels are too few.

    `artifact` names its trials.
    Putting the artifact in endangers images of every label but the one it pushes to; taking it out
    endangers images of that label.
    """
    trials = measurements.trials[artifact]
    costs = []
    for effect in found.effects:
        for label in range(len(measurements.classes)):
            if (label == found.target) == (effect.sign < 0):
                cost = _cost(measurements, trials, effect, label)
                if cost is not None:
                    costs.append(cost)
    return tuple(costs)


def evidence(
    costs: tuple[Harm, ...], phrases: Phrases, used: bool, classes: tuple[str, ...]
) -> tuple[Evidence, ...]:
    """Return each cost as evidence; none counts unless the model is found to use the artifact."""
    return tuple(_evidence(cost, phrases, used, classes) for cost in costs)


def table(costs: tuple[Harm, ...], phrases: Phrases, classes: tuple[str, ...]) -> Table:
    """Return what the model gets right with and without the artifact."""
    rows = []
    for cost in costs:
        before, after = (proportion(k, cost.n) for k in (cost.right_before, cost.right_after))
        rows.append(
            (
                phrases.edited(cost.effect.sign).removeprefix("the "),
                classes[cost.label],
                cost.measure,
                cost.n,
                f"{percent(before.value)} ({percent(before.low)} to {percent(before.high)})",
                f"{percent(after.value)} ({percent(after.low)} to {percent(after.high)})",
                percent(cost.right_with_placebo),
                round(1000 * cost.loss.value),
            )
        )
    heads = ("edit", "label", "measure", "images", "before", "after", "with placebo")
    return Table(
        "Right decisions with and without", (*heads, "lost per 1000 beyond placebo"), tuple(rows)
    )


def _cost(measurements: Measurements, trials: Trials, effect: Effect, label: int) -> Harm | None:
    def labelled(at: Rows) -> Rows:
        out: Rows = at[measurements.labels[trials.rows[at]] == label]
        return out

    def lost(at: Rows) -> float:
        of = labelled(at)
        before, after = _right(trials, of, label)
        return float((before - after).mean()) if len(of) >= MIN_EDITED else -math.inf

    placebo = strongest(trials, effect.edit.id, lost)
    if placebo is None:
        return None
    chosen, against = (labelled(trials.of(e.id)) for e in (effect.edit, placebo))
    if min(len(chosen), len(against)) < MIN_EDITED:
        return None
    before, after = _right(trials, chosen, label)
    p_before, p_after = _right(trials, against, label)
    rows, others = trials.rows[chosen], trials.rows[against]
    loss = less(
        measurements,
        (before - after, p_before - p_after),
        (rows, others),
        coverage_of(effect.course.error),
        MIN_EDITED,
        shares=True,
    )
    return Harm(
        effect=effect,
        placebo=placebo,
        label=label,
        measure=_measure(measurements, label),
        n=len(chosen),
        right_before=int(before.sum()),
        right_after=int(after.sum()),
        right_with_placebo=float(p_after.mean()),
        loss=at_look(loss, effect.course.error),
    )


def _right(trials: Trials, at: NDArray[np.int64], label: int) -> tuple[Rights, Rights]:
    before, after = (called(logits[at], label) for logits in (trials.before, trials.after))
    return before.astype(np.float64), after.astype(np.float64)


def _measure(measurements: Measurements, label: int) -> str:
    if measurements.positive is None:
        return f"recall of {measurements.classes[label]}"
    if label == measurements.positive:
        return "sensitivity"
    two = len(measurements.classes) == 2
    return "specificity" if two else f"recall of {measurements.classes[label]}"


def _counts(cost: Harm, phrases: Phrases, classes: tuple[str, ...]) -> Counts:
    """Return the counts of the wrong class where there are two; of the right one elsewhere."""
    before, after, target = cost.right_before, cost.right_after, cost.label
    if len(classes) == 2:
        before, after, target = cost.n - before, cost.n - after, 1 - cost.label
    return Counts(
        images=f"{classes[cost.label]} images",
        n=cost.n,
        target=classes[target],
        before=before,
        after=after,
        change=cost.effect.edit.title if cost.effect.sign > 0 else phrases.taken_out,
    )


def _evidence(cost: Harm, phrases: Phrases, used: bool, classes: tuple[str, ...]) -> Evidence:
    done = phrases.edited(cost.effect.sign)
    loss = cost.loss
    return evidence_of(
        Rung.HARM,
        f"right decisions lost beyond placebo, {done.removeprefix('the ')} ({cost.measure})",
        loss,
        cost.n,
        f"the same loss under {cost.placebo.title}",
        f"{cost.measure.capitalize()} goes from {points(cost.right_before / cost.n)} to "
        f"{points(cost.right_after / cost.n)} on {many(cost.n, 'image')} with "
        f"{done} ({points(cost.right_with_placebo)} with "
        f"{cost.placebo.title}): beyond the placebo, "
        f"{_lost(loss)}.{_why_not(cost, used)}",
        reached=used and cost.reached,
        counts=_counts(cost, phrases, classes),
    )


def _lost(loss: Tested) -> str:
    """Say how many right decisions are lost, or gained where there are more than before."""
    sign = -1 if loss.value < 0 else 1
    ends = sorted((sign * loss.low, sign * loss.high))
    change = replace(loss, value=sign * loss.value, low=ends[0], high=ends[1])
    return (
        f"{figure(round(PER * change.value))} right decisions of {PER:,} are "
        f"{'gained' if sign < 0 else 'lost'}, "
        f"{interval(change, lambda share: figure(round(PER * share)))}"
    )


def _why_not(cost: Harm, used: bool) -> str:
    """Say why a loss does not count as harm; empty where it does."""
    if cost.loss.value < MIN_LOSS:
        why = f"fewer than {points(MIN_LOSS)} right decisions are lost"
    elif not cost.reached:
        why = f"on {many(cost.n, 'image')} a loss of this size is not clear of chance"
    elif not used:
        why = "that the model uses it was not shown"
    else:
        return ""
    return f" {NO_HARM}: {why}."
