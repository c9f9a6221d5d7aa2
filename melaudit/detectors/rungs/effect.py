"""What one edit does to the decision for one class, beyond its strongest placebo.

Decisions are held against the placebo that turns the most of them, log-odds against the one that
moves them the farthest: these need not be the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from melaudit.detectors.rungs.comparison import beyond
from melaudit.detectors.rungs.trials import (
    LEFT_ALONE,
    Logits,
    Rows,
    Values,
    all_log_odds,
    called,
    log_odds,
    turned,
    turned_together,
)
from melaudit.logits import predictions
from melaudit.measurements import Course, Edit, Measurements, Stop, Trials
from melaudit.statistics.correction import ALPHA, clear
from melaudit.statistics.estimates import Estimate, Tested
from melaudit.statistics.looks import at_look, coverage_of, fewest_to_exclude
from melaudit.statistics.power import minimum_detectable_paired_share

MIN_EDITED = 8
"""Edited images below which nothing is concluded: a sign-flip test of 8 images can reach p =
1/128, of 5 only 1/16."""

MIN_SHARE = 0.1
"""Share of decisions that must change beyond the placebo before the model is said to use an
artifact. Chosen, not measured."""

DRAWS = 200
"""Bootstrap draws of the mean change of all logits, where there are several classes."""

MIN_ROOM = 1e-3
"""Share of decisions between an estimate and what matters, below which no number of images tells
them apart. Chosen: a hundredth of what matters."""

MAX_MOVED_LOGITS = 40_000_000
"""Logits that may be shifted for one interval. Limits the time."""

MAX_IMAGES = 2000
"""Audited images used to find the class that decisions move to, at most. Limits the time."""

Figure = TypeVar("Figure", float, tuple[float, float])


@dataclass(frozen=True, order=True)
class Reach:
    """How far decisions may move one way."""

    end: float
    """Of the interval."""
    value: float
    """The estimate."""


@dataclass(frozen=True)
class Effect:
    """What one edit does to the decision for one class, beyond its strongest placebo."""

    edit: Edit
    placebo: Edit
    """The placebo that turns the most decisions the way the edit does."""
    margin_placebo: Edit
    """The placebo that moves the log-odds the farthest the way the edit does."""
    margin: Tested
    """Change of the log-odds of the class beyond that of `margin_placebo`."""
    share: Tested
    """Change of the share of images predicted as the class, beyond that of `placebo`."""
    turning: Estimate
    """The same change on all audited images, if their log-odds moved by `margin`."""
    n: int
    """Images edited."""
    before: int
    after: int
    """Images predicted as the class before and after the edit."""
    with_placebo: float
    """Share of images predicted as the class after the placebo."""
    from_placebo: float
    """The same share of the same images before the placebo."""
    least: float | None
    """Smallest change of the share that would have been detected."""
    course: Course = field(default_factory=Course)
    """How its trial was planned, and where it ended. Intervals and p-values are those of a look
    with its share of the error."""
    opposite: Reach | None = None
    """How far decisions may move to the other of two classes; None where there are more."""

    @property
    def reached(self) -> bool:
        """Whether the decision changes clearly after correction, and enough to matter."""
        return self.seen or self.implied

    @property
    def seen(self) -> bool:
        """Whether decisions on the edited images turn clearly, and enough to matter."""
        return self.turns and clear(self.share) and clear(self.margin)

    @property
    def implied(self) -> bool:
        """Whether log-odds move clearly, and by enough to turn decisions of the data set."""
        return self.moves and clear(self.margin)

    @property
    def within_reach(self) -> bool:
        """Whether it would be reached as the only test of a run; correction only takes away."""
        moved = self.margin.p_value <= ALPHA
        return moved and (self.moves or (self.turns and self.share.p_value <= ALPHA))

    @property
    def turns(self) -> bool:
        """Whether enough decisions turn and the interval excludes 0; the test is not counted."""
        return self._away(self.share) and self._away(self.margin) and self._matters(self.share)

    @property
    def moves(self) -> bool:
        """Whether log-odds move by enough and the interval excludes 0; the test is not counted."""
        return self._away(self.margin) and self._matters(self.turning)

    @property
    def excluded(self) -> bool | None:
        """Whether the intervals leave no room for a change that matters (equivalence test).

        Of two classes, decisions may move to either: to each, beyond the placebo that moves them
        there the most. What stays behind its placebo moves none, unless the edit itself turns as
        many decisions as matter: then the model reacts to any change there, and no use is excluded.
        Each end is that of a 95 % interval, so each test has level .025. None where too few images
        were edited to exclude anything and their estimates do not matter: such a sample says
        nothing either way.
        """
        if self.n >= self.fewest:
            return self.reach < MIN_SHARE
        return None if self._open.value < MIN_SHARE else False

    @property
    def fewest(self) -> int:
        """Edited images below which no change is excluded, whatever their intervals."""
        return fewest_to_exclude(MIN_SHARE, self.course.error)

    @property
    def reach(self) -> float:
        """The largest change of decisions, in either direction, that the intervals leave open."""
        return self._open.end

    @property
    def estimate(self) -> float:
        """The change of decisions, in the direction in which `reach` is the largest."""
        return self._open.value

    @property
    def needed(self) -> int | None:
        """Images that would exclude a change that matters, were the estimates to stay; else None.

        The width of an interval goes with the root of the number of images.
        """
        room, width = MIN_SHARE - self._open.value, self._open.end - self._open.value
        if room < MIN_ROOM:  # no number of images would do, and its square fits no document
            return None
        return max(self.fewest, self.n, math.ceil(self.n * (width / room) ** 2))

    @property
    def towards(self) -> Reach:
        """How far decisions may move to the class, beyond the placebo."""
        return max(self._signed(each) for each in (self.share, self.turning))

    @property
    def _open(self) -> Reach:
        if self.opposite is not None:
            return max(self.towards, self.opposite, self._itself)
        ends = (self.share, self.turning)
        beyond = (Reach(max(abs(e.low), abs(e.high)), abs(e.value)) for e in ends)
        return max(*beyond, self._itself)

    @property
    def _itself(self) -> Reach:
        """What the edit turned, whatever its placebo did; 0 where too few images tell."""
        turned = abs(self.after - self.before) / self.n if self.n >= self.fewest else 0.0
        return Reach(turned, turned)

    def _signed(self, change: Estimate) -> Reach:
        end = change.high if self.sign > 0 else -change.low
        return Reach(end, change.value * self.sign)

    def _away(self, change: Estimate) -> bool:
        return min(change.low * self.sign, change.high * self.sign) > 0

    def _matters(self, share: Estimate) -> bool:
        return share.value * self.sign >= MIN_SHARE

    @property
    def alone(self) -> bool:
        """Whether no placebo turns decisions the way the edit does, so that it stands alone."""
        return self.placebo.id.startswith(LEFT_ALONE)

    @property
    def unplaced(self) -> bool:
        """Whether no placebo was shown, because the edit alone turns so few decisions."""
        return self.course.stop is Stop.EXCLUDED

    @property
    def margin_alone(self) -> bool:
        """Whether no placebo moves the log-odds the way the edit does."""
        return self.margin_placebo.id.startswith(LEFT_ALONE)

    @property
    def sign(self) -> int:
        """+1 where the edit adds the artifact, -1 where it takes it away."""
        return -1 if self.edit.id == "remove" else 1


def effect_of(measurements: Measurements, trials: Trials, name: str, target: int) -> Effect | None:
    """Hold one edit against the placebos that move decisions the farthest the same way."""
    edit = next((e for e in trials.edits if e.id == name), None)
    chosen = trials.of(name)
    if edit is None or len(chosen) < MIN_EDITED:
        return None
    sign = -1 if name == "remove" else 1

    def moved(at: Rows) -> float:
        change = log_odds(trials.after[at], target) - log_odds(trials.before[at], target)
        return sign * float(np.clip(change, -50, 50).mean())

    def turns(at: Rows) -> tuple[float, float]:
        return round(sign * float(_gained(trials, at)[target]), 9), moved(at)

    placebo, margin_placebo = strongest(trials, name, turns), strongest(trials, name, moved)
    if placebo is None or margin_placebo is None:
        return None
    against, margin_against = trials.of(placebo.id), trials.of(margin_placebo.id)
    before, after = called(trials.before[chosen], target), called(trials.after[chosen], target)
    p_before, p_after = (
        called(trials.before[against], target),
        called(trials.after[against], target),
    )
    course = trials.course(name)
    coverage = coverage_of(course.error)
    given = (target, coverage, MIN_EDITED)
    margin = beyond(measurements, trials, chosen, margin_against, *given, margins=True)
    share = beyond(measurements, trials, chosen, against, *given, margins=False)
    return Effect(
        edit=edit,
        placebo=placebo,
        margin_placebo=margin_placebo,
        margin=at_look(margin, course.error),
        share=at_look(share, course.error),
        turning=_turning(measurements, trials, chosen, margin_against, target, margin, coverage),
        n=len(chosen),
        before=int(before.sum()),
        after=int(after.sum()),
        with_placebo=float(p_after.mean()),
        from_placebo=float(p_before.mean()),
        least=minimum_detectable_paired_share(
            len(chosen), float((after != before).mean()), float((p_after != p_before).mean())
        ),
        course=course,
    )


def strongest(trials: Trials, name: str, by: Callable[[Rows], Figure]) -> Edit | None:
    """Return the placebo of an edit that does the most by a figure of its trials; else None.

    The picture left alone is one of them, but not where it is the only one: then nothing tells
    what any change there does, unless the edit alone does so little that nothing need tell.
    """
    placebos = [
        e
        for e in trials.edits
        if e.placebo_for == name and e.look_alike is None and len(trials.of(e.id)) >= MIN_EDITED
    ]
    alone = all(e.id.startswith(LEFT_ALONE) for e in placebos)
    if not placebos or (alone and trials.course(name).stop is not Stop.EXCLUDED):
        return None
    return max(placebos, key=lambda e: by(trials.of(e.id)))


def _turning(
    measurements: Measurements,
    trials: Trials,
    chosen: Rows,
    against: Rows,
    target: int,
    margin: Estimate,
    coverage: float,
) -> Estimate:
    """Estimate how the share called so changes if all audited images moved as the edited ones did.

    Of two classes the log-odds say it all. Of several, the logits of all classes are moved: their
    mean change under the edit less that under the placebo, bootstrapped over images.
    """
    if len(measurements.classes) <= 2:
        value, low, high = (
            turned(measurements.logits, target, d) for d in (margin.value, margin.low, margin.high)
        )
        return Estimate(value, low, high)
    rng = np.random.default_rng(measurements.seed)
    classes = measurements.logits.shape[1]
    most = max(200, MAX_MOVED_LOGITS // (DRAWS * classes))
    rows = rng.permutation(len(measurements.logits))[:most]
    logits = measurements.logits[rows].astype(np.float64)
    moved = [
        np.clip(trials.after[at].astype(np.float64) - trials.before[at], -50, 50)
        for at in (chosen, against)
    ]
    shifts = [moved[0].mean(0) - moved[1].mean(0)]
    for _ in range(DRAWS):
        first, second = (m[rng.integers(0, len(m), len(m))].mean(0) for m in moved)
        shifts.append(first - second)
    gained = np.array([turned_together(logits, shift)[target] for shift in shifts])
    low, high = np.quantile(gained[1:], [(1 - coverage) / 2, (1 + coverage) / 2])
    return Estimate(float(gained[0]), float(low), float(high))


def gaining(logits: Logits, trials: Trials, fewest: int) -> int:
    """Return the class that decisions move to when the artifact is added (or from, when removed).

    logits (n, K) of the audited images. What counts is the larger of the decisions that turn on the
    edited images, beyond the placebo that turns most of them, and those that would turn on the
    audited ones, beyond the placebo that moves log-odds the farthest.
    """
    classes = logits.shape[1]
    best = np.full(classes, -np.inf)
    some = logits[:MAX_IMAGES].astype(np.float64)
    for name, sign in (("add", 1), ("remove", -1)):
        at = trials.of(name)
        placebos = [
            trials.of(e.id)
            for e in trials.edits
            if e.placebo_for == name and e.look_alike is None and len(trials.of(e.id)) >= fewest
        ]
        if len(at) < fewest or not placebos:
            continue
        turned = np.array([_gained(trials, p) for p in placebos])
        seen = sign * _gained(trials, at) - (sign * turned).max(0)
        odds = np.array([_mean_change(all_log_odds, trials, p) for p in placebos])
        farthest = (sign * odds).argmax(0)
        shift = _mean_change(np.asarray, trials, at)
        implied = np.empty(classes)
        for k, placebo in enumerate(placebos):
            mine = farthest == k
            together = turned_together(some, shift - _mean_change(np.asarray, trials, placebo))
            implied[mine] = sign * together[mine]
        best = np.maximum(best, np.maximum(seen, implied))
    return int(best.argmax())


def _mean_change(of: Callable[[Logits], Values], trials: Trials, at: Rows) -> Values:
    """Return the mean change (K,) of a figure of the logits under one edit."""
    change: Values = (of(trials.after[at]) - of(trials.before[at])).astype(np.float64).mean(0)
    return change


def _gained(trials: Trials, at: Rows) -> Values:
    """Return the change of each class's share of decisions (C,) under one edit."""
    classes = max(trials.after.shape[1], 2)  # a single logit tells two apart
    after, before = (
        np.bincount(predictions(each[at]), minlength=classes) / max(len(at), 1)
        for each in (trials.after, trials.before)
    )
    out: Values = after - before
    return out
