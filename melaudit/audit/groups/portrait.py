"""The figures that describe a group of images, each beside the rest of its predicted class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.groups.enrichment import Bools, Enriched
from melaudit.audit.measure.thumbnails import duplicated, likeness
from melaudit.measurements import CHUNK, GRID, Features, Measurements, SomeRows

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

BAND_CELLS = 3
"""Width of the border band in cells of the low-resolution maps: about a tenth of the side."""
MAX_CHANNELS = 8
"""Marking channels named, at most. Chosen, not measured."""
THUMBNAIL = "thumbnail"
"""Measured column with a thumbnail of every image."""


@dataclass(frozen=True)
class Marking:
    """A channel whose relevance marks a group."""

    channel: int
    effect: float
    """Difference of mean relevance from the rest of the class, in pooled standard deviations."""


@dataclass(frozen=True)
class Portrait:
    """A group of images beside the rest of its class; pairs are (inside, rest)."""

    n: int
    class_n: int
    outside: tuple[float, float]
    """Share of absolute relevance outside the centre, which is half of the picture."""
    border: tuple[float, float]
    errors: tuple[float, float]
    """Share predicted wrongly; NaN where no label is known."""
    class_mix: Mapping[str, int]
    enriched: tuple[Enriched, ...]
    marking: tuple[Marking, ...]
    alike: tuple[float, float]
    """Mean correlation of the thumbnails; NaN without thumbnails."""
    duplicated: float
    """Share of images with a near-duplicate in the group."""


@dataclass(frozen=True)
class Columns:
    """The columns that portraits are computed from, one row per image."""

    outside: Floats
    border: Floats
    wrong: Floats
    """1 where the prediction is wrong, 0 where right, NaN where the label is unknown."""
    labels: Rows
    concepts: NDArray[np.floating]
    """(n, channels)"""
    thumbnails: NDArray[np.uint8] | None
    common: NDArray[np.float32] | None
    """The mean thumbnail."""
    classes: tuple[str, ...]


def outside_centre(height: int, width: int) -> Floats:
    """Return (h, w), 1 outside the ellipse in the middle that covers half of the picture."""
    y, x = np.mgrid[:height, :width].astype(float)
    radius = np.hypot((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5)
    outside: Floats = (radius > np.sqrt(0.5 / np.pi)).astype(float)
    return outside


def columns(measurements: Measurements) -> Columns:
    """Read the columns that portraits need; maps are read in chunks of rows."""
    positive, negative = measurements["relevance.positive"], measurements["relevance.negative"]
    far = outside_centre(GRID, GRID)
    inner = np.zeros((GRID, GRID))
    inner[BAND_CELLS:-BAND_CELLS, BAND_CELLS:-BAND_CELLS] = 1
    outside, border = np.empty(len(positive)), np.empty(len(positive))
    for start in range(0, len(positive), CHUNK):
        rows = slice(start, start + CHUNK)
        total = np.abs(positive[rows].astype(np.float32)) + np.abs(negative[rows])
        outside[rows] = (total * far).sum((1, 2))
        border[rows] = (total * (1 - inner)).sum((1, 2))
    known = measurements.labels >= 0
    thumbnails = _thumbnails(measurements)
    return Columns(
        outside=outside,
        border=border,
        wrong=np.where(known, measurements.predictions != measurements.labels, np.nan),
        labels=measurements.labels,
        concepts=measurements["relevance.concepts"],
        thumbnails=thumbnails,
        common=None if thumbnails is None else _mean(thumbnails),
        classes=measurements.classes,
    )


def _mean(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    total = np.zeros(thumbnails.shape[1:], np.int64)
    for start in range(0, len(thumbnails), CHUNK):
        total += thumbnails[start : start + CHUNK].sum(0, dtype=np.int64)
    return (total / len(thumbnails)).astype(np.float32)


def portray(inside: Rows, rest: Rows, enriched: tuple[Enriched, ...], table: Columns) -> Portrait:
    """Compare the images `inside` (rows) with the `rest` of their predicted class."""
    labels = table.labels[inside]
    return Portrait(
        n=len(inside),
        class_n=len(inside) + len(rest),
        outside=(mean(table.outside[inside]), mean(table.outside[rest])),
        border=(mean(table.border[inside]), mean(table.border[rest])),
        errors=(mean(table.wrong[inside]), mean(table.wrong[rest])),
        class_mix={
            name: int((labels == i).sum())
            for i, name in enumerate(table.classes)
            if (labels == i).any()
        },
        enriched=enriched,
        marking=marking_channels(SomeRows(table.concepts, inside), SomeRows(table.concepts, rest)),
        alike=(_alike(table, inside), _alike(table, rest)),
        duplicated=0.0
        if table.thumbnails is None or table.common is None
        else duplicated(SomeRows(table.thumbnails, inside), table.common),
    )


def marking_channels(
    inside: Features, rest: Features, count: int = MAX_CHANNELS
) -> tuple[Marking, ...]:
    """Name the channels whose relevance stands higher inside a group (n, channels) than in the
    rest (m, channels) of its class, by the difference of means in pooled standard deviations.
    """
    if not len(inside) or not len(rest):
        return ()
    (mean_in, var_in), (mean_rest, var_rest) = moments(inside), moments(rest)
    spread = np.sqrt((var_in + var_rest) / 2)
    effect = np.divide(mean_in - mean_rest, spread, out=np.zeros_like(spread), where=spread > 0)
    order = np.argsort(-effect, kind="stable")[:count]
    return tuple(Marking(int(c), float(effect[c])) for c in order if effect[c] > 0)


def moments(values: Features) -> tuple[Floats, Floats]:
    """Return mean and variance of every column of (n, d), in chunks of rows."""
    total, square = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for start in range(0, len(values), CHUNK):
        some = values[start : start + CHUNK].astype(np.float64)
        total += some.sum(0)
        square += np.square(some).sum(0)
    middle = total / len(values)
    return middle, np.maximum(square / len(values) - np.square(middle), 0)


def mean(values: Floats | Bools) -> float:
    """Return the mean over the finite values; NaN when there is none."""
    finite = np.asarray(values, float)[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _alike(table: Columns, rows: Rows) -> float:
    return float("nan") if table.thumbnails is None else likeness(SomeRows(table.thumbnails, rows))


def _thumbnails(measurements: Measurements) -> NDArray[np.uint8] | None:
    try:
        return measurements[THUMBNAIL]
    except KeyError:  # measured before there were thumbnails
        return None
