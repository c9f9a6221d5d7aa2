"""Artifacts that only the user knows: do the user's own labels of them go with a class?

Looks for: columns of --artifact-labels that none of our finders knows (stickers, a clinic's stamp).
Why: a person sees more kinds of artifacts than there are finders.
How scored: opportunity by the odds ratio of the label given the artifact (exact interval, Fisher's
test). Nobody can say where in the picture it is, so neither attention nor dependence is tested.
Do instead: give images of every class the artifact, or take it away, while training.
Reference: Bissoto et al. 2020, "Debiasing skin lesion datasets and models? Not so fast", whose
annotations are of this kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from melaudit.detectors.confidence import confidence
from melaudit.detectors.interface import Batch, Result
from melaudit.detectors.rungs import opportunity as association
from melaudit.detectors.rungs.opportunity import associate
from melaudit.findings import Finding, Rung, Skipped, severity_of
from melaudit.measurements import Array, Measurements
from melaudit.wording.sentences import ratio

FEWEST = 5
"""Labelled images with the artifact, and without, below which nothing is concluded."""


class LabelledArtifacts:
    """Artifacts that the user labelled and no finder knows: their association with the classes."""

    id = "labelled_artifacts"
    title = "Artifacts by the user's own labels"
    checks_explanations = False

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Measure nothing: the user says it all."""
        return {}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Associate each of the user's artifacts with the classes."""
        if not measurements.labelled:
            return [Skipped(self.id, "no artifact labels of the user's own were given")]
        return [_concluded(measurements, *item) for item in measurements.labelled.items()]


def _concluded(measurements: Measurements, name: str, codes: NDArray[np.int8]) -> Result:
    identity, shows = f"labelled_artifacts.{name}", f"{name} by the user's labels"
    rows = np.flatnonzero((codes >= 0) & (measurements.labels >= 0))
    present, labels = codes[rows] == 1, measurements.labels[rows]
    n, having = len(rows), int(present.sum())
    if having < FEWEST or n - having < FEWEST:
        few = f"{having:,} of {n:,} images that have both labels show {name}"
        return Skipped(identity, f"{few}; a comparison needs {FEWEST} with and {FEWEST} without")
    classes, predictions = measurements.classes, measurements.predictions[rows]
    data = associate(present, labels, classes)
    if data is None:
        return Skipped(identity, "all images with a label of it are of one class")
    if not data.reached:
        return association.missed(data, identity, shows)
    chain = association.evidence(data, present, labels, predictions, classes, shows)
    affected = rows[present]
    return Finding(
        id=identity,
        detector="labelled_artifacts",
        title=f"{name} goes with {classes[data.kind]} in these data",
        severity=severity_of({Rung.OPPORTUNITY}),
        confidence=confidence(chain, measurements.explanations),
        rung=Rung.OPPORTUNITY,
        artifact=None,
        classes=(classes[data.kind],),
        statement=f"The data allow it: {data.counted(classes, shows)} (odds ratio "
        f"{ratio(data.odds.value)}).",
        evidence=chain,
        images=tuple(measurements.ids[i] for i in affected),
        remedy=f"See that images of every class show {name} equally often while training, or crop "
        "or cover it; then audit again.",
        does_not_show="That the model looks at it or uses it: where it is was not given, and "
        "nothing was put in or taken away.",
        tables=association.tables(present, labels, predictions, classes, name),
    )
