"""The groups of images that a model decides in the same way, found after the maps are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.groups.cluster_findings import ID, Look, cluster_claims, looks
from melaudit.audit.groups.enrichment import Bools
from melaudit.audit.groups.error_slices import slices
from melaudit.audit.groups.prototypes import prototypes
from melaudit.audit.groups.suppression import suppress
from melaudit.audit.groups.suspicion import suspicious_clusters
from melaudit.audit.measure.visual_words import NOTHING, Sight
from melaudit.detectors.claim import Claim
from melaudit.errors import ends_the_run
from melaudit.findings import (
    Cluster,
    DetectorInfo,
    Failed,
    Outlier,
    Prototype,
    Skipped,
    Slice,
    Subject,
)
from melaudit.measurements import Measurements

GROUPING = DetectorInfo(ID, "Groups that are decided alike", Subject.MODEL, asks="", why="")
"""How the report names this question, beside those of the detectors."""
MAX_SUPPRESSED_CLUSTERS = 3
"""Clusters whose channels are suppressed, the most suspicious ones. Limits the time."""


@dataclass(frozen=True)
class Groups:
    """Groups of images that are decided alike, and images apart from all groups."""

    clusters: tuple[Cluster, ...] = ()
    """The most suspicious first."""
    prototypes: tuple[Prototype, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    slices: tuple[Slice, ...] = ()
    claims: tuple[Claim[tuple[Look, ...]], ...] = ()
    """What may become a finding on a group, not yet corrected."""
    skipped: tuple[Skipped, ...] = ()


def group(
    measurements: Measurements,
    artifacts: Mapping[str, Bools],
    laboratory: Laboratory | None = None,
    sight: Sight = NOTHING,
) -> Groups:
    """Group the images, unless the maps are unusable.

    artifacts: name -> (n,) whether an image shows it. With a laboratory, the channels that mark the
    most suspicious groups are suppressed there; without one they are not, and no more than
    attention can be claimed. A failure is a `Skipped`, not the end of the run.
    """
    try:
        return _groups(measurements, artifacts, laboratory, sight)
    except Exception as error:
        if ends_the_run(error):
            raise
        return Groups(skipped=(Failed.by(ID, error),))


def _groups(
    measurements: Measurements,
    artifacts: Mapping[str, Bools],
    laboratory: Laboratory | None,
    sight: Sight,
) -> Groups:
    if not measurements.explanations.usable:
        return Groups(skipped=(Skipped(ID, f"withheld: the maps are {measurements.explanations}"),))
    if not measurements.layer:
        reason = "the model has no layer whose channels are concepts"
        return Groups(skipped=(Skipped(ID, reason),))
    clusters, apart = suspicious_clusters(measurements, artifacts, measurements.metadata, sight)
    rows = _rows(clusters, measurements)
    found = _tried(clusters, rows, measurements, laboratory)
    usual, outliers = prototypes(measurements)
    worse, missing = slices(measurements, artifacts)
    claims: list[Claim[tuple[Look, ...]]] = []
    if measurements.above_chance:
        claims = cluster_claims(looks(found, rows, measurements), measurements)
    return Groups(
        clusters=tuple(found),
        prototypes=usual,
        outliers=outliers,
        slices=worse,
        claims=tuple(claims),
        skipped=(*apart, *missing),
    )


def _tried(
    clusters: Sequence[Cluster],
    rows: Mapping[str, NDArray[np.int64]],
    measurements: Measurements,
    laboratory: Laboratory | None,
) -> Sequence[Cluster]:
    """Suppress the marking channels of the first clusters."""
    if laboratory is None:
        return clusters
    first = [
        replace(c, suppression=suppress(rows[c.id], target, measurements, laboratory))
        for c in clusters[:MAX_SUPPRESSED_CLUSTERS]
        for target in [measurements.classes.index(c.predicted)]
    ]
    return (*first, *clusters[MAX_SUPPRESSED_CLUSTERS:])


def _rows(clusters: Sequence[Cluster], measurements: Measurements) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each cluster by its id, in rising order."""
    if not clusters:
        return {}
    row_of = {identity: row for row, identity in enumerate(measurements.ids)}
    return {c.id: np.array(sorted(row_of[i] for i in c.images), np.int64) for c in clusters}
