"""How suspicious a cluster is, as a plain mean of named parts, each explained in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.clustering import group, marking_channels
from melaudit.detectors.interface import GRID, Measurements
from melaudit.findings import Cluster, Skipped

BAND = 3
"""Width of the border band in cells of the low-resolution maps: about a tenth of the side."""

ENRICHED = 0.1
"""Smallest difference in shares that is put into words."""


@dataclass(frozen=True)
class Columns:
    """What suspicion looks at, one row per image."""

    border: NDArray[np.float64]
    """(n,) share of absolute relevance in the border band."""
    artifacts: Mapping[str, NDArray[np.bool_]]
    """Artifact -> (n,) whether the image shows it."""
    wrong: NDArray[np.float64]
    """(n,) 1 where the prediction is wrong, 0 where right, NaN where the label is unknown."""


def suspicious_clusters(
    measurements: Measurements, artifacts: Mapping[str, NDArray[np.bool_]]
) -> tuple[tuple[Cluster, ...], tuple[Skipped, ...]]:
    """Cluster the images of each predicted class and rank the clusters by suspicion.

    artifacts: artifact -> (n,) whether an image shows it.
    """
    if not measurements.layer:
        return (), (Skipped("clusters", "the model has no layer whose channels are concepts"),)
    maps = measurements["relevance.positive"].astype(float) - measurements["relevance.negative"]
    total = np.abs(measurements["relevance.positive"].astype(float)) + np.abs(
        measurements["relevance.negative"]
    )
    concepts = measurements["relevance.concepts"].astype(float)
    inner = total[:, BAND:-BAND, BAND:-BAND].sum((1, 2))
    known = measurements.labels >= 0
    columns = Columns(
        border=total.sum((1, 2)) - inner,
        artifacts=artifacts,
        wrong=np.where(known, measurements.predictions != measurements.labels, np.nan),
    )
    clusters: list[Cluster] = []
    skipped: list[Skipped] = []
    for index, name in enumerate(measurements.classes):
        rows = np.flatnonzero(measurements.predictions == index)
        grouping = group(concepts[rows], maps[rows], measurements.seed)
        if not grouping.members:
            skipped.append(
                Skipped(
                    "clusters",
                    f"the {len(rows)} images predicted {name} do not fall into groups",
                )
            )
        for number, members in enumerate(
            sorted(grouping.members, key=lambda m: (-len(m), int(m[0]))), 1
        ):
            channels = marking_channels(concepts[rows], members)
            clusters.append(
                _describe(f"{name}-{number}", name, rows, members, channels, columns, measurements)
            )
    order = sorted(clusters, key=lambda c: (-c.suspicion, c.id))
    return tuple(order), tuple(skipped)


def _describe(
    identity: str,
    name: str,
    rows: NDArray[np.int64],
    members: NDArray[np.int64],
    channels: list[int],
    columns: Columns,
    measurements: Measurements,
) -> Cluster:
    """Describe one cluster: `members` index into `rows`, the images of its predicted class."""
    inside, rest = rows[members], np.setdiff1d(rows, rows[members])
    border_in, border_rest = _mean(columns.border[inside]), _mean(columns.border[rest])
    error_in, error_rest = _mean(columns.wrong[inside]), _mean(columns.wrong[rest])
    shares = {a: (_mean(v[inside]), _mean(v[rest])) for a, v in columns.artifacts.items()}
    top = max(shares, key=lambda a: shares[a][0] - shares[a][1], default=None)
    area = 1 - ((GRID - 2 * BAND) / GRID) ** 2
    parts = {
        # Relevance spread evenly would put `area` into the band; twice that in excess is plenty.
        "border": _unit((border_in - border_rest) / (area / 2)),
        "artifact": _unit(shares[top][0] - shares[top][1]) if top else 0.0,
        "errors": _unit(abs(error_in - error_rest) / 0.5),
    }
    why = [f"{len(inside)} of the {len(rows)} images predicted {name} are decided in a like manner"]
    if border_in - border_rest > ENRICHED / 2:
        why.append(
            f"{border_in:.0%} of the relevance lies in the border band, {border_rest:.0%} in the "
            "rest of the class"
        )
    if top and shares[top][0] - shares[top][1] > ENRICHED:
        there, elsewhere = shares[top]
        why.append(f"{there:.0%} show {_words(top)}, {elsewhere:.0%} in the rest of the class")
    if abs(error_in - error_rest) > ENRICHED / 2:
        why.append(f"{error_in:.0%} are wrong, {error_rest:.0%} in the rest of the class")
    labels = measurements.labels[inside]
    mix = {
        label: int((labels == i).sum())
        for i, label in enumerate(measurements.classes)
        if (labels == i).any()
    }
    return Cluster(
        id=identity,
        predicted=name,
        n=len(inside),
        suspicion=float(np.mean(list(parts.values()))),
        parts=parts,
        why=tuple(why),
        images=tuple(measurements.ids[row] for row in inside),
        class_mix=mix,
        error_rate=None if np.isnan(error_in) else error_in,
        border_share=border_in,
        artifacts={a: there for a, (there, _) in shares.items()},
        channels=tuple(channels),
    )


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    """Return the mean over the finite values; NaN when there is none."""
    finite = np.asarray(values, float)[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _unit(value: float) -> float:
    return 0.0 if np.isnan(value) else float(np.clip(value, 0, 1))


def _words(artifact: str) -> str:
    return "a " + artifact.replace("_", " ")
