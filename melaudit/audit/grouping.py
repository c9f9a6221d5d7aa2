"""The question what groups there are, asked after all detectors and beside them.

It speaks as a detector does, so that a failure of it is a result and not the end of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from melaudit.audit.enrichment import Bools
from melaudit.audit.error_slices import slices
from melaudit.audit.prototypes import prototypes
from melaudit.audit.suspicion import suspicious_clusters
from melaudit.detectors.interface import Array, Batch, Measurements, Result
from melaudit.findings import Cluster, Outlier, Prototype, Skipped, Slice, Trust


class Grouping:
    """Groups of images that are decided in a like manner, and images apart from all groups.

    `conclude` leaves them in `clusters`, `prototypes`, `outliers` and `slices`.
    """

    id = "clusters"
    title = "Groups that are decided in a like manner"
    checks_explanations = False

    def __init__(self, artifacts: Mapping[str, Bools]) -> None:
        self.clusters: tuple[Cluster, ...] = ()
        """The most suspicious first."""
        self.prototypes: tuple[Prototype, ...] = ()
        self.outliers: tuple[Outlier, ...] = ()
        self.slices: tuple[Slice, ...] = ()
        self._artifacts = artifacts

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Measure nothing: groups are made of what the pass keeps of every image."""
        return {}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Group the images, unless the maps are unusable."""
        if measurements.explanations is Trust.UNUSABLE:
            return [Skipped(self.id, "withheld: the maps are unusable")]
        if not measurements.layer:
            return [Skipped(self.id, "the model has no layer whose channels are concepts")]
        self.clusters, apart = suspicious_clusters(
            measurements, self._artifacts, measurements.metadata
        )
        self.prototypes, self.outliers = prototypes(measurements)
        self.slices, missing = slices(measurements, self._artifacts)
        return [*apart, *missing]
