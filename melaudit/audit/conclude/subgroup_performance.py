"""How the model does on parts of the images: each label with and without an artifact, by column."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from melaudit.detectors.measures.subgroups import Grouping, grouping
from melaudit.detectors.metadata import looked_at
from melaudit.findings import ColumnPerformance, GroupPerformance, SlicePerformance
from melaudit.statistics.estimates import proportion

MIN_IMAGES = 5
"""Images of a row, at least: fewer say nothing. Chosen, not measured."""


def slices(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    classes: tuple[str, ...],
    artifacts: Mapping[str, NDArray[np.bool_]],
) -> tuple[SlicePerformance, ...]:
    """Split each label of labels (n,) by each artifact (n,); intervals are Wilson's, 95 %.

    A pair is left out where either half has fewer than `MIN_IMAGES` images.
    """
    found = []
    for artifact, present in sorted(artifacts.items()):
        for index, name in enumerate(classes):
            of = labels == index
            parts = [(shown, of & (present == shown)) for shown in (True, False)]
            if min(int(mask.sum()) for _, mask in parts) < MIN_IMAGES:
                continue
            found += [
                _slice(name, artifact, shown, int((predictions[mask] == index).sum()), mask)
                for shown, mask in parts
            ]
    return tuple(found)


def by_column(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    classes: tuple[str, ...],
    metadata: Mapping[str, NDArray[np.object_]],
) -> tuple[ColumnPerformance, ...]:
    """Split each label of labels (n,) by the groups of each column (n,) that tells patients apart.

    The columns and their groups are those of the detector of metadata. A label's
    images of a group are left out, and counted, where they are fewer than `MIN_IMAGES`. A column is
    left out where fewer than two of its groups remain.
    """
    known = labels >= 0
    found = []
    for column in looked_at(metadata):
        groups = grouping(column, metadata[column], known, MIN_IMAGES)
        cells = _cells(labels, predictions, classes, groups)
        if len({cell.group for cell in cells}) < 2:
            continue
        known_cell = int((groups.member >= -1).sum())
        too_few = known_cell - sum(cell.n for cell in cells)
        found.append(ColumnPerformance(column, cells, too_few, int(known.sum()) - known_cell))
    return tuple(found)


def _cells(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    classes: tuple[str, ...],
    groups: Grouping,
) -> tuple[GroupPerformance, ...]:
    found = []
    for index, label in enumerate(classes):
        for place, group in enumerate(groups.names):
            mask = (labels == index) & (groups.member == place)
            n = int(mask.sum())
            if n >= MIN_IMAGES:
                rate = _rate(int((predictions[mask] == index).sum()), n)
                found.append(GroupPerformance(label, group, n, *rate))
    return tuple(found)


def _slice(
    label: str, artifact: str, shown: bool, right: int, mask: NDArray[np.bool_]
) -> SlicePerformance:
    n = int(mask.sum())
    return SlicePerformance(label, artifact, shown, n, *_rate(right, n))


def _rate(right: int, n: int) -> tuple[float, float, float]:
    """Return the share right / n and the ends of Wilson's interval."""
    share = proportion(right, n)
    return share.value, share.low, share.high
