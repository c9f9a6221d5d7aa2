"""What may be claimed of an artifact; the wording follows the weakest evidence of a claim."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Phrases
from melaudit.detectors.rungs.attention import Attention
from melaudit.detectors.rungs.company import Company, Part
from melaudit.detectors.rungs.dependence import UNNATURAL_DISTANCE, Dependence
from melaudit.detectors.rungs.effect import MIN_SHARE
from melaudit.detectors.rungs.harm import Harm
from melaudit.detectors.rungs.opportunity import Association
from melaudit.findings import Rung, Trust
from melaudit.wording.sentences import capitalised, either, many, points, ratio

USED = (Rung.DEPENDENCE, Rung.HARM)


@dataclass(frozen=True)
class Climb:
    """The result on each rung; a text says why a rung could not be tested."""

    present: NDArray[np.bool_]
    """(n,) images that show the artifact."""
    data: Association | None
    in_training: bool
    """Whether `data` is about the images the model was trained on."""
    look: Attention | str
    use: Dependence | str
    costs: tuple[Harm, ...]
    met: bool
    """Whether the pictures known to the audit show the artifact often enough to be learned, and not
    only where another one explains it."""
    beside: tuple[Company, ...] = ()
    """Other artifacts that the same images show."""
    lifted: bool = False
    """Whether what is put in is taken from images that show it."""

    @property
    def against(self) -> bool:
        """Whether decisions follow it to another class than the labels reward it with."""
        return (
            isinstance(self.use, Dependence)
            and self.use.reached
            and self.data is not None
            and self.data.reached
            and self.use.target != self.data.target
        )

    def named(self, phrases: Phrases) -> str:
        """Return several of it, with what cannot be told from it: "rulers or letters"."""
        return either([phrases.things, *(c.others for c in self.beside if c.part is Part.EITHER)])

    def said_beside(self, phrases: Phrases) -> str:
        """Return sentences on the other artifacts that the same images show; empty for none."""
        return " ".join(c.words(phrases.things) for c in self.beside)


def verb(n: int) -> str:
    """Return "shows" for one image or none, "show" for several."""
    return "show" if n > 1 else "shows"


def claim(
    climb: Climb, reached: Collection[Rung], classes: tuple[str, ...], phrases: Phrases
) -> tuple[str, str]:
    """Return a finding's title and its statement."""
    rewarded = Rung.OPPORTUNITY in reached
    allowed = _allowed(climb, rewarded, classes, phrases)
    learned = rewarded and not climb.against
    named, beside = climb.named(phrases), climb.said_beside(phrases)
    if any(rung in reached for rung in USED) and isinstance(climb.use, Dependence):
        does = "decides by" if learned else "reacts to"
        # What is drawn is the artifact alone; what is lifted may carry the other along.
        own = not climb.lifted and climb.use.add is not None and climb.use.add.reached
        title = f"The model {does} {climb.use.cue(phrases.things if own else named)}"
        said = _joined(
            climb.use.sentences(), climb.use.at_odds(), climb.use.resembles(), allowed, beside
        )
        return title, said
    label = classes[climb.data.target] if climb.data is not None else ""
    if Rung.ATTENTION in reached and isinstance(climb.look, Attention):
        looks = f"The model looks there: {climb.look.counted()}."
        title = f"The model looks at {named}"
        if rewarded:
            title += f", and they go with {label}"
        return title, _joined(allowed, beside, looks, _unused(climb))
    where = "its training data" if climb.in_training else "these data"
    title = f"{capitalised(named)} go with {label} in {where}"
    return title, _joined(allowed, beside, _unused(climb))


def does_not_show(climb: Climb, trust: Trust, reached: Collection[Rung], phrases: Phrases) -> str:
    """Return what a reader must not conclude."""
    if any(rung in reached for rung in USED) and isinstance(climb.use, Dependence):
        return _limits_of_use(climb, climb.use, reached, phrases)
    untested = f"Only edits that add or remove the {phrases.thing} can tell."
    if isinstance(climb.use, Dependence):
        untested = (
            f"Edits that add or remove the {phrases.thing} changed too few decisions to say so."
            if not climb.use.excluded
            else f"That the model never uses {phrases.things}: smaller changes of decisions are "
            "not excluded."
        )
    if not isinstance(climb.look, Attention):
        return f"That the model looks at or uses the {phrases.thing}: {climb.look}. {untested}"
    if Rung.ATTENTION not in reached:
        return (
            f"That the model uses the {phrases.thing}: its maps show no clear excess there, but "
            f"maps cannot prove that a model ignores something. {untested}"
        )
    doubt = " The maps themselves are in doubt on this model." if trust is Trust.DEGRADED else ""
    return (
        f"That the decision depends on the {phrases.thing}: dark or bright pixels and sharp edges "
        f"draw relevance of their own. {untested}{doubt}"
    )


def _allowed(climb: Climb, rewarded: bool, classes: tuple[str, ...], phrases: Phrases) -> str:
    """Return a sentence on whether the labels reward the artifact."""
    where = "The model's training data" if climb.in_training else "The data"
    if climb.data is None:
        shown = int(climb.present.sum())
        return (
            f"{many(shown, 'image')} of {len(climb.present):,} {verb(shown)} {phrases.shows}; "
            "without labels it cannot be said whether going by them pays."
        )
    counted = climb.data.counted(classes, phrases.shows)
    if climb.against or rewarded:
        does = "reward another answer" if climb.against else "allow it"
        return f"{where} {does}: {counted} (odds ratio {ratio(climb.data.odds.value)})."
    return f"{where} do not clearly reward it: {counted}."


def _unused(climb: Climb) -> str:
    """Return what trials said against use, where there were any."""
    if not isinstance(climb.use, Dependence):
        return ""
    counted = climb.use.sentences()
    if climb.use.excluded:
        return (
            f"But edits show no dependence: a change of {points(MIN_SHARE)} decisions or more is "
            f"excluded. {counted}"
        )
    return (
        "Too few images were edited to tell whether decisions depend on it: a change of up to "
        f"{points(climb.use.reach)} could have been missed. {counted}"
    )


def _limits_of_use(
    climb: Climb, use: Dependence, reached: Collection[Rung], phrases: Phrases
) -> str:
    parts = [
        f"How often {phrases.things} come up where the model will be used, and that real ones act "
        "just as those put in here."
    ]
    if climb.against:
        parts.insert(
            0,
            "That the model learned this from a link with the label: the labels link it with "
            "another class than decisions follow it to.",
        )
    elif Rung.OPPORTUNITY not in reached:
        source = "its training data do" if climb.in_training else "these data do"
        parts.insert(
            0,
            f"That the model learned this from a link with the label: {source} not show one, and "
            "a model may react to what it never met.",
        )
    if use.distance is not None and use.distance >= UNNATURAL_DISTANCE:
        parts.append(
            "The edited pictures are unlike natural ones, which moves decisions by itself."
        )
    return " ".join(parts)


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
