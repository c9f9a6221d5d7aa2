"""Dependence as evidence: what was done to the pictures, what came of it, and against what."""

from __future__ import annotations

from collections.abc import Sequence

from melaudit.detectors.claim import evidence_of
from melaudit.detectors.rungs.dependence import Dependence
from melaudit.detectors.rungs.effect import MIN_SHARE, Effect
from melaudit.findings import Counts, Evidence, NotFound, Rung
from melaudit.wording.sentences import interval, many, points


def evidence(found: Dependence) -> tuple[Evidence, ...]:
    """Return the changes of the decision and of the margin, of every edit tried."""
    out: list[Evidence] = []
    for effect in found.effects:
        out += _evidence(effect, found, found.notes() if effect.sign > 0 else ())
    return tuple(out)


def missed(found: Dependence, artifact: str) -> tuple[NotFound, ...]:
    """Say that decisions do not depend on it, and what would have been seen."""
    return tuple(_missed(effect, artifact, found) for effect in found.effects)


def _evidence(effect: Effect, found: Dependence, notes: Sequence[str]) -> Sequence[Evidence]:
    name, phrases = found.classes[found.target], found.phrases
    done = phrases.edited(effect.sign)
    null = f"the same change under {effect.placebo.title}"
    verb = "rises" if effect.share.value >= 0 else "falls"
    first = evidence_of(
        Rung.DEPENDENCE,
        f"change of decisions to {name} beyond placebo, {done.removeprefix('the ')}",
        effect.share,
        effect.n,
        null,
        f"With {done}, the model predicts {name} for {effect.after:,} of "
        f"{many(effect.n, 'image')}, for {effect.before:,} before; {_beside(effect)} that share "
        f"{verb} by {points(abs(effect.share.value))}, "
        f"{interval(effect.share, points)}.",
        reached=effect.seen,
        counts=Counts(
            images=f"{phrases.lacking} images"
            if effect.sign > 0
            else f"images with {phrases.shows}",
            n=effect.n,
            target=name,
            before=effect.before,
            after=effect.after,
            change=effect.edit.title if effect.sign > 0 else phrases.taken_out,
        ),
    )
    second = evidence_of(
        Rung.DEPENDENCE,
        f"change of the margin of {name} beyond placebo, {done.removeprefix('the ')}",
        effect.margin,
        effect.n,
        f"the same change under {effect.margin_placebo.title}",
        " ".join(
            (
                f"The log-odds of {name} change by {effect.margin.value:+.2f}{_more(effect)}, "
                f"{interval(effect.margin, '{:+.2f}'.format)}. {_turning(effect, name)}",
                *notes,
            )
        ),
        # A margin may move for certain and by too little to turn any decision.
        reached=effect.implied,
    )
    return first, second


def _beside(effect: Effect) -> str:
    """Say what the placebo does."""
    if effect.unplaced:
        return "no placebo is needed where an edit alone changes so little:"
    if effect.alone:
        return "no placebo moves decisions that way, so nothing is taken off:"
    return (
        f"with {effect.placebo.title} the share goes from {points(effect.from_placebo)} to "
        f"{points(effect.with_placebo)}. Beyond that,"
    )


def _more(effect: Effect) -> str:
    """Name the placebo that the log-odds are held against where it is not the one just named."""
    if effect.margin_alone:
        return ""
    if effect.margin_placebo == effect.placebo:
        return " beyond the placebo"
    return f" beyond {effect.margin_placebo.title}"


def _turning(effect: Effect, name: str) -> str:
    """Say what a change of the log-odds by as much does to decisions on the data set."""
    verb = "rises" if effect.turning.value >= 0 else "falls"
    return (
        f"If the log-odds of all the images changed by as much, the share predicted {name} "
        f"{verb} by {points(abs(effect.turning.value))}, {interval(effect.turning, points)}."
    )


def _missed(effect: Effect, artifact: str, found: Dependence) -> NotFound:
    done = found.phrases.edited(effect.sign)
    left = (
        f"a change of {points(MIN_SHARE)} or more is excluded"
        if effect.excluded
        else f"too few images to tell, a change of up to {points(effect.reach)} could be missed"
    )
    if effect.unplaced:
        left += ", so no placebo was needed, nor more images"
    against = "" if effect.unplaced else "beyond the placebo "
    return NotFound(
        artifact=artifact,
        n=effect.n,
        minimum_detectable_effect=effect.least,
        effect="change of decisions beyond placebo (share)",
        statement=f"With {done}, the model predicts "
        f"{found.classes[found.target]} for {effect.after:,} of {many(effect.n, 'image')}, for "
        f"{effect.before:,} before: {against}{points(effect.share.value)}, "
        f"{interval(effect.share, points)}; {left}.",
        p_value=effect.share.p_value,
        excluded=effect.excluded,
        edited=True,
        needed=effect.needed,
    )
