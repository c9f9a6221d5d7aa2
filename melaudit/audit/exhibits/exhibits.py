"""The pictures of a report: which images it shows, and their maps at full resolution.

Of a large run the pass keeps low-resolution maps only; the few images that are shown are then
explained once more.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from melaudit.artifacts.interface import RGB
from melaudit.audit.conclude.table import class_probabilities
from melaudit.audit.measure.columns import MAP, PEAK
from melaudit.audit.viewer import Viewer
from melaudit.errors import RelevanceError
from melaudit.findings import Cluster, Example, Finding
from melaudit.images.contents import read_unchanged
from melaudit.images.dataset import Dataset
from melaudit.logits import predictions
from melaudit.measurements import CHUNK, Measurements, SomeRows
from melaudit.observer import Observer
from melaudit.relevance import Attribution
from melaudit.relevance.agreement import agreement
from melaudit.relevance.attention import choose_channels
from melaudit.reports.interface import ConceptStrip, Exhibit, Group, SecondOpinion
from melaudit.wording.sentences import many

PICTURE = 256
"""Longest side of a picture in a report, in pixels."""

PER_FINDING, PER_CLUSTER, CLUSTERS, PER_GROUP = 8, 8, 12, 5

STRONG, WEAK = 6, 2
"""Channels in a strip: the strongest, and those next to zero, so that the difference shows."""


def gallery(measurements: Measurements) -> tuple[Group, ...]:
    """Choose images to look at: true and false, positive and negative; or right and wrong.

    The choice is random (seeded), so that a reader sees the usual, not the best.
    """
    rng = np.random.default_rng(measurements.seed)
    labels, predicted = measurements.labels, measurements.predictions
    known = labels >= 0
    groups: list[tuple[str, str, NDArray[np.bool_]]] = []
    if measurements.positive is not None and known.any():
        name = measurements.classes[measurements.positive]
        is_positive, called = labels == measurements.positive, predicted == measurements.positive
        for title, said, mask in (
            ("True positives", f"{name}, and predicted so", is_positive & called),
            ("False positives", f"not {name}, but predicted so", ~is_positive & called),
            ("True negatives", f"not {name}, and not predicted so", ~is_positive & ~called),
            ("False negatives", f"{name}, but not predicted so", is_positive & ~called),
        ):
            groups.append((title, said, mask & known))
    elif known.any():
        groups.append(("Right", "predicted as labelled", known & (labels == predicted)))
        groups.append(("Wrong", "predicted otherwise", known & (labels != predicted)))
    else:
        for index, name in enumerate(measurements.classes):
            groups.append((f"Predicted {name}", "labels are not known", predicted == index))
    chosen = []
    for title, said, mask in groups:
        rows = np.flatnonzero(mask)
        some = np.sort(rng.permutation(rows)[:PER_GROUP])
        chosen.append(
            Group(
                title,
                f"{many(len(rows), 'image')}: {said}"
                + (f"; {len(some)} of them, chosen at random." if len(some) < len(rows) else "."),
                tuple(measurements.ids[row] for row in some),
            )
        )
    return tuple(chosen)


def shown(
    findings: Sequence[Finding],
    clusters: Sequence[Cluster],
    groups: Sequence[Group],
    examples: Sequence[Example] = (),
) -> list[str]:
    """Return the ids of the images a report shows, each once, the most telling first."""
    ids: list[Iterable[str]] = [
        *(finding.images[:PER_FINDING] for finding in findings),
        *(cluster.images[:PER_CLUSTER] for cluster in clusters[:CLUSTERS]),
        *(g.images for g in groups),
        [example.image for example in examples],
    ]
    return list(dict.fromkeys(identity for some in ids for identity in some))


def exhibits(
    ids: Sequence[str],
    dataset: Dataset,
    measurements: Measurements,
    viewer: Viewer,
    observer: Observer,
) -> dict[str, Exhibit]:
    """Make the named images ready to show, with their maps; unreadable ones are left out.

    Maps are those of the pass where it kept them; the others are computed again.
    """
    made: dict[str, Exhibit] = {}
    row_of = {identity: row for row, identity in enumerate(measurements.ids)}
    chances, classes = class_probabilities(measurements), measurements.classes
    kept = _kept(measurements, [row_of[identity] for identity in ids])
    for some, x, pictures in readable(ids, dataset, viewer):
        again = [i for i, (identity, _) in enumerate(some) if row_of[identity] not in kept]
        computed = iter(viewer.explainer.lrp(x[again]) if again else ())
        for (identity, position), picture in zip(some, pictures, strict=True):
            row = row_of[identity]
            relevance = kept[row] if row in kept else _scaled(next(computed))
            label, predicted = int(dataset.labels[position]), int(measurements.predictions[row])
            made[identity] = Exhibit(
                id=identity,
                label=classes[label] if label >= 0 else None,
                prediction=classes[predicted],
                probability=float(chances[row, predicted]),
                picture=webp(picture),
                relevance=relevance,
            )
        observer.advance(len(some))
    return made


def _kept(measurements: Measurements, rows: Sequence[int]) -> dict[int, NDArray[np.float16]]:
    """Return row -> the map that the pass kept of it, of those it kept a finite one of."""
    try:
        maps = measurements[MAP]
    except KeyError:
        return {}
    pooled = measurements["relevance.positive"]
    return {
        row: (maps[row].astype(np.float32) / PEAK).astype(np.float16)
        for row in rows
        if np.isfinite(pooled[row]).all()
    }


@dataclass(frozen=True)
class Explained:
    """A few images explained together, with the concept layer."""

    named: list[tuple[str, int]]
    """Id and row of each in the data set."""
    x: Tensor
    attribution: Attribution
    target: Tensor
    """The predicted classes, which are what is explained."""


def explained(ids: Sequence[str], dataset: Dataset, viewer: Viewer) -> Iterator[Explained]:
    """Yield those of the named images that can be read, explained; none without concepts."""
    if not viewer.layer:
        return
    for some, x, _ in readable(ids, dataset, viewer):
        found = viewer.explainer.attribute(x, None, [viewer.layer], viewer.layer)
        yield Explained(some, x, found, predictions(found.logits))


def strips(every: Iterable[Explained], viewer: Viewer) -> tuple[ConceptStrip, ...]:
    """Make conditional maps (CRP) of images: strongest channels and some next to zero.

    Strong is a channel by its relevance, times the model's own attention to it where it has any.
    """
    made = []
    for each in every:
        attribution, weights = each.attribution, each.attribution.attention
        relevance = attribution.concepts[viewer.layer]
        count = relevance.shape[1]
        orders = [
            choose_channels(own, None if weights is None else weights[i], count)
            for i, own in enumerate(relevance)
        ]
        channels = [
            [*order[:STRONG], *order[-WEAK:]] if count > STRONG + WEAK else order
            for order in orders
        ]
        try:
            maps = viewer.explainer.crp(each.x, each.target, viewer.layer, torch.tensor(channels))
        except RelevanceError:  # the check `channel_uniformity` says why
            return ()
        for i, (identity, _) in enumerate(each.named):
            made.append(
                ConceptStrip(
                    image=identity,
                    layer=viewer.layer,
                    channels=tuple(channels[i]),
                    shares=tuple((relevance[i, channels[i]] / attribution.start[i]).tolist()),
                    maps=_scaled(maps[i]),
                    attention=() if weights is None else tuple(weights[i, channels[i]].tolist()),
                )
            )
    return tuple(made)


def second_opinions(every: Iterable[Explained], viewer: Viewer) -> tuple[SecondOpinion, ...]:
    """Explain images by Grad-CAM too, with the model's attention where it has any."""
    made = []
    for each in every:
        try:
            cam = viewer.explainer.grad_cam(each.x, each.target, viewer.layer)
            attention = viewer.explainer.attention(each.x, viewer.layer)
        except RelevanceError:  # a layer that gives no map
            return ()
        plain = cam.maps()
        attended = None if attention is None else cam.maps(attention.weights)
        with_lrp = agreement(plain, each.attribution.maps)
        with_plain = None if attended is None else agreement(attended, plain)
        for i, (identity, _) in enumerate(each.named):
            made.append(
                SecondOpinion(
                    image=identity,
                    layer=viewer.layer,
                    grad_cam=_scaled(plain[i]),
                    agreement=_known(with_lrp[i]),
                    attended=None if attended is None else _scaled(attended[i]),
                    attended_agreement=None if with_plain is None else _known(with_plain[i]),
                    attention="" if attention is None else attention.where,
                )
            )
    return tuple(made)


