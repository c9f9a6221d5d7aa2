"""Dependence: does the decision change when an artifact is put into a picture or taken out?

Every edit stands against a placebo: the same place changed by as much and showing nothing. What is
claimed is the change beyond the placebo that moves decisions the most, image by image. It is seen
in decisions that turn, or in log-odds that move by as much as turns decisions of the data set: few
edited images have a decision so near the boundary that it turns, but all have log-odds that move.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from melaudit.artifacts.interface import Phrases
from melaudit.detectors.rungs.look_alikes import Alike, Likeness, look_alikes
from melaudit.detectors.rungs.trials import LEFT_ALONE, Rows, Values, called, log_odds, turned
from melaudit.measurements import Edit, Measurements, Trials
from melaudit.statistics.correction import bonferroni, clear
from melaudit.statistics.estimates import Estimate, Tested, paired_mean, two_samples
from melaudit.statistics.power import minimum_detectable_paired_share
from melaudit.wording.sentences import many, points

FEWEST = 8
"""Edited images below which nothing is concluded."""
MIN_SHARE = 0.1
"""Decisions that must change beyond the placebo before the model is said to use an artifact."""
FAR = 2.0
"""Distance from natural pictures, in units of theirs, from which an edit is called unnatural."""


@dataclass(frozen=True)
class Effect:
    """What one edit does to the decision for one class, beyond its strongest placebo."""

    edit: Edit
    placebo: Edit
    margin: Tested
    """Change of the log-odds of the class, beyond the placebo's."""
    share: Tested
    """Change of the share of images called so, beyond the placebo's."""
    turning: Estimate
    """Change of the share of all audited images called so if their log-odds moved by `margin`."""
    n: int
    """Images edited."""
    before: int
    after: int
    """Images called so before and after the edit."""
    with_placebo: float
    """Share of images called so after the placebo."""
    from_placebo: float
    """Share of the placebo's images called so before it."""
    least: float | None
    """Smallest change of the share that would have been seen."""

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
    def turns(self) -> bool:
        """Whether decisions turn by enough, with intervals clear of none; untested."""
        return self._away(self.share) and self._away(self.margin) and self._matters(self.share)

    @property
    def moves(self) -> bool:
        """Whether log-odds move by enough, with an interval clear of none; untested."""
        return self._away(self.margin) and self._matters(self.turning)

    @property
    def excluded(self) -> bool:
        """Whether the intervals leave no room for a change that matters (equivalence test).

        The 95 % intervals lie within `MIN_SHARE` of none, so the test has level .025.
        """
        return self.reach < MIN_SHARE

    @property
    def reach(self) -> float:
        """The largest change of decisions, in either direction, that the intervals leave open."""
        ends = (self.share.low, self.share.high, self.turning.low, self.turning.high)
        return max(abs(end) for end in ends)

    def _away(self, change: Estimate) -> bool:
        return min(change.low * self.sign, change.high * self.sign) > 0

    def _matters(self, share: Estimate) -> bool:
        return share.value * self.sign >= MIN_SHARE

    @property
    def alone(self) -> bool:
        """Whether no placebo moves decisions the way the edit does, so that it stands alone."""
        return self.placebo.id.startswith(LEFT_ALONE)

    @property
    def sign(self) -> int:
        """+1 where the edit adds the artifact, -1 where it takes it away."""
        return -1 if self.edit.id == "remove" else 1


