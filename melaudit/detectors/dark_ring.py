"""The black ring of the dermatoscope: does it go with a class, and does the model look at it?

Looks for: images with a black ring or dark corners, found in the picture itself.
Why: rings come with certain instruments and clinics; where those see more melanomas, black corners
tell the label, and a model that reads them fails elsewhere.
How scored: opportunity by the odds ratio of the label given a ring (exact interval, Fisher's test);
attention by the relevance on each image's own ring against the relevance that ring-free images of
the same predicted class have in the same place (bootstrap interval, permutation test), since
padding alone puts relevance on corners.
Do instead: crop to the field of view, or give images of every class rings while training.
Reference: Sies et al. 2021, "Dark corner artefact and diagnostic performance of a market-approved
neural network for skin cancer classification"; Sun et al. 2023 on attribution's false alarms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.dark_ring import DarkRing as Finder
from melaudit.artifacts.dark_ring import seed_rule
from melaudit.artifacts.interface import Words
from melaudit.detectors import association
from melaudit.detectors.association import Association, associate
from melaudit.detectors.attention import Attention, attend
from melaudit.detectors.confidence import confidence
from melaudit.detectors.interface import GRID, Array, Batch, Measurements, Result
from melaudit.detectors.regions import pooled, shares
from melaudit.detectors.words import many, ratio
from melaudit.findings import Evidence, Finding, NotFound, Rung, Skipped, Trust, severity_of

SHOWS = "a black ring or dark corners"
WORDS = Words("ring", "ringed", "ring-free", SHOWS, "black rings")

FEWEST = 5
"""Images with a ring, and without, below which nothing is concluded."""


class DarkRing:
    """Black rings: their association with the label, and the relevance on them."""

    id = "dark_ring"
    title = "Black ring of the dermatoscope"
    checks_explanations = False

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Find the ring in every image and add up the relevance that lies on it."""
        finder = Finder()
        found = [finder.find(image) for image in batch.images]
        nowhere = np.zeros(batch.relevance.shape[1:], np.float32)
        masks = np.zeros((len(found), GRID, GRID), np.uint8)
        on_ring = np.full((3, len(found)), np.nan, np.float32)
        for i, ring in enumerate(found):
            coverage = nowhere
            if ring.present:
                coverage = batch.project(ring.mask, i)
                masks[i] = pooled(coverage)
            share = shares(batch.relevance[i], coverage)
            on_ring[:, i] = share.absolute, share.signed, share.area
        return {
            "score": np.array([ring.score for ring in found], np.float32),
            "present": np.array([ring.present for ring in found], np.bool_),
            "mask": masks,
            "seed_rule": np.array([seed_rule(image) for image in batch.images], np.bool_),
            "share": on_ring[0],
            "signed": on_ring[1],
            "area": on_ring[2],
        }

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Climb the rungs that need no new prediction: opportunity, then attention."""
        present = measurements["dark_ring.present"].astype(bool)
        n, ringed = len(present), int(present.sum())
        if ringed == 0:
            statement = (
                f"None of {many(n, 'image')} shows {SHOWS}, so nothing is known of how the "
                "model treats them."
            )
            return [NotFound(self.id, n, None, "odds ratio", statement)]
        if ringed < FEWEST or n - ringed < FEWEST:
            few = f"{ringed:,} of {many(n, 'image')} show {SHOWS}"
            reason = f"{few}; a comparison needs {FEWEST} with and {FEWEST} without"
            return [Skipped(self.id, reason)]
        data = associate(present, measurements.labels, measurements.classes)
        look = attend(measurements, self.id, WORDS)
        if data is None and not isinstance(look, Attention):
            return [Skipped(self.id, f"the labels cannot tell, and {look}")]
        finding = self._finding(measurements, present, data, look)
        if finding is not None:
            return [finding]
        return list(self._missed(measurements, present, data, look))

    def _finding(
        self,
        measurements: Measurements,
        present: NDArray[np.bool_],
        data: Association | None,
        look: Attention | str,
    ) -> Finding | None:
        labels, predictions = measurements.labels, measurements.predictions
        classes = measurements.classes
        chain: tuple[Evidence, ...] = ()
        if data is not None:
            chain = association.evidence(data, present, labels, predictions, classes, SHOWS)
        if isinstance(look, Attention):
            chain += look.evidence()
        reached = {e.rung for e in chain if e.reached}
        if not reached:
            return None
        title, statement = _claim(classes, data, look, reached, present)
        strict = measurements["dark_ring.seed_rule"].astype(bool)
        tables = association.tables(
            present, labels, predictions, classes, "black ring", ("all four corners black", strict)
        )
        if isinstance(look, Attention):
            tables += (look.table(),)
        affected = np.flatnonzero(present)
        share = np.nan_to_num(measurements["dark_ring.share"][affected], nan=-1.0)
        if measurements.explanations is Trust.UNUSABLE:
            share = measurements["dark_ring.score"][affected]
        goes_with = data is not None and data.reached
        return Finding(
            id=self.id,
            detector=self.id,
            title=title,
            severity=severity_of(reached),
            confidence=confidence(chain, measurements.explanations),
            rung=max(reached, key=lambda rung: rung.rank),
            artifact=self.id,
            classes=(classes[data.kind],) if data is not None and goes_with else (),
            statement=statement,
            evidence=chain,
            images=tuple(measurements.ids[i] for i in affected[np.argsort(-share, kind="stable")]),
            remedy="Crop every image to the field of view, or paint rings on images of every class "
            "while training; then audit again.",
            does_not_show=_does_not_show(look, measurements.explanations, reached),
            tables=tables,
        )

    def _missed(
        self,
        measurements: Measurements,
        present: NDArray[np.bool_],
        data: Association | None,
        look: Attention | str,
    ) -> Iterator[NotFound]:
        if data is not None:
            yield association.missed(data, present, measurements.labels, self.id, SHOWS)
        if isinstance(look, Attention):
            yield look.missed(self.id)


def _claim(
    classes: tuple[str, ...],
    data: Association | None,
    look: Attention | str,
    reached: set[Rung],
    present: NDArray[np.bool_],
) -> tuple[str, str]:
    """Return title and statement, worded by the weakest evidence they rest on."""
    if Rung.OPPORTUNITY in reached and data is not None:
        counted = data.counted(classes, SHOWS)
        allow = f"The data allow it: {counted} (odds ratio {ratio(data.odds.value)})"
        if Rung.ATTENTION in reached and isinstance(look, Attention):
            return (
                f"The model looks at black rings, and they go with {classes[data.kind]}",
                f"{allow}; and the model looks there: {look.counted()}.",
            )
        return f"Black rings go with {classes[data.kind]} in these data", f"{allow}."
    assert isinstance(look, Attention)
    allowed = "the labels cannot tell whether it pays"
    if data is not None:
        allowed = "these labels do not reward it"
    return (
        "The model looks at black rings",
        f"{many(int(present.sum()), 'image')} of {len(present):,} show {SHOWS}, and the model "
        f"looks there: {look.counted()}; {allowed}.",
    )


def _does_not_show(look: Attention | str, trust: Trust, reached: set[Rung]) -> str:
    """Return what a reader must not conclude."""
    if not isinstance(look, Attention):
        return (
            f"That the model looks at the ring or uses it: {look}, and no ring was painted or "
            "taken away."
        )
    if Rung.ATTENTION not in reached:
        return (
            "That the model uses the ring: its maps show no clear excess there, and maps cannot "
            "prove that it is ignored. Only painting rings and taking them away tells."
        )
    doubt = " The maps themselves are in doubt on this model." if trust is Trust.DEGRADED else ""
    return (
        "That the decision depends on the ring: black pixels and sharp edges draw relevance of "
        f"their own. Only painting rings and taking them away tells.{doubt}"
    )
