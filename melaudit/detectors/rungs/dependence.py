"""Dependence: does the decision change when an artifact is put into a picture or taken out of it?

Every edit is compared with a placebo: an edit that changes the same place as much and shows
nothing. The claim is the change beyond the placebo that does the most, image by image: decisions
beyond the one that turns the most of them, log-odds beyond the one that moves them the farthest.
It can be seen in decisions that turn, or be implied by log-odds that move far enough to turn
decisions of the data set. Few edited images lie so near the boundary that their decision turns, but
the log-odds of all of them can move.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from melaudit.artifacts.interface import Phrases
from melaudit.detectors.rungs.effect import (
    MIN_EDITED,
    MIN_SHARE,
    Effect,
    effect_of,
    gaining,
)
from melaudit.detectors.rungs.look_alikes import Alike, Likeness, as_cue, look_alikes
from melaudit.detectors.rungs.trials import (
    called,
)
from melaudit.findings import Words
from melaudit.measurements import Measurements, Trials
from melaudit.statistics.correction import bonferroni
from melaudit.wording.sentences import capitalised, either, many, points

UNNATURAL_DISTANCE = 2.0
"""Distance from natural pictures, in units of the distance between natural pictures, from which
an edit is called unnatural. Chosen, not measured."""


@dataclass(frozen=True)
class Dependence:
    """How decisions depend on one artifact."""

    target: int
    """The class it pushes to."""
    add: Effect | None
    remove: Effect | None
    alike: tuple[Alike, ...]
    """Edits that resemble it, the most alike first."""
    placebo: Alike | None
    """What the placebo does of what the artifact does; None where none moves decisions."""
    bare: tuple[int, int, int] | None
    """Pictures without the object: called so without the artifact, with it, and how many."""
    distance: float | None
    """Median distance of pictures with the artifact put in, see `Trials.distance`."""
    classes: tuple[str, ...]
    phrases: Phrases
    words: Words = field(default_factory=Words)

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
        return all(effect.excluded is True for effect in self.effects)

    @property
    def reach(self) -> float:
        """The largest change of decisions that the intervals leave open, on any edit."""
        return max(effect.reach for effect in self.effects)

    @property
    def only_taken_out(self) -> bool:
        """Whether it is tried both ways, and only taking it out clearly moves decisions."""
        if self.add is None or self.remove is None:
            return False
        return self.remove.reached and not self.add.reached

    def cue(self, things: str) -> str:
        """Return what the model goes by, as wide as look-alikes and their intervals leave it.

        `things` are several of the artifact, and of what cannot be told from it. Where
        putting them in does not clearly move decisions, what images show is only known by its
        looks: a finder of ink takes some stickers for it.
        """
        if self.only_taken_out:
            return f"what looks like {things}"
        alike = self._alike()
        for a in alike:
            if a.likeness is Likeness.SAME:
                return _among(a.edit.look_alike or "", things)
        for a in alike:
            if a.likeness is Likeness.MUCH:
                return f"{things} ({a.edit.title} acts much the same)"
        unknown = [a.edit.look_alike or "" for a in alike if a.likeness is Likeness.UNKNOWN]
        if unknown:
            first, *more = dict.fromkeys(unknown)  # "any dark dashes or high-contrast line"
            others = either([first, *(name.removeprefix("any ") for name in more)])
            return f"{things}, or {others} (too few images to tell)"
        return things

    def _alike(self) -> tuple[Alike, ...]:
        """Return what may share the cue's name, the widest first: the placebo, then look-alikes.

        What the artifact is seen to do beyond the placebo is more than any change there does, so
        the placebo then leaves the name open no longer; it still widens it where it does the same.
        """
        if self.placebo is None or self.add is None:
            return self.alike
        if self.add.seen and self.placebo.likeness is Likeness.UNKNOWN:
            return self.alike
        return (self.placebo, *self.alike)

    def counted(self) -> str:
        """Return what was done and seen, in counts: putting it in, and taking it out."""
        return "; ".join(self.counts())

    def sentences(self) -> str:
        """Return the same in a sentence for each edit."""
        return " ".join(f"{capitalised(clause)}." for clause in self.counts())

    def counts(self) -> tuple[str, ...]:
        """Return the same in a clause for each edit."""
        name = self.classes[self.target]
        said = []
        if (e := self.add) is not None:
            said.append(
                f"with {e.edit.title} the model predicts {name} for {e.after:,} of "
                f"{many(e.n, f'{self.phrases.lacking} image')}, without it for {e.before:,}, "
                f"{_beside(e)}{self._implied(e)}"
            )
        if (e := self.remove) is not None:
            said.append(
                f"of {many(e.n, 'image')} that show {self.phrases.shows} the model predicts "
                f"{name} for {e.before:,} as they are and for {e.after:,} with "
                f"{self.phrases.taken_out}{self._implied(e)}"
            )
        return tuple(said)

    def at_odds(self) -> str:
        """Return a sentence where putting in and taking out do not say the same; else empty."""
        if self.add is None or self.remove is None or self.add.reached == self.remove.reached:
            return ""
        thing = self.phrases.thing
        done, other = f"Adding the {thing}", "removing what the images show"
        silent = self.remove
        if not self.add.reached:
            done, other, silent = f"Removing the {thing}", f"adding the {thing}", self.add
        if silent.excluded:
            left = f"a change of {points(MIN_SHARE)} or more is excluded"
        else:
            left = f"a change of up to {points(silent.reach)} could have been missed"
        doubt = (
            f" What looks like {self.phrases.things} there may be something else: look at it."
            if self.only_taken_out
            else ""
        )
        return f"{done} moves decisions, but {other} does not clearly do so: {left}.{doubt}"

    def _implied(self, effect: Effect) -> str:
        """Return what the log-odds say where decisions on the edited images do not."""
        if effect.seen or not effect.implied:
            return ""
        beyond = "" if effect.margin_alone else "beyond the placebo "
        return (
            f"; {beyond}the log-odds change by {effect.margin.value:+.2f}, as much as "
            f"turns {points(abs(effect.turning.value))} decisions on all the images"
        )

    def resembles(self) -> str:
        """Return a sentence on what resembles the artifact and how it acts; empty if nothing."""
        name = self.classes[self.target]

        def each(*of: Likeness) -> str:
            named = [a for a in self._alike() if a.likeness in of]
            return "; ".join(f"{a.edit.title} for {a.called:,} of {a.n:,}" for a in named)

        said = []
        if alike := each(Likeness.SAME, Likeness.MUCH, Likeness.PARTLY):
            said.append(f"It predicts {name} after other edits, too: with {alike}.")
        if unknown := each(Likeness.UNKNOWN):
            said.append(f"Too few images tell whether these act alike: {unknown}.")
        return " ".join(said)

    def notes(self) -> tuple[str, ...]:
        """Return what a reader must know to weigh this: naturalness, bare ground."""
        name = self.classes[self.target]
        out = []
        if self.bare is not None:
            without, with_it, n = self.bare
            out.append(
                f"Of {many(n, 'picture')} of {self.words.bare}, it predicts {name} for "
                f"{without:,}; with {self.phrases.thing_put_in}, for {with_it:,}."
            )
        if self.distance is not None and np.isfinite(self.distance):
            far = self.distance >= UNNATURAL_DISTANCE
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
        return f"no image was edited to add or remove the {phrases.thing}"
    if not measurements.above_chance:
        return "the predictions do not follow the labels, so no edit tells what they go by"
    classes = len(measurements.classes)
    towards = range(classes) if classes <= 2 else [gaining(measurements.logits, trials, MIN_EDITED)]
    found = [_towards(measurements, trials, target, phrases) for target in towards]
    able = [d for d in found if d is not None]
    if not able:
        return f"fewer than {MIN_EDITED} images could be edited"
    best = max(able, key=lambda d: max(e.margin.value * e.sign for e in d.effects))
    # Where nothing seems to move, of the class that matters, so that audits can be compared.
    if not any(e.turns or e.moves for e in best.effects) and measurements.positive is not None:
        positive = next((d for d in able if d.target == measurements.positive), None)
        best = positive or _towards(measurements, trials, measurements.positive, phrases) or best
    if classes > 2:
        return _corrected(best, classes)
    other = next((d for d in able if d.target != best.target), None)
    return best if other is None else _facing(best, other)


def _facing(found: Dependence, other: Dependence) -> Dependence:
    """Add to each effect how far the same edit may move decisions to the other of two classes."""

    def facing(effect: Effect | None, opposite: Effect | None) -> Effect | None:
        if effect is None or opposite is None:
            return effect
        return dataclasses.replace(effect, opposite=opposite.towards)

    return dataclasses.replace(
        found, add=facing(found.add, other.add), remove=facing(found.remove, other.remove)
    )


def _towards(
    measurements: Measurements, trials: Trials, target: int, phrases: Phrases
) -> Dependence | None:
    add, remove = (effect_of(measurements, trials, name, target) for name in ("add", "remove"))
    if add is None and remove is None:
        return None
    far = trials.distance[trials.of("add")]
    far = far[np.isfinite(far)]
    return Dependence(
        target=target,
        add=add,
        remove=remove,
        alike=()
        if add is None
        else look_alikes(
            trials,
            trials.of("add"),
            trials.of((add.placebo if add.turns else add.margin_placebo).id),
            target,
            MIN_EDITED,
            measurements.seed,
            measurements.groups,
            by_decisions=add.turns,
        ),
        placebo=None
        if add is None
        else as_cue(
            trials,
            trials.of("add"),
            (add.placebo, add.margin_placebo),
            target,
            measurements.seed,
            measurements.groups,
            f"any change {phrases.place}",
        ),
        bare=_bare(trials, target),
        distance=float(np.median(far)) if len(far) else None,
        classes=measurements.classes,
        phrases=phrases,
        words=measurements.words,
    )


def _among(cue: str, things: str) -> str:
    """Return "any frame, white frames among them", and "any colour cast" where that says it all."""
    return cue if things.startswith(cue.removeprefix("any ")) else f"{cue}, {things} among them"


def _beside(effect: Effect) -> str:
    """Return what the placebo does, beside what the artifact does."""
    if effect.unplaced:
        return "so few that no placebo is needed"
    if effect.alone:
        return "and no placebo moves decisions that way"
    return f"with {effect.placebo.title} for {round(effect.with_placebo * effect.n):,}"


def _bare(trials: Trials, target: int) -> tuple[int, int, int] | None:
    at = trials.of("bare")
    if len(at) < MIN_EDITED:
        return None
    before, after = called(trials.before[at], target), called(trials.after[at], target)
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