@dataclass(frozen=True)
class Dependence:
    """How decisions depend on one artifact."""

    kind: int
    """The class it pushes to."""
    add: Effect | None
    remove: Effect | None
    alike: tuple[Alike, ...]
    """Edits that resemble it, the most alike first."""
    bare: tuple[int, int, int] | None
    """Pictures of skin without a lesion: called so without the artifact, with it, and how many."""
    distance: float | None
    """Median distance of pictures with the artifact put in, see `Trials.distance`."""
    classes: tuple[str, ...]
    phrases: Phrases

    @property
    def reached(self) -> bool:
        """Whether adding or removing it changes decisions clearly and enough to matter."""
        return any(effect.reached for effect in self.effects)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What was tried."""
        return tuple(effect for effect in (self.add, self.remove) if effect is not None)

    @property
    def excluded(self) -> bool:
        """Whether a change that matters is excluded: by intervals (equivalence), on every edit."""
        return all(effect.excluded for effect in self.effects)

    @property
    def reach(self) -> float:
        """The largest change of decisions that the intervals leave open, on any edit."""
        return max(effect.reach for effect in self.effects)

    def cue(self) -> str:
        """Return what the model goes by, as wide as look-alikes and their intervals leave it."""
        things = self.phrases.things
        for a in self.alike:
            if a.likeness is Likeness.SAME:
                return f"{a.edit.look_alike}, {things} among them"
        for a in self.alike:
            if a.likeness is Likeness.MUCH:
                return f"{things} ({a.edit.title} acts much the same)"
        for a in self.alike:
            if a.likeness is Likeness.UNKNOWN:
                return f"{things}, or {a.edit.look_alike} (too few images to tell)"
        return things

    def counted(self) -> str:
        """Return what was done and seen, in counts: putting it in, or else taking it out."""
        kind = self.classes[self.kind]
        if self.add is not None and (self.add.reached or self.remove is None):
            e = self.add
            return (
                f"with {e.edit.title} the model calls {e.after:,} of "
                f"{many(e.n, f'{self.phrases.lacking} image')} {kind}, without it {e.before:,}, "
                f"{_beside(e)}{self._implied(e)}"
            )
        assert self.remove is not None
        e = self.remove
        taken = (
            f"of {many(e.n, 'image')} that show {self.phrases.shows} the model calls {e.before:,} "
            f"{kind} as they are and {e.after:,} with the {self.phrases.thing} taken out"
            f"{self._implied(e)}"
        )
        if self.add is None or e.reached:
            return taken
        return (
            f"with {self.add.edit.title} it calls {self.add.after:,} of "
            f"{many(self.add.n, 'image')} {kind}, without it {self.add.before:,}; {taken}"
        )

    def _implied(self, effect: Effect) -> str:
        """Return what the log-odds say where decisions on the edited images do not."""
        if effect.seen or not effect.implied:
            return ""
        beyond = "" if effect.alone else "beyond the placebo "
        return (
            f"; {beyond}the log-odds change by {effect.margin.value:+.2f}, as much as "
            f"turns {points(abs(effect.turning.value))} decisions on all the images"
        )

    def resembles(self) -> str:
        """Return a sentence on what resembles the artifact and how it acts; empty if nothing."""
        kind = self.classes[self.kind]

        def each(*of: Likeness) -> str:
            named = [a for a in self.alike if a.likeness in of]
            return "; ".join(f"{a.edit.title} does it to {a.called:,} of {a.n:,}" for a in named)

        said = []
        if alike := each(Likeness.SAME, Likeness.MUCH, Likeness.PARTLY):
            said.append(f"Not only this makes it say {kind}: {alike}.")
        if unknown := each(Likeness.UNKNOWN):
            said.append(f"Too few images to tell how much alike these act: {unknown}.")
        return " ".join(said)

    def notes(self) -> tuple[str, ...]:
        """Return what a reader must know to weigh this: naturalness, bare skin, resemblance."""
        kind = self.classes[self.kind]
        out = []
        if self.bare is not None:
            without, with_it, n = self.bare
            out.append(
                f"On {many(n, 'picture')} of skin without a lesion it says {kind} {without:,} "
                f"times, and {with_it:,} times once the {self.phrases.thing} is put in."
            )
        if self.distance is not None and np.isfinite(self.distance):
            far = self.distance >= FAR
            out.append(
                f"To the model, the edited pictures lie {self.distance:.1f} times as far from "
                "natural ones as those lie from each other"
                + (
                    ": part of the change may be due to that."
                    if far
                    else ", so they pass for such."
                )
            )
        return tuple(out)


def depend(measurements: Measurements, artifact: str, phrases: Phrases) -> Dependence | str:
    """Weigh the trials of an artifact, or say why that cannot be done."""
    trials = measurements.trials.get(artifact)
    if trials is None:
        return f"no {phrases.thing} was put in or taken out"
    if not measurements.skilled:
        return "the predictions do not follow the labels, so no edit tells what they go by"
    kinds = range(len(measurements.classes))
    found = [_towards(measurements, trials, kind, phrases) for kind in kinds]
    able = [d for d in found if d is not None]
    if not able:
        return f"fewer than {FEWEST} images could be edited"
    best = max(able, key=lambda d: max(e.margin.value * e.sign for e in d.effects))
    # Where nothing seems to move, of the class that matters, so that audits can be compared.
    if not any(e.turns or e.moves for e in best.effects):
        best = next((d for d in able if d.kind == measurements.positive), best)
    return best if len(kinds) <= 2 else _corrected(best, len(kinds))


def _towards(
    measurements: Measurements, trials: Trials, kind: int, phrases: Phrases
) -> Dependence | None:
    add, remove = (_effect(measurements, trials, name, kind) for name in ("add", "remove"))
    if add is None and remove is None:
        return None
    far = trials.distance[trials.of("add")]
    far = far[np.isfinite(far)]
    return Dependence(
        kind=kind,
        add=add,
        remove=remove,
        alike=()
        if add is None
        else look_alikes(
            trials,
            trials.of("add"),
            trials.of(add.placebo.id),
            kind,
            FEWEST,
            measurements.seed,
            measurements.groups,
            by_decisions=add.turns,
        ),
        bare=_bare(trials, kind),
        distance=float(np.median(far)) if len(far) else None,
        classes=measurements.classes,
        phrases=phrases,
    )


def _effect(measurements: Measurements, trials: Trials, name: str, kind: int) -> Effect | None:
    """Hold one edit against the placebo that moves decisions the farthest the same way."""
    edit = next((e for e in trials.edits if e.id == name), None)
    placebos = [
        e
        for e in trials.edits
        if e.placebo_for == name and e.look_alike is None and len(trials.of(e.id)) >= FEWEST
    ]
    chosen = trials.of(name)
    if edit is None or len(chosen) < FEWEST:
        return None
    if all(p.id.startswith(LEFT_ALONE) for p in placebos):
        return None
    sign = -1 if name == "remove" else 1

    def moved(placebo: Edit) -> float:
        at = trials.of(placebo.id)
        change = log_odds(trials.after[at], kind) - log_odds(trials.before[at], kind)
        return sign * float(change.mean())

    placebo = max(placebos, key=moved)
    against = trials.of(placebo.id)
    before, after = called(trials.before[chosen], kind), called(trials.after[chosen], kind)
    p_before, p_after = called(trials.before[against], kind), called(trials.after[against], kind)
    margin = _beyond(measurements, trials, chosen, against, kind, margins=True)
    share = _beyond(measurements, trials, chosen, against, kind, margins=False)
    value, low, high = (
        turned(measurements.logits, kind, d) for d in (margin.value, margin.low, margin.high)
    )
    return Effect(
        edit=edit,
        placebo=placebo,
        margin=margin,
        share=share,
        turning=Estimate(value, low, high),
        n=len(chosen),
        before=int(before.sum()),
        after=int(after.sum()),
        with_placebo=float(p_after.mean()),
        from_placebo=float(p_before.mean()),
        least=minimum_detectable_paired_share(
            len(chosen), float((after != before).mean()), float((p_after != p_before).mean())
        ),
    )


def _beyond(
    measurements: Measurements,
    trials: Trials,
    chosen: Rows,
    against: Rows,
    kind: int,
    *,
    margins: bool,
) -> Tested:
    """Estimate the mean change under an edit less that under its placebo.

    The same images under both are compared image by image; else the two means are.
    """

    def change(at: Rows) -> Values:
        if margins:
            moved = log_odds(trials.after[at], kind) - log_odds(trials.before[at], kind)
            return np.clip(moved, -50, 50)  # a saturated output must not outweigh all others
        after, before = called(trials.after[at], kind), called(trials.before[at], kind)
        return after.astype(np.float64) - before

    rows, others = trials.rows[chosen], trials.rows[against]
    groups = measurements.groups
    named = (lambda at: at) if groups is None else (lambda at: groups[at])
    common = np.intersect1d(rows, others)
    if len(common) >= FEWEST and len(common) >= 0.8 * min(len(rows), len(others)):
        first = change(chosen[np.searchsorted(rows, common)])
        second = change(against[np.searchsorted(others, common)])
        return paired_mean(first - second, measurements.seed, named(common))
    return two_samples(
        change(chosen), change(against), measurements.seed, (named(rows), named(others))
    )


def _beside(effect: Effect) -> str:
    """Return what the placebo does, beside what the artifact does."""
    if effect.alone:
        return "and no placebo moves decisions that way"
    return f"with {effect.placebo.title} {round(effect.with_placebo * effect.n):,}"


def _bare(trials: Trials, kind: int) -> tuple[int, int, int] | None:
    at = trials.of("bare")
    if len(at) < FEWEST:
        return None
    before, after = called(trials.before[at], kind), called(trials.after[at], kind)
    return int(before.sum()), int(after.sum()), len(at)


def _corrected(found: Dependence, tried: int) -> Dependence:
    """Multiply the p-values by the number of classes that were tried (Bonferroni)."""

    def corrected(effect: Effect | None) -> Effect | None:
        if effect is None:
            return None
        return dataclasses.replace(
            effect, margin=bonferroni(effect.margin, tried), share=bonferroni(effect.share, tried)
        )

    return dataclasses.replace(found, add=corrected(found.add), remove=corrected(found.remove))
