"""Concept cards: the channels that matter, on the images on which they carry most.

A channel matters when it marks a suspicious group, or carries much of a class. It is known by its
reference images, those with the largest share of relevance in it (relevance maximisation, Achtibat
et al. 2023), each cut to where the channel looks. References come from what the pass kept of every
image; only they are explained again: at most `MAX_CHANNELS` x `MAX_REFERENCES` conditional maps,
and one look at where all channels of the layer look on each of these images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from melaudit.audit.conclude.outcome import Outcome
from melaudit.audit.conclude.table import artifacts
from melaudit.audit.exhibits.details import detail
from melaudit.audit.exhibits.exhibits import readable
from melaudit.audit.groups.enrichment import Bools, Enriched, enriched, traits
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.measure.store import Store
from melaudit.audit.viewer import Viewer
from melaudit.errors import RelevanceError
from melaudit.findings import Cluster, Concept, Skipped
from melaudit.images.dataset import Dataset
from melaudit.measurements import CHUNK, Measurements
from melaudit.observer import Observer
from melaudit.reports.interface import ConceptView, Detail

MAX_CHANNELS = 8
"""Channels shown."""
MAX_CLUSTERS, MAX_PER_CLUSTER = 2, 3
"""Of the first so many clusters, so many marking channels each; then the strongest of a class."""
MAX_REFERENCES = 5
"""Reference images of a channel."""
STRONGEST = 0.05
"""Share of a class on which artifacts are counted: the images on which a channel is strongest.
Chosen, not measured."""
MIN_IMAGES = 10
"""Images on which artifacts are counted, and as many others of the class, at least. Chosen: a round
figure, not measured."""

Rows = NDArray[np.int64]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Pick:
    """A channel to show, on images of one predicted class."""

    channel: int
    target: int
    """Index of the class."""
    why: str


@dataclass(frozen=True)
class References:
    """What a channel's reference images show, explained again."""

    details: tuple[Detail, ...]
    """Where the channel looks on each."""
    outside: float | None
    """Mean share of its relevance away from the centre; None where the engine cannot tell."""
    others: float | None
    """The same of the other channels, in the median."""


def with_concepts(
    result: Outcome, store: Store, dataset: Dataset, viewer: Viewer, observer: Observer
) -> tuple[Outcome, tuple[ConceptView, ...]]:
    """Add the channels that matter to an outcome, and return what a report shows of them."""
    observer.stage("Looking at the channels that matter")
    table = replace(result.measurements, explanations=result.checked.trust)
    found, views, apart = concepts(result.clusters, table, artifacts(store), dataset, viewer)
    return replace(result, concepts=found, skipped=(*result.skipped, *apart)), views


def concepts(
    clusters: Sequence[Cluster],
    measurements: Measurements,
    shown: Mapping[str, Bools],
    dataset: Dataset,
    viewer: Viewer,
) -> tuple[tuple[Concept, ...], tuple[ConceptView, ...], tuple[Skipped, ...]]:
    """Describe the channels that matter, and cut out what they look at.

    `shown`: artifact -> (n,) whether an image shows it. Nothing, and the reason, for a model
    without a concept layer, for maps that are unusable and for an engine that has no conditional
    maps.
    """
    if not measurements.layer:
        return (), (), (Skipped("concepts", "the model has no layer whose channels are concepts"),)
    if not measurements.explanations.usable:
        return (), (), (Skipped("concepts", f"withheld: the maps are {measurements.explanations}"),)
    relevance = measurements["relevance.concepts"]
    picks = [p for p in chosen(clusters, measurements) if _speaks(p, measurements)]
    of_class = {p.target: np.flatnonzero(measurements.predictions == p.target) for p in picks}
    order = [strongest(relevance, of_class[p.target], p.channel) for p in picks]
    sizes = [max(MIN_IMAGES, round(STRONGEST * len(of_class[p.target]))) for p in picks]
    groups = [
        (rows[:size], np.setdiff1d(of_class[p.target], rows[:size]))
        for p, rows, size in zip(picks, order, sizes, strict=True)
    ]
    excess = enriched(groups, traits(shown, measurements.metadata))
    references = [
        tuple(
            measurements.ids[row] for row in rows[:MAX_REFERENCES] if relevance[row, p.channel] > 0
        )
        for p, rows in zip(picks, order, strict=True)
    ]
    try:
        seen = _explained(picks, references, dataset, viewer)
    except RelevanceError as error:
        return (), (), (Skipped("concepts", f"no conditional maps: {error}"),)
    found = tuple(
        replace(
            _concept(pick, images, look, more, size, measurements),
            share=float(np.abs(relevance[of_class[pick.target], pick.channel]).mean(dtype=float)),
        )
        for pick, images, look, more, size in zip(
            picks, references, seen, excess, sizes, strict=True
        )
    )
    views = tuple(
        ConceptView(p.channel, measurements.classes[p.target], look.details)
        for p, look in zip(picks, seen, strict=True)
    )
    return found, views, ()


