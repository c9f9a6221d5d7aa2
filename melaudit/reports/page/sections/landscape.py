"""The map of strategies: images as points, near those that the same channels decided."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Cluster
from melaudit.reports.interface import Landscape, Record

WIDTH, FRAME_HEIGHT, GAP, MARGIN, TITLE_HEIGHT = 620.0, 300.0, 12.0, 18.0, 26.0
"""Of the map, of a frame, between frames, inside a frame, of a frame's title."""
MAX_COLUMNS, MAX_FRAMES = 2, 6
"""Frames side by side and in all. A frame is one predicted class; those with most images come
first."""
LETTER_WIDTH = 7.5
"""Of a name, which must not reach out of the map."""
MAX_COLOURED = 6
"""Clusters with a colour of their own, the most suspicious first; the rest share one."""

TRIM = 0.005
"""Share of points at each end that are drawn at the edge, or one stray point would squeeze the
rest."""


@dataclass(frozen=True)
class Frame:
    """Where the images of one predicted class lie."""

    title: str
    title_at: tuple[str, str]
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class Cloud:
    """The points of one cluster."""

    title: str
    link: str
    """Anchor of the cluster's card; empty for none."""
    style: int
    """Number of its colour; `MAX_COLOURED` is that of the rest."""
    right: str
    wrong: str
    """SVG subpaths of length 0, one per point; `right` holds those without a label too."""
    names: tuple[str, ...]
    """What each point is, those of `right` before those of `wrong`."""
    at: tuple[str, str]
    """(x, y) of the cluster's name."""
    n: str
    n_wrong: str
    predicted: str


@dataclass(frozen=True)
class LandscapeSection:
    """The map and its table."""

    width: str
    height: str
    frames: tuple[Frame, ...]
    clouds: tuple[Cloud, ...]
    how: str
    note: str
    """How many of the images are drawn, if not all."""
    any_wrong: bool
    label: str
    """The map in words."""


def landscape(record: Record, links: int) -> LandscapeSection | None:
    """Return the map of strategies; None when the record has none.

    links: how many clusters, from the first, have a card to link to.
    """
    places = record.landscape
    if places is None or not places.images:
        return None
    frames = _frames(places)
    at = _places(places, frames)
    clusters = record.findings.clusters
    own = clusters[:MAX_COLOURED]
    known = {c.id for c in own}
    groups: list[tuple[Cluster | None, list[int]]] = [
        (c, [k for k in at if places.clusters[k] == c.id]) for c in own
    ]
    groups.append((None, [k for k in at if places.clusters[k] not in known]))
    clouds = tuple(
        _cloud(style, cluster, rows, places, at, links)
        for style, (cluster, rows) in enumerate(groups)
        if rows
    )
    return LandscapeSection(
        width=f"{WIDTH:.0f}",
        height=f"{max(float(f.y) + float(f.height) for f in frames.values()):.0f}",
        frames=tuple(frames.values()),
        clouds=clouds,
        how=wording.unbroken(places.how),
        note=f"{wording.count(len(at))} of {wording.many_unbroken(places.of, 'image')} drawn."
        if len(at) < places.of
        else "",
        any_wrong=any(c.wrong for c in clouds),
        label=f"Map of {wording.many_unbroken(len(at), 'image')}: "
        + "; ".join(f"{c.title}, {c.n}" for c in clouds),
    )


def _frames(places: Landscape) -> dict[str, Frame]:
    """Return a frame for each predicted class, the most frequent first."""
    counts = Counter(places.predictions)
    names = sorted(counts, key=lambda name: (-counts[name], name))[:MAX_FRAMES]
    columns = min(MAX_COLUMNS, len(names))
    width = (WIDTH - GAP * (columns - 1)) / columns
    return {
        name: Frame(
            title=f"predicted {wording.name(name, 32)}",
            title_at=(
                f"{k % columns * (width + GAP) + 12:.1f}",
                f"{k // columns * (FRAME_HEIGHT + GAP) + 19:.1f}",
            ),
            x=f"{k % columns * (width + GAP):.1f}",
            y=f"{k // columns * (FRAME_HEIGHT + GAP):.1f}",
            width=f"{width:.1f}",
            height=f"{FRAME_HEIGHT:.1f}",
        )
        for k, name in enumerate(names)
    }


def _places(places: Landscape, frames: Mapping[str, Frame]) -> dict[int, tuple[float, float]]:
    """Return image -> (x, y) on the map, for images that have a frame."""
    at: dict[int, tuple[float, float]] = {}
    for name, frame in frames.items():
        rows = [k for k, p in enumerate(places.predictions) if p == name]
        left, top = float(frame.x), float(frame.y)
        right, bottom = left + float(frame.width), top + float(frame.height)
        xs = _axis([places.x[k] for k in rows], left + MARGIN, right - MARGIN)
        ys = _axis([places.y[k] for k in rows], bottom - MARGIN, top + TITLE_HEIGHT + MARGIN)
        at |= dict(zip(rows, zip(xs, ys, strict=True), strict=True))
    return at


def _cloud(
    style: int,
    cluster: Cluster | None,
    rows: Sequence[int],
    places: Landscape,
    at: Mapping[int, tuple[float, float]],
    links: int,
) -> Cloud:
    wrong = [k for k in rows if places.labels[k] not in (None, places.predictions[k])]
    right = [k for k in rows if places.labels[k] in (None, places.predictions[k])]
    title = wording.name(cluster.id, 32) if cluster else "in no named cluster"
    return Cloud(
        title=title,
        link=f"cluster-{style + 1}" if cluster and style < links else "",
        style=style if cluster else MAX_COLOURED,
        right=_path(right, at),
        wrong=_path(wrong, at),
        names=tuple(_named(k, places, title) for k in (*right, *wrong)),
        at=_middle(rows, at, title),
        n=wording.count(len(rows)),
        n_wrong=wording.count(len(wrong)),
        predicted=wording.name(cluster.predicted, 32) if cluster else wording.DASH,
    )


def _path(rows: Sequence[int], at: Mapping[int, tuple[float, float]]) -> str:
    return "".join(f"M{at[k][0]:.1f} {at[k][1]:.1f}h0" for k in rows)


def _named(k: int, places: Landscape, cluster: str) -> str:
    label = places.labels[k]
    labelled = "no label" if label is None else f"labelled {wording.name(label, 32)}"
    predicted = f"predicted {wording.name(places.predictions[k], 32)}"
    return f"{wording.name(places.images[k], 48)}: {predicted}, {labelled}; {cluster}"


def _middle(
    rows: Sequence[int], at: Mapping[int, tuple[float, float]], name: str
) -> tuple[str, str]:
    """Return the place of a cluster's name: among its points, but inside the map."""
    xs, ys = sorted(at[k][0] for k in rows), sorted(at[k][1] for k in rows)
    half = len(name) * LETTER_WIDTH / 2
    x = min(max(xs[len(xs) // 2], half), WIDTH - half)
    return f"{x:.0f}", f"{ys[len(ys) // 2]:.0f}"


def _axis(values: Sequence[float], start: float, end: float) -> list[float]:
    """Place values between start and end; stray and non-finite ones are placed at the edge."""
    finite = sorted(v for v in values if math.isfinite(v)) or [0.0]
    cut = int(TRIM * len(finite))
    low, high = finite[cut], finite[-1 - cut]
    span = high - low or 1.0
    shares = (min(1.0, max(0.0, (v - low) / span)) if math.isfinite(v) else 0.0 for v in values)
    return [start + s * (end - start) for s in shares]