def _known(value: Tensor) -> float | None:
    """Return a number, None for NaN."""
    return None if bool(value.isnan()) else float(value)


def mean_maps(
    clusters: Sequence[Cluster], measurements: Measurements
) -> dict[str, NDArray[np.float16]]:
    """Return cluster id -> mean signed map (GRID, GRID), scaled to max|.| = 1."""
    row_of = {identity: row for row, identity in enumerate(measurements.ids)}
    positive, negative = measurements["relevance.positive"], measurements["relevance.negative"]
    means = {}
    for cluster in clusters[:CLUSTERS]:
        rows = np.array([row_of[identity] for identity in cluster.images])
        mean = _mean(SomeRows(positive, rows)) - _mean(SomeRows(negative, rows))
        means[cluster.id] = _scaled(torch.as_tensor(mean))
    return means


def _mean(maps: SomeRows) -> NDArray[np.float64]:
    total = np.zeros(maps.shape[1:])
    for start in range(0, len(maps), CHUNK):
        total += maps[start : start + CHUNK].sum(0, dtype=float)
    mean: NDArray[np.float64] = total / len(maps)
    return mean


def readable(
    ids: Sequence[str], dataset: Dataset, viewer: Viewer
) -> Iterator[tuple[list[tuple[str, int]], Tensor, list[RGB]]]:
    """Yield batches of readable images: (id, row) pairs, inputs (N, C, H, W), pictures (h, w, 3).

    A picture shows what its map lies over: the crop, where preprocessing crops.
    """
    row_of = {identity: row for row, identity in enumerate(dataset.ids)}
    white = viewer.preprocessing.white
    for some in viewer.batches(ids):
        rows = [(identity, row_of[identity]) for identity in some]
        read = [
            (named, read_unchanged(dataset.paths, dataset.contents, named[1], white).image)
            for named in rows
        ]
        there = [(named, image) for named, image in read if image is not None]
        if there:
            images = [image for _, image in there]
            # Without a crop the picture keeps its own shape and the map stretches over it.
            reframed = viewer.preprocessing.reframes
            shown = [viewer.preprocessing.frame(image) if reframed else image for image in images]
            yield [named for named, _ in there], viewer.inputs(images), shown


def webp(image: NDArray[np.uint8]) -> bytes:
    """Re-encode pixels as WebP: whatever else the file carried (GPS, names) is gone."""
    picture = Image.fromarray(image)
    picture.thumbnail((PICTURE, PICTURE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=4)
    return buffer.getvalue()


def _scaled(values: Tensor) -> NDArray[np.float16]:
    """Scale to max|.| = 1; all-zero and non-finite maps stay as they are."""
    peak = values.abs().max()
    scaled = values / peak if torch.isfinite(peak) and peak > 0 else values
    array: NDArray[np.float16] = scaled.detach().to(torch.float16).cpu().numpy()
    return array
