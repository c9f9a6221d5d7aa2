"""What a group shows that others do not, cut out of its pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from melaudit.audit.exhibits.concepts import detail
from melaudit.audit.exhibits.exhibits import readable
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.measure.sweep import Sweep
from melaudit.findings import Cluster
from melaudit.images.dataset import Dataset
from melaudit.measurements import Measurements
from melaudit.reports.interface import PartView

SHOWN = 4
"""Clusters whose parts are cut out, the most suspicious ones."""
PICTURES = 5


def part_details(
    clusters: Sequence[Cluster], measurements: Measurements, dataset: Dataset, plan: Sweep
) -> tuple[PartView, ...]:
    """Cut out where the images that show most of a cluster's part show it.

    The map of each cut is 1 at the places of the part and 0 elsewhere.
    """
    views = []
    for cluster in clusters[:SHOWN]:
        part = cluster.exclusive
        if part is None:
            continue
        words = measurements[plan.vocabularies[part.vocabulary].column]
        row_of = {identity: row for row, identity in enumerate(measurements.ids)}
        away = outside_centre(*words.shape[1:]) > 0
        rows = np.array([row_of[identity] for identity in cluster.images])
        there = np.isin(words[rows], part.words) & away
        most = np.argsort(-there.sum((1, 2)), kind="stable")[:PICTURES]
        masks = {cluster.images[k]: there[k].astype(np.float32) for k in most.tolist()}
        details = [
            detail(identity, masks[identity], picture)
            for some, _, pictures in readable(list(masks), dataset, plan)
            for (identity, _), picture in zip(some, pictures, strict=True)
        ]
        views.append(PartView(cluster.id, tuple(details)))
    return tuple(views)
