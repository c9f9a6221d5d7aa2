"""An artifact that the audit found in its own images, held to the evidence of any other.

Looks for: a part of pictures that many images of one predicted class show and others hardly do,
away from the centre, where classes should look alike; or a look of whole pictures (light, colour,
sharpness) that they have.
Why: a shortcut may be something for which nobody has written a finder.
How scored: as any artifact (see `artifact`). The part was chosen on one half of the images, by what
it does there; all that is claimed of it is tested on the other half, and images of one patient are
in one half. Every part that is tried on either half has a claim of its own, so that the number of
parts enters the correction. It was chosen because it goes with a class, so that it does is no
finding: decisions must change to that class where it is put in. That they change where it is taken
out does not do: what of the object lies in that place goes with it. Nor that they change to another
class: a model that learned it goes to the class that shows it, so it is the edit that acts there,
such as a light patch on a dark picture.
Severity: medium at most until a finder or a reviewer tells what it is, for it may belong to the
object.
Do instead: look at the part and name it in suspicious.csv; a later audit keeps the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Artifact
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.claim import Worded, reached
from melaudit.detectors.interface import Result
from melaudit.detectors.rungs.claims import USED, Climb
from melaudit.detectors.rungs.dependence import Dependence
from melaudit.detectors.rungs.dependence_evidence import missed
from melaudit.detectors.rungs.shown import Shown
from melaudit.findings import Evidence, Finding, Mitigation, Subject
from melaudit.measurements import Measurements
from melaudit.wording.sentences import many, percent

UNNAMED = (
    "Nobody has said what it is, and it may belong to the object: until it is named, it counts as "
    "medium at most."
)
"""What a finding says of a discovered artifact without a name."""


@dataclass(frozen=True)
class Origin:
    """Where a discovered artifact comes from."""

    tested: NDArray[np.bool_]
    """(n,) images that it is tested on; it was chosen on the others."""
    images: tuple[str, ...]
    """All images that show it, those that show most of it first."""
    shown: int
    """Images of the class that show it, among those that it was chosen on."""
    predicted: str
    others: float
    """Share of the images of other classes there that show as much of it."""
    resembles: str
    """A sentence on what it resembles, or who named it."""
    measured: str
    """A sentence on where in the pictures it was looked for."""
    named: bool
    """Whether it is known what it is: a finder knows it, or a reviewer named it."""

    def sentences(self) -> str:
        """Say where it comes from."""
        chosen, tested = int((~self.tested).sum()), int(self.tested.sum())
        return (
            f"It was chosen on {many(chosen, 'image')}, by how far it moved decisions there; "
            f"{self.shown:,} of them predicted {self.predicted} and {percent(self.others)} of "
            "those neither predicted nor labelled so show as much of it. All of this is of "
            f"{tested:,} other images, and it was put into those not predicted {self.predicted}. "
            f"{self.resembles} {self.measured}" + ("" if self.named else f" {UNNAMED}")
        )


class DiscoveredDetector(ArtifactDetector):
    """One discovered artifact; it is measured by who discovers it, not in the pass.

    It asks about the model: what nobody looked for beforehand is missing in no audit.
    """

    subject = Subject.MODEL

    def __init__(self, artifact: Artifact, others: Sequence[Artifact], origin: Origin) -> None:
        super().__init__(artifact, others)
        self.origin = origin
        self.mitigation = None if origin.named else Mitigation.UNNAMED

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Climb the rungs on the half of the images that it is tested on."""
        return super().conclude(measurements.of(self.origin.tested))

    def _affected(self, measurements: Measurements, climb: Climb) -> tuple[str, ...]:
        return self.origin.images

    def _word(
        self,
        measurements: Measurements,
        shown: Shown,
        climb: Climb,
        evidence: tuple[Evidence, ...],
    ) -> Sequence[Worded]:
        """Say where the part comes from, if a decision changes; else what could have been seen."""
        use = climb.use
        if not isinstance(use, Dependence):
            return ()
        if not reached(evidence) & set(USED) or use.add is None or not use.add.reached:
            return missed(use, self.id)
        if use.classes[use.target] != self.origin.predicted:
            said = (
                f"Images predicted {self.origin.predicted} show it, and decisions follow it to "
                f"{use.classes[use.target]}: what moves them is how it was put in, not the part."
            )
            return [replace(n, statement=f"{n.statement} {said}") for n in missed(use, self.id)]
        return [
            replace(said, statement=f"{said.statement} {self.origin.sentences()}")
            if isinstance(said, Finding)
            else said
            for said in super()._word(measurements, shown, climb, evidence)
        ]
