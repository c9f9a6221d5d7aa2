"""An artifact as a chain of evidence: the one detector for every known artifact.

Looks for: a thing that is not the object, such as a ruler or a black ring. A finder sees it in the
picture, or the user marks it.
Why: where the artifact goes with a class, a model can predict the class from it. Such a model fails
on images where the artifact is missing, or is shown with another class.
How scored: by four rungs of evidence (see docs/evidence.md). Opportunity: the odds ratio of the
label given the artifact, with an exact interval and Fisher's test, in the training data where the
user names them. Attention: the relevance on each image's own artifact against the relevance that
other images of the same predicted class have in the same place, with a bootstrap interval and a
permutation test; padding alone puts relevance on corners, so a fixed threshold would not do.
Dependence: the change of the decision when the artifact is put in or taken out, against placebo
edits of the same image, with a score interval and a sign-flip test. Harm: the right decisions
that this costs.
Do instead: follow the remedy of the artifact.
Reference: Sies et al. 2021, "Dark corner artefact and diagnostic performance of a market-approved
neural network for skin cancer classification"; Winkler et al. 2019 on surgical ink; Sun et al. 2023
on false alarms of attribution maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from melaudit.artifacts.held import kind_of, rule
from melaudit.artifacts.interface import Adaptable, Artifact, HasKinds, HasPlainRule
from melaudit.detectors.claim import Claim, Worded, finding, reached
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.measures.regions import pooled, shares
from melaudit.detectors.rungs import claims, company, dependence_evidence, harm, opportunity
from melaudit.detectors.rungs.attention import Attention, attend
from melaudit.detectors.rungs.claims import Climb
from melaudit.detectors.rungs.company import Part
from melaudit.detectors.rungs.dependence import Dependence, depend
from melaudit.detectors.rungs.opportunity import associate
from melaudit.detectors.rungs.shown import Shown, shown
from melaudit.findings import (
    Evidence,
    Mitigation,
    NotFound,
    Reaction,
    Rung,
    Skipped,
    Subject,
    Table,
)
from melaudit.measurements import GRID, Array, Measurements
from melaudit.wording.sentences import either, many, points

MIN_WITH_ARTIFACT = 5
"""Images with an artifact, and without, below which nothing is concluded. Chosen, not measured."""


class ArtifactDetector(Detector):
    """One artifact: its association with the label, the relevance on it, and what it does.

    `others` are all artifacts that are looked for: what images show beside this one may explain it.
    """

    subject = Subject.ARTIFACT
    artifact: Artifact
    mitigation: Mitigation | None = None
    """Why what is found counts for less."""

    def __init__(self, artifact: Artifact, others: Sequence[Artifact] = ()) -> None:
        self.artifact, self.others = artifact, others
        self.id = artifact.id
        self.title = artifact.title

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Find the artifact in every image and add up the relevance that lies on it."""
        found = batch.find(self.artifact)
        nowhere = np.zeros(batch.maps.relevance.shape[1:], np.float32)
        masks = np.zeros((len(found), GRID, GRID), np.uint8)
        on_it = np.full((3, len(found)), np.nan, np.float32)
        for i, seen in enumerate(found):
            coverage = nowhere
            if seen.present and not self.artifact.whole_picture:
                coverage = batch.images.project(seen.mask, i)
                masks[i] = pooled(coverage)
            share = shares(batch.maps.relevance[i], coverage)
            on_it[:, i] = share.absolute, share.signed, share.area
        columns: dict[str, Array] = {
            "score": np.array([seen.score for seen in found], np.float32),
            "present": np.array([seen.present for seen in found], np.bool_),
        }
        if not self.artifact.whole_picture:
            columns |= {"mask": masks, "share": on_it[0], "signed": on_it[1], "area": on_it[2]}
        if isinstance(self.artifact, HasKinds):
            kinds = [
                kind_of(self.artifact, image, seen) if seen.present else -1
                for image, seen in zip(batch.images.views, found, strict=True)
            ]
            columns["kind"] = np.array(kinds, np.int16)
        if isinstance(self.artifact, HasPlainRule):
            holds = [rule(self.artifact, image) for image in batch.images.views]
            columns["rule"] = np.array(holds, np.bool_)
        return columns

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Climb the rungs with each kind that images show: opportunity, attention, dependence."""
        found = shown(self.artifact, measurements, self.others)
        return [self._concluded(each, measurements) for each in found]

    def _concluded(self, shown: Shown, measurements: Measurements) -> Result:
        climb = _climb(shown, measurements)
        if not climb.met and isinstance(climb.use, str):
            few = _few(shown, climb)
            if not climb.present.any():
                statement = f"{few}, so nothing is known of how the model treats them."
                return NotFound(self.id, len(climb.present), None, "odds ratio", statement)
            if self._never_varies(measurements):
                statement = (
                    f"All {many(len(climb.present), 'image')} have this to the same degree, so "
                    "the model cannot tell them apart by it. Images that differ in it were not "
                    "tested."
                )
                return NotFound(
                    self.id, len(climb.present), None, "odds ratio", statement, excluded=True
                )
            return Skipped(
                shown.key,
                f"{few}; a comparison needs {MIN_WITH_ARTIFACT} with and "
                f"{MIN_WITH_ARTIFACT} without",
            )
        if climb.data is None and isinstance(climb.look, str) and isinstance(climb.use, str):
            return Skipped(shown.key, f"the labels cannot tell, {climb.look}, and {climb.use}")
        return Claim(
            shown.key,
            climb,
            evidence=partial(_evidence, measurements, shown),
            word=partial(self._word, measurements, shown),
        )

    def _never_varies(self, measurements: Measurements) -> bool:
        """Tell whether every image has a property of the whole picture to the same degree."""
        return self.artifact.whole_picture and not np.ptp(measurements[f"{self.id}.score"])

    def _word(
        self,
        measurements: Measurements,
        shown: Shown,
        climb: Climb,
        evidence: tuple[Evidence, ...],
    ) -> Sequence[Worded]:
        """Claim what the corrected evidence carries, or say what was not found."""
        rungs = reached(evidence)
        if not climb.met and isinstance(climb.use, Dependence):
            return [self._unseen(shown, climb, climb.use, evidence)]
        if not rungs:
            return list(self._missed(shown, climb))
        classes, phrases = measurements.classes, shown.artifact.phrases
        title, statement = claims.claim(climb, rungs, classes, phrases)
        target = climb.data.target if climb.data is not None and climb.data.reached else None
        if isinstance(climb.use, Dependence) and climb.use.reached:
            target = climb.use.target
        unused: tuple[NotFound, ...] = ()
        if isinstance(climb.use, Dependence) and not climb.use.reached:
            unused = dependence_evidence.missed(climb.use, self.id)
        return [
            finding(
                evidence,
                measurements.explanations,
                id=shown.key,
                detector=self.id,
                title=title,
                artifact=self.id,
                classes=() if target is None else (classes[target],),
                statement=_joined(statement, self._followers(measurements)),
                images=self._affected(measurements, climb),
                remedy=shown.artifact.remedy,
                does_not_show=claims.does_not_show(
                    climb, measurements.explanations, rungs, phrases
                ),
                tables=self._tables(measurements, shown, climb),
                rewarded=rungs - {Rung.OPPORTUNITY} if climb.against else rungs,
                mitigation=self.mitigation,
            ),
            *unused,
        ]

    def _followers(self, measurements: Measurements) -> str:
        """Return a sentence on the artifacts that this one explains; empty for none."""
        said = [
            f"{each.artifact.phrases.things} ({c.both:,} of {many(c.n, 'image')} with them)"
            for each in (s for o in self.others for s in _known(o, measurements, [self.artifact]))
            for c in each.beside
            if c.part is Part.SEEN_WITH and c.other == self.id
        ]
        return f"Seen with it: {', '.join(said)}." if said else ""

    def _affected(self, measurements: Measurements, climb: Climb) -> tuple[str, ...]:
        """Return the images that show it, those with the most relevance on it first."""
        affected = np.flatnonzero(climb.present)
        order = measurements[f"{self.id}.score"][affected]
        if not self.artifact.whole_picture and measurements.explanations.usable:
            order = np.nan_to_num(measurements[f"{self.id}.share"][affected], nan=-1.0)
        return tuple(measurements.ids[i] for i in affected[np.argsort(-order, kind="stable")])

    def _tables(self, measurements: Measurements, shown: Shown, climb: Climb) -> tuple[Table, ...]:
        phrases, classes = shown.artifact.phrases, measurements.classes
        strict = None
        if isinstance(self.artifact, HasPlainRule):
            rule = measurements[f"{self.id}.rule"].astype(bool)
            strict = (self.artifact.rule_title, rule)
        tables = opportunity.tables(
            climb.present,
            measurements.labels,
            measurements.predictions,
            classes,
            self.id.replace("_", " ") if shown.key == self.id else phrases.thing,
            strict,
        )
        if isinstance(climb.look, Attention):
            tables += (climb.look.table(),)
        if climb.costs:
            tables += (harm.table(climb.costs, phrases, classes),)
        return tables

    def _unseen(
        self, shown: Shown, climb: Climb, use: Dependence, evidence: tuple[Evidence, ...]
    ) -> Reaction | NotFound:
        """Say what the artifact would do, where no picture shows that it could be learned."""
        few, phrases = _few(shown, climb), shown.artifact.phrases
        effect = use.effects[0]
        if not use.reached:
            left = (
                f"does not react to {phrases.things}"
                if use.excluded
                else f"does not clearly react to {phrases.things}, but a change of up to "
                f"{points(use.reach)} decisions could have been missed"
            )
            return NotFound(
                artifact=self.id,
                n=effect.n,
                minimum_detectable_effect=effect.least,
                effect="change of decisions beyond placebo (share)",
                statement=f"{few}, and the model {left}: {use.counted()}.",
                p_value=effect.share.p_value,
                excluded=use.excluded,
                edited=True,
                needed=effect.needed,
            )
        beside = climb.said_beside(phrases)
        notes = _joined(use.at_odds(), use.resembles(), *use.notes(), beside)
        which = "show only with what explains them" if beside else "do not show"
        return Reaction(
            artifact=self.id,
            title=f"The model reacts to {use.cue(phrases.things)}, which these images {which}",
            classes=(use.classes[use.target],),
            n=effect.n,
            statement=_joined(
                f"{few}, so these data cannot have taught this. Edits move decisions: "
                f"{use.counted()}.",
                notes,
            ),
            evidence=evidence,
            does_not_show="That the model learned it as a shortcut, nor how often "
            f"{phrases.things} come up where it will be used.",
        )

    def _missed(self, shown: Shown, climb: Climb) -> Iterator[NotFound]:
        phrases = shown.artifact.phrases
        if climb.data is not None:
            yield opportunity.missed(
                climb.data,
                self.id,
                phrases.shows,
                in_training=climb.in_training,
                seen_with=climb.said_beside(phrases),
            )
        if isinstance(climb.look, Attention):
            yield climb.look.missed(self.id)
        if isinstance(climb.use, Dependence):
            yield from dependence_evidence.missed(climb.use, self.id)


def _climb(shown: Shown, measurements: Measurements) -> Climb:
    """Try every rung for what images show of an artifact."""
    artifact, present, alone = shown.artifact, shown.present, shown.alone
    labels, classes = measurements.labels, measurements.classes
    met = MIN_WITH_ARTIFACT <= alone.sum() <= len(present) - MIN_WITH_ARTIFACT
    enough = MIN_WITH_ARTIFACT <= present.sum() <= len(present) - MIN_WITH_ARTIFACT
    data = associate(present, labels, classes) if enough else None
    training = measurements.training.get(shown.key)
    if training is not None:
        data = associate(*training, classes)
        met = met or training[0].sum() >= MIN_WITH_ARTIFACT
    data = opportunity.with_predictions(data, present, labels, measurements.predictions)
    if data is not None:
        seen_with = any(c.part is Part.SEEN_WITH and c.label for c in shown.beside)
        data = replace(data, explained=seen_with)
    look: Attention | str = "it has no place of its own to look at"
    if not artifact.whole_picture:
        look = attend(measurements, artifact.id, artifact.phrases, alone)
    use = depend(measurements, shown.key, artifact.phrases)
    costs = harm.harm(measurements, shown.key, use) if isinstance(use, Dependence) else ()
    return Climb(
        present=present,
        data=data,
        in_training=training is not None,
        look=look,
        use=use,
        costs=costs,
        met=met,
        beside=shown.beside,
        lifted=isinstance(artifact, Adaptable),
    )


def _few(shown: Shown, climb: Climb) -> str:
    """Say how few images show it, or lack it."""
    n, seen, shows = len(climb.present), int(shown.alone.sum()), shown.artifact.phrases.shows
    without = [c.others for c in shown.beside if c.part is Part.SEEN_WITH]
    apart = f" without {either(without)}" if without else ""
    return f"{seen or 'None'} of {many(n, 'image')} {claims.verb(seen)} {shows}{apart}"


def _known(
    artifact: Artifact, measurements: Measurements, others: Sequence[Artifact]
) -> tuple[Shown, ...]:
    """Return what images show of another artifact; nothing where it was not measured."""
    try:
        return shown(artifact, measurements, others)
    except KeyError:
        return ()


def _evidence(measurements: Measurements, shown: Shown, climb: Climb) -> tuple[Evidence, ...]:
    """Return the evidence of every rung that was tried."""
    phrases = shown.artifact.phrases
    chain: tuple[Evidence, ...] = ()
    if climb.data is not None:
        chain = opportunity.evidence(
            climb.data,
            measurements.classes,
            phrases.shows,
            int((measurements.labels >= 0).sum()),
            in_training=climb.in_training,
        )
        chain += company.evidence(climb.beside, phrases.things)
    if isinstance(climb.look, Attention):
        chain += climb.look.evidence()
    if isinstance(climb.use, Dependence):
        chain += dependence_evidence.evidence(climb.use)
        chain += harm.evidence(climb.costs, phrases, climb.use.reached, measurements.classes)
    return chain


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
