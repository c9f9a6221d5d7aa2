"""Concept cards: the channels that matter, on the images on which they carry most.

A channel matters when it marks a suspicious group, or carries much of a class. It is known by its
reference images, those with the largest share of relevance in it (relevance maximisation, Achtibat
et al. 2023), each cut to where the channel looks. References come from what the pass kept of every
image; only they are explained again: at most `CHANNELS` x `REFERENCES` conditional maps, and one
look at where all channels of the layer look on each of these images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from melaudit.audit.exhibits.exhibits import readable, webp
from melaudit.audit.groups.embedding import CHUNK
from melaudit.audit.groups.enrichment import Bools, Enriched, enriched, traits
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.measure.sweep import Sweep
from melaudit.errors import RelevanceError
from melaudit.findings import Cluster, Concept, Skipped, Trust
from melaudit.images.dataset import Dataset
from melaudit.measurements import Measurements
from melaudit.relevance.places import Places
from melaudit.reports.interface import ConceptView, Detail

CHANNELS = 8
"""Channels shown, at most."""
PER_CLUSTER, CLUSTERS = 3, 2
"""Of the first so many clusters, so many marking channels each; then the strongest of a class."""
REFERENCES = 5
STRONGEST = 0.05
"""Share of a class on which artifacts are counted: the images on which a channel is strongest."""
FEWEST = 10
HELD = 0.6
"""Share of a channel's positive relevance that a detail must hold."""
SIDES = (1 / 3, 1 / 2, 2 / 3)
"""Sides of a detail that are tried, in sides of the picture, before the whole is shown."""
DETAIL = 96
"""Side of a detail, in pixels."""

Rows = NDArray[np.int64]
Map = NDArray[np.float32]


@dataclass(frozen=True)
class Pick:
    """A channel to show, on images called `kind`."""

    channel: int
    kind: int
    why: str


@dataclass(frozen=True)
class Seen:
    """What a channel's reference images show, explained again."""

    details: tuple[Detail, ...]
    outside: float | None
    others: float | None


def concepts(
    clusters: Sequence[Cluster],
    measurements: Measurements,
    artifacts: Mapping[str, Bools],
    dataset: Dataset,
    plan: Sweep,
) -> tuple[tuple[Concept, ...], tuple[ConceptView, ...], tuple[Skipped, ...]]:
    """Describe the channels that matter, and cut out what they look at.

    Nothing, and the reason, for a model without a concept layer, for maps that are unusable and for
    an engine that has no conditional maps.
    """
    if not measurements.layer:
        return (), (), (Skipped("concepts", "the model has no layer whose channels are concepts"),)
    if measurements.explanations is Trust.UNUSABLE:
        return (), (), (Skipped("concepts", "withheld: the maps are unusable"),)
    relevance = measurements["relevance.concepts"]
    picks = [p for p in chosen(clusters, measurements) if _speaks(p, measurements)]
    of_class = {p.kind: np.flatnonzero(measurements.predictions == p.kind) for p in picks}
    order = [strongest(relevance, of_class[p.kind], p.channel) for p in picks]
    sizes = [max(FEWEST, round(STRONGEST * len(of_class[p.kind]))) for p in picks]
    groups = [
        (rows[:size], np.setdiff1d(of_class[p.kind], rows[:size]))
        for p, rows, size in zip(picks, order, sizes, strict=True)
    ]
    excess = enriched(groups, traits(artifacts, measurements.metadata))
    references = [
        tuple(measurements.ids[row] for row in rows[:REFERENCES] if relevance[row, p.channel] > 0)
        for p, rows in zip(picks, order, strict=True)
    ]
    try:
        seen = [
            _seen(pick, images, dataset, plan)
            for pick, images in zip(picks, references, strict=True)
        ]
    except RelevanceError as error:
        return (), (), (Skipped("concepts", f"no conditional maps: {error}"),)
    found = tuple(
        replace(
            _concept(pick, images, look, more, size, measurements),
            share=float(np.abs(relevance[of_class[pick.kind], pick.channel]).mean(dtype=float)),
        )
        for pick, images, look, more, size in zip(
            picks, references, seen, excess, sizes, strict=True
        )
    )
    views = tuple(
        ConceptView(p.channel, measurements.classes[p.kind], look.details)
        for p, look in zip(picks, seen, strict=True)
    )
    return found, views, ()


def chosen(clusters: Sequence[Cluster], measurements: Measurements) -> list[Pick]:
    """Choose channels: those that mark the first clusters, then those that carry most of a class.

    A channel is shown once for each class; a class of fewer than 2 * `FEWEST` images has none.
    """
    picks: dict[tuple[int, int], Pick] = {}
    relevance = measurements["relevance.concepts"]
    counts = np.bincount(measurements.predictions, minlength=len(measurements.classes))
    for cluster in clusters[:CLUSTERS]:
        kind = measurements.classes.index(cluster.predicted)
        for channel in cluster.channels[:PER_CLUSTER]:
            why = f"marks cluster {cluster.id}"
            picks.setdefault((channel, kind), Pick(channel, kind, why))
    kinds = [measurements.positive] if measurements.positive is not None else range(len(counts))
    for kind in kinds:
        rows = np.flatnonzero(measurements.predictions == kind)
        mean = _mean(relevance, rows)
        for channel in np.argsort(-mean, kind="stable")[:2]:
            why = f"carries most of the decisions for {measurements.classes[kind]}"
            picks.setdefault((int(channel), kind), Pick(int(channel), kind, why))
    return [pick for pick in picks.values() if counts[pick.kind] >= 2 * FEWEST][:CHANNELS]


