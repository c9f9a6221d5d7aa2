"""Details: where a channel looks, or where a group shows what it has, cut out of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB
from melaudit.artifacts.picture import reduced
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.exhibits.exhibits import readable, webp
from melaudit.audit.groups.likeness import likeness
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.groups.strangeness import (
    Strange,
    described_rows,
    strange_in,
    strange_places,
)
from melaudit.audit.groups.strategies import smallest_group
from melaudit.audit.measure.visual_words import LIKENESS, Sight
from melaudit.audit.viewer import Viewer
from melaudit.detectors.interface import Detector
from melaudit.findings import Cluster, Exclusive, Finding
from melaudit.images.dataset import Dataset
from melaudit.measurements import CHUNK, Measurements
from melaudit.reports.interface import Detail, PartView

HELD = 0.6
"""Share of a channel's positive relevance that a detail must hold."""
SIDES = (1 / 3, 1 / 2, 2 / 3)
"""Sides of a detail that are tried, in sides of the picture, before the whole is shown."""
DETAIL = 96
"""Side of a detail, in pixels."""
MAX_CLUSTERS = 4
"""Clusters whose patterns are cut out, the most suspicious ones."""
MAX_PICTURES = 5
"""Pictures of a cluster or a finding, those that show most of its pattern."""
MASK = 32
"""Longer side of the map that says where a discovered part is, in cells."""

Map = NDArray[np.float32]
Where = Callable[[NDArray[np.int64]], Map]
"""where(rows (n,)) -> where these images show something: (n, side, side), 1 there, 0 elsewhere."""


def window(relevance: Map) -> tuple[int, int, int]:
    """Return top, left and side of the least square that holds most of a map's (h, w) evidence.

    Sides are shares of the shorter side; where none of `SIDES` holds `HELD` of what is positive,
    it is the shorter side as a whole.
    """
    positive = np.maximum(relevance, 0).astype(np.float64)
    shorter, total = min(positive.shape), positive.sum()
    sums = np.pad(positive.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    for side in [*(round(share * shorter) for share in SIDES), shorter]:
        held = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        top, left = np.unravel_index(held.argmax(), held.shape)
        if held[top, left] >= HELD * total or side == shorter:
            return int(top), int(left), side
    raise AssertionError  # the last side is the shorter one


def detail(identity: str, relevance: Map, picture: RGB) -> Detail:
    """Cut out of a picture where a map over it, of any resolution, holds most of its evidence."""
    top, left, side = window(relevance)
    height, width = picture.shape[:2]
    down, across = height / relevance.shape[0], width / relevance.shape[1]
    cut = picture[
        round(top * down) : round((top + side) * down),
        round(left * across) : round((left + side) * across),
    ]
    small = cv2.resize(cut, (DETAIL, DETAIL), interpolation=cv2.INTER_AREA)
    there = relevance[top : top + side, left : left + side]
    peak = float(np.abs(there).max())
    return Detail(
        identity,
        webp(np.asarray(small, np.uint8)),
        (there / peak if peak > 0 and np.isfinite(peak) else there).astype(np.float16),
    )


def pattern_details(
    clusters: Sequence[Cluster],
    measurements: Measurements,
    dataset: Dataset,
    viewer: Viewer,
    sight: Sight,
) -> tuple[PartView, ...]:
    """Cut out what a cluster shows and others do not, where its images show most of it.

    The map of each cut is 1 at the places of the pattern and 0 elsewhere. A cluster without a
    pattern has no view.
    """
    views = []
    for cluster in clusters[:MAX_CLUSTERS]:
        pattern = cluster.exclusive
        if pattern is None:
            continue
        row_of = {identity: row for row, identity in enumerate(measurements.ids)}
        rows = np.array([row_of[identity] for identity in cluster.images])
        where = _finder(cluster, pattern, measurements, sight)
        if where is None:
            continue
        # What is strange costs more to find, and its images are in order.
        most = _showing_most(where, rows[:CHUNK] if pattern.strange else rows)
        masks = {cluster.images[k]: mask for k, mask in zip(most, where(rows[most]), strict=True)}
        details = [
            detail(identity, masks[identity], picture)
            for some, _, pictures in readable(list(masks), dataset, viewer)
            for (identity, _), picture in zip(some, pictures, strict=True)
        ]
        views.append(PartView(cluster.id, tuple(details)))
    return tuple(views)


def _showing_most(where: Where, rows: NDArray[np.int64]) -> list[int]:
    """Return which of some images show what a group does at most places: indices into `rows`."""
    shown = [where(rows[start : start + CHUNK]).sum((1, 2)) for start in range(0, len(rows), CHUNK)]
    ordered: list[int] = np.argsort(-np.concatenate(shown), kind="stable").tolist()
    return ordered[:MAX_PICTURES]


def _finder(
    cluster: Cluster, pattern: Exclusive, measurements: Measurements, sight: Sight
) -> Where | None:
    """Return what tells where images show what a group does; None where that is not known."""
    if pattern.strange:
        own = measurements.predictions == measurements.classes.index(cluster.predicted)
        members, others = np.flatnonzero(own), np.flatnonzero(~own)
        known = strange_in(
            measurements, members, others, smallest_group(len(members)), steady=False
        )
        return None if known is None else partial(_strange, known, measurements)
    return partial(_of_pattern, pattern, measurements, sight)


def _strange(known: Strange, measurements: Measurements, rows: NDArray[np.int64]) -> Map:
    noted, some = measurements[LIKENESS][rows], described_rows(measurements, rows)
    return strange_places(noted, some, known).astype(np.float32)


def _of_pattern(
    pattern: Exclusive, measurements: Measurements, sight: Sight, rows: NDArray[np.int64]
) -> Map:
    if pattern.vocabulary is None:
        like = np.array(pattern.like, np.float32)
        there = likeness(measurements[LIKENESS][rows], like) > pattern.bound
    else:
        column = sight.vocabularies[pattern.vocabulary].column
        there = np.isin(measurements[column][rows], pattern.words)
    return (there & (outside_centre(*there.shape[1:]) > 0)).astype(np.float32)


def discovered_details(
    findings: Sequence[Finding],
    detectors: Sequence[Detector],
    measurements: Measurements,
    laboratory: Laboratory,
) -> tuple[PartView, ...]:
    """Cut out the parts that findings on discovered artifacts are about, as `pattern_details` does.

    What is of the whole picture has no place and no view.
    """
    artifacts = {d.id: d.artifact for d in detectors if d.artifact is not None}
    row_of = {identity: row for row, identity in enumerate(measurements.ids)}
    views = []
    for finding in findings:
        artifact = artifacts.get(finding.detector)
        if not finding.discovered or artifact is None or artifact.whole_picture:
            continue
        rows = [row_of[identity] for identity in finding.images[:MAX_PICTURES]]
        details = []
        for row, picture in laboratory.pictures(rows):
            mask = laboratory.find(artifact, row, picture).mask
            if mask.any():
                small = reduced(np.repeat(255 * mask[..., None].astype(np.uint8), 3, 2), MASK)
                there = (small[..., 0] > 127).astype(np.float32)
                details.append(detail(measurements.ids[row], there, picture))
        views.append(PartView(finding.id, tuple(details)))
    return tuple(views)
