"""Artifacts that only the user knows: do the user's own labels of them go with a class?

Looks for: columns of --artifact-labels for which there is no finder (stickers, a clinic's stamp).
Why: people see more kinds of artifacts than there are finders.
How scored: opportunity, by the odds ratio of the label given the artifact (exact interval, Fisher's
test). The labels do not say where in the picture the artifact is, so neither attention nor
dependence is tested.
Do instead: give images of every class the artifact, or remove it, while training.
Reference: Bissoto et al. 2020, "Debiasing skin lesion datasets and models? Not so fast", whose
annotations are of this kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from melaudit.detectors.claim import Claim, finding
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.rungs import opportunity
from melaudit.detectors.rungs.opportunity import Association, associate
from melaudit.findings import Evidence, Finding, NotFound, Skipped, Subject
from melaudit.measurements import Array, Measurements
from melaudit.wording.sentences import ratio

MIN_IMAGES = 5
"""Labelled images with the artifact, and without, below which nothing is concluded. Chosen, not
measured."""


class LabelledArtifacts(Detector):
    """Artifacts that the user labelled and no finder knows: their association with the classes."""

    id = "labelled_artifacts"
    title = "Artifacts by the user's own labels"
    subject = Subject.ARTIFACT

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
    if having < MIN_IMAGES or n - having < MIN_IMAGES:
        few = f"{having:,} of {n:,} images that have both labels show {name}"
        return Skipped(
            identity, f"{few}; a comparison needs {MIN_IMAGES} with and {MIN_IMAGES} without"
        )
    classes, predictions = measurements.classes, measurements.predictions[rows]
    data = associate(present, labels, classes)
    if data is None:
        return Skipped(identity, "all images with a label of it are of one class")
    data = opportunity.with_predictions(data, present, labels, predictions)
    return Claim(
        identity,
        data,
        evidence=lambda settled: opportunity.evidence(settled, classes, shows, n),
        word=partial(_word, measurements, name, rows[present], (present, labels, predictions)),
    )


def _word(
    measurements: Measurements,
    name: str,
    affected: NDArray[np.intp],
    counted: tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]],
    data: Association,
    evidence: tuple[Evidence, ...],
) -> Sequence[Finding | NotFound]:
    """Claim the association, or say that there is none."""
    identity, shows = f"labelled_artifacts.{name}", f"{name} by the user's labels"
    classes = measurements.classes
    if not data.reached:
        return [opportunity.missed(data, identity, shows)]
    return [
        finding(
            evidence,
            measurements.explanations,
            id=identity,
            detector="labelled_artifacts",
            title=f"{name} goes with {classes[data.target]} in these data",
            classes=(classes[data.target],),
            statement=f"The data allow it: {data.counted(classes, shows)} (odds ratio "
            f"{ratio(data.odds.value)}).",
            images=tuple(measurements.ids[i] for i in affected),
            remedy=f"See that images of every class show {name} equally often while training, or "
            "crop or cover it; then audit again.",
            does_not_show="That the model looks at it or uses it: where it is was not given, and "
            "nothing was put in or taken away.",
            tables=opportunity.tables(*counted, classes, name),
        )
    ]