def chosen(clusters: Sequence[Cluster], measurements: Measurements) -> list[Pick]:
    """Choose channels: those that mark the first clusters, then those that carry most of a class.

    A channel is shown once for each class; a class of fewer than 2 * `MIN_IMAGES` images has none.
    """
    picks: dict[tuple[int, int], Pick] = {}
    relevance = measurements["relevance.concepts"]
    counts = np.bincount(measurements.predictions, minlength=len(measurements.classes))
    for cluster in clusters[:MAX_CLUSTERS]:
        target = measurements.classes.index(cluster.predicted)
        for channel in cluster.channels[:MAX_PER_CLUSTER]:
            why = f"marks cluster {cluster.id}"
            picks.setdefault((channel, target), Pick(channel, target, why))
    targets = [measurements.positive] if measurements.positive is not None else range(len(counts))
    for target in targets:
        rows = np.flatnonzero(measurements.predictions == target)
        mean = _mean(relevance, rows)
        for channel in np.argsort(-mean, kind="stable")[:2]:
            why = f"carries most of the decisions for {measurements.classes[target]}"
            picks.setdefault((int(channel), target), Pick(int(channel), target, why))
    return [pick for pick in picks.values() if counts[pick.target] >= 2 * MIN_IMAGES][:MAX_CHANNELS]


def _speaks(pick: Pick, measurements: Measurements) -> bool:
    """Tell whether a channel speaks for the class on any image; one that never does shows none."""
    values = measurements["relevance.concepts"][:, pick.channel]
    return bool((values[measurements.predictions == pick.target] > 0).any())


def strongest(relevance: NDArray[np.floating], rows: Rows, channel: int) -> Rows:
    """Return the rows on which a channel carries most, the first one most: a twentieth or more.

    relevance: (n, channels). Chunks are ranked one by one and their heads merged, so that no more
    than a chunk and a head are held.
    """
    count = min(len(rows), max(MIN_IMAGES, MAX_REFERENCES, round(STRONGEST * len(rows))))
    head: Rows = np.empty(0, np.int64)
    for start in range(0, len(rows), CHUNK):
        pool = np.concatenate([head, rows[start : start + CHUNK]])
        values = relevance[pool, channel].astype(np.float32)
        head = pool[np.argsort(-np.nan_to_num(values, nan=-1), kind="stable")[:count]]
    return head


def _mean(relevance: NDArray[np.floating], rows: Rows) -> NDArray[np.float64]:
    total = np.zeros(relevance.shape[1])
    for start in range(0, len(rows), CHUNK):
        total += np.nan_to_num(relevance[rows[start : start + CHUNK]].astype(np.float64)).sum(0)
    return total / max(1, len(rows))


def _explained(
    picks: Sequence[Pick],
    references: Sequence[Sequence[str]],
    dataset: Dataset,
    viewer: Viewer,
) -> list[References]:
    """Explain the reference images of each pick's channel again."""
    pairs = [(k, identity) for k, images in enumerate(references) for identity in images]
    looks = {
        (k, made.image): (made, outside)
        for k, made, outside in _looks(pairs, picks, dataset, viewer)
    }
    return [
        _references(pick, [looks[k, i] for i in images if (k, i) in looks])
        for k, (pick, images) in enumerate(zip(picks, references, strict=True))
    ]


def _looks(
    pairs: Sequence[tuple[int, str]], picks: Sequence[Pick], dataset: Dataset, viewer: Viewer
) -> Iterator[tuple[int, Detail, Shares | None]]:
    """Yield the number of a pick, where its channel looks on an image, and how much lies outside.

    The last is the share of each channel (channels,) that lies away from the centre; None where
    the engine cannot tell all of them at once. An image that cannot be read any more is left out. A
    batch holds images of several picks.
    """
    explainer, layer = viewer.explainer, viewer.layer
    for batch in viewer.batches(pairs):
        wanted: dict[str, list[int]] = {}
        for k, identity in batch:
            wanted.setdefault(identity, []).append(k)
        for some, x, pictures in readable(list(wanted), dataset, viewer):
            asked = [(i, k) for i, (identity, _) in enumerate(some) for k in wanted[identity]]
            shown = x[[i for i, _ in asked]]
            targets = torch.tensor([picks[k].target for _, k in asked], device=x.device)
            own = torch.tensor([[picks[k].channel] for _, k in asked])
            outside: list[Shares | None] = [None] * len(asked)
            if explainer.engine == "dataflow":  # others need a pass for each channel
                mask = torch.from_numpy(1 - outside_centre(*x.shape[2:]))
                maps, places = explainer.looks(shown, targets, layer, own, mask)
                outside = list(places.share("outside").double().cpu().numpy())
            else:
                maps = explainer.crp(shown, targets, layer, own)
            for (i, k), values, away in zip(asked, maps[:, 0], outside, strict=True):
                yield k, detail(some[i][0], values.float().cpu().numpy(), pictures[i]), away


def _references(pick: Pick, looks: Sequence[tuple[Detail, Shares | None]]) -> References:
    """Return what the reference images of a channel show.

    Channels that carry nothing lie nowhere; an image on which the channel does is left out.
    """
    own, others = [], []
    for shares in (shares for _, shares in looks if shares is not None):
        rest = np.delete(shares, pick.channel)
        if np.isfinite(rest).any() and np.isfinite(shares[pick.channel]):
            own.append(float(shares[pick.channel]))
            others.append(float(np.median(rest[np.isfinite(rest)])))
    return References(
        tuple(shown for shown, _ in looks),
        float(np.mean(own)) if own else None,
        float(np.mean(others)) if others else None,
    )


def _concept(
    pick: Pick,
    images: tuple[str, ...],
    seen: References,
    excess: Sequence[Enriched],
    size: int,
    measurements: Measurements,
) -> Concept:
    more = [e for e in excess if e.more][:3]
    return Concept(
        channel=pick.channel,
        predicted=measurements.classes[pick.target],
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
