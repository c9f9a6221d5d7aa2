"""The question what groups there are, asked after all detectors and beside them.

It speaks as a detector does, so that a failure of it is a result and not the end of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.groups.cluster_findings import cluster_findings, looks
from melaudit.audit.groups.enrichment import Bools
from melaudit.audit.groups.error_slices import slices
from melaudit.audit.groups.prototypes import prototypes
from melaudit.audit.groups.suppression import suppress
from melaudit.audit.groups.suspicion import suspicious_clusters
from melaudit.audit.measure.visual_words import Vocabulary
from melaudit.detectors.interface import Batch, Result
from melaudit.findings import Cluster, Outlier, Prototype, Skipped, Slice, Trust
from melaudit.measurements import Array, Measurements

TRIED = 3
"""Clusters whose channels are suppressed, the most suspicious ones."""


class Grouping:
    """Groups of images that are decided in a like manner, and images apart from all groups.

    `conclude` leaves them in `clusters`, `prototypes`, `outliers` and `slices`. With a laboratory,
    the channels that mark the most suspicious groups are suppressed there; without one they are
    not, and no more than attention is claimed.
    """

    id = "clusters"
    title = "Groups that are decided in a like manner"
    checks_explanations = False

    def __init__(
        self,
        artifacts: Mapping[str, Bools],
        laboratory: Laboratory | None = None,
        vocabularies: Sequence[Vocabulary] = (),
    ) -> None:
        self.clusters: tuple[Cluster, ...] = ()
        """The most suspicious first."""
        self.prototypes: tuple[Prototype, ...] = ()
        self.outliers: tuple[Outlier, ...] = ()
        self.slices: tuple[Slice, ...] = ()
        self._artifacts = artifacts
        self._laboratory = laboratory
        self._vocabularies = vocabularies

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Measure nothing: groups are made of what the pass keeps of every image."""
        return {}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Group the images, unless the maps are unusable, and claim what may be claimed."""
        if measurements.explanations is Trust.UNUSABLE:
            return [Skipped(self.id, "withheld: the maps are unusable")]
        if not measurements.layer:
            return [Skipped(self.id, "the model has no layer whose channels are concepts")]
        clusters, apart = suspicious_clusters(
            measurements, self._artifacts, measurements.metadata, self._vocabularies
        )
        rows = _rows(clusters, measurements)
        self.clusters = self._tried(clusters, rows, measurements)
        self.prototypes, self.outliers = prototypes(measurements)
        self.slices, missing = slices(measurements, self._artifacts)
        claims = cluster_findings(looks(self.clusters, rows, measurements), measurements)
        return [*claims, *apart, *missing]

    def _tried(
        self,
        clusters: Sequence[Cluster],
        rows: Mapping[str, NDArray[np.int64]],
        measurements: Measurements,
    ) -> tuple[Cluster, ...]:
        """Suppress the marking channels of the first clusters."""
        if self._laboratory is None:
            return tuple(clusters)
        laboratory = self._laboratory
        first = [
            replace(c, suppression=suppress(rows[c.id], kind, measurements, laboratory))
            for c in clusters[:TRIED]
            for kind in [measurements.classes.index(c.predicted)]
        ]
        return (*first, *clusters[TRIED:])


def _rows(clusters: Sequence[Cluster], measurements: Measurements) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each cluster by its id, in rising order."""
    if not clusters:
        return {}
    row_of = {identity: row for row, identity in enumerate(measurements.ids)}
    return {c.id: np.array(sorted(row_of[i] for i in c.images), np.int64) for c in clusters}