def _speaks(pick: Pick, measurements: Measurements) -> bool:
    """Tell whether a channel speaks for the class on any image; one that never does shows none."""
    values = measurements["relevance.concepts"][:, pick.channel]
    return bool((values[measurements.predictions == pick.kind] > 0).any())


def strongest(relevance: NDArray[np.floating], rows: Rows, channel: int) -> Rows:
    """Return the rows on which a channel carries most, the first one most: a twentieth or more.

    relevance: (n, channels). Chunks are ranked one by one and their heads merged, so that no more
    than a chunk and a head are held.
    """
    count = min(len(rows), max(FEWEST, REFERENCES, round(STRONGEST * len(rows))))
    head: Rows = np.empty(0, np.int64)
    for start in range(0, len(rows), CHUNK):
        pool = np.concatenate([head, rows[start : start + CHUNK]])
        values = relevance[pool, channel].astype(np.float32)
        head = pool[np.argsort(-np.nan_to_num(values, nan=-1), kind="stable")[:count]]
    return head


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


def _mean(relevance: NDArray[np.floating], rows: Rows) -> NDArray[np.float64]:
    total = np.zeros(relevance.shape[1])
    for start in range(0, len(rows), CHUNK):
        total += np.nan_to_num(relevance[rows[start : start + CHUNK]].astype(np.float64)).sum(0)
    return total / max(1, len(rows))


def _seen(pick: Pick, images: Sequence[str], dataset: Dataset, plan: Sweep) -> Seen:
    """Explain the reference images of a channel again."""
    details: list[Detail] = []
    own, others = [], []
    for some, x, pictures in readable(images, dataset, plan):
        target = torch.full((len(x),), pick.kind, device=x.device)
        maps = plan.explainer.crp(x, target, plan.layer, [pick.channel])[:, 0]
        for (identity, _), values, picture in zip(some, maps, pictures, strict=True):
            details.append(detail(identity, values.float().cpu().numpy(), picture))
        if plan.explainer.engine == "dataflow":  # others need a pass for each channel
            mask = torch.from_numpy(1 - outside_centre(*x.shape[2:]))
            places = plan.explainer.places(x, target, plan.layer, mask)
            for share, rest in _outside(places, pick.channel):
                own.append(share)
                others.append(rest)
    return Seen(
        tuple(details),
        float(np.mean(own)) if own else None,
        float(np.mean(others)) if others else None,
    )


def _outside(places: Places, channel: int) -> Iterator[tuple[float, float]]:
    """Yield for each image the share of a channel that lies outside, and the others' median.

    Channels that carry nothing lie nowhere; an image on which the channel does is left out.
    """
    for shares in places.share("outside").double().cpu().numpy():
        others = np.delete(shares, channel)
        if np.isfinite(shares[channel]) and np.isfinite(others).any():
            yield float(shares[channel]), float(np.median(others[np.isfinite(others)]))


def detail(identity: str, relevance: Map, picture: NDArray[np.uint8]) -> Detail:
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


def _concept(
    pick: Pick,
    images: tuple[str, ...],
    seen: Seen,
    excess: Sequence[Enriched],
    size: int,
    measurements: Measurements,
) -> Concept:
    more = [e for e in excess if e.more][:3]
    return Concept(
        channel=pick.channel,
        predicted=measurements.classes[pick.kind],
        why=pick.why,
        share=0.0,
        images=images,
        outside=seen.outside,
        others_outside=seen.others,
        strongest=size,
        artifacts={e.name: e.inside for e in more},
        odds_ratios={e.name: e.odds.value for e in more},
        attention=_attention(pick.channel, images, measurements),
    )


def _attention(channel: int, images: Sequence[str], measurements: Measurements) -> float | None:
    """Return the mean weight of a channel where the model attends to it most; None without."""
    try:
        channels = measurements["attention.channels"]
        weights = measurements["attention.weights"]
    except KeyError:
        return None
    row_of = {identity: row for row, identity in enumerate(measurements.ids)}
    rows = [row_of[identity] for identity in images]
    found = list(_weights(channel, channels[rows], weights[rows]))
    return float(np.mean(found)) if found else None


def _weights(channel: int, channels: Rows, weights: NDArray[np.floating]) -> Iterator[float]:
    for named, known in zip(channels, weights, strict=True):
        yield from (float(w) for c, w in zip(named, known, strict=True) if c == channel)
