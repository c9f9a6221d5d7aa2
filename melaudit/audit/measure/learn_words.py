"""How places are seen in a run: learned on a sample of its images, or as an earlier try kept it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from melaudit.audit.leases import ALONE, Turns, Units
from melaudit.audit.measure.visual_words import (
    LIKENESS_SIDE,
    MAX_IMAGES,
    SIDES,
    Descriptions,
    Floats,
    Sight,
    described,
    descriptors,
    learn,
    load,
    map_of,
    save,
)
from melaudit.audit.viewer import Viewer
from melaudit.images.dataset import Dataset
from melaudit.images.image_stream import ImageStream
from melaudit.observer import Observer
from melaudit.relevance.model.tokens import as_map
from melaudit.statistics.sampling import sample

KEPT = "words.npz"
MIN_LIKENESS_SIDE = 6
"""Places a side that the layer must have by which places are described. Chosen: on the work seeds
of benchmarks/photographs later layers did as well, and a coarser one leaves few places off the
centre."""


def sight(
    viewer: Viewer,
    dataset: Dataset,
    folder: Path,
    seed: int,
    observer: Observer,
    workers: int = 0,
    turns: Turns = ALONE,
) -> Sight:
    """Return the visual words of the layers that tell details apart, and how places are described.

    Nothing for a model without such layers. It is kept in the folder: shards of one run must all be
    read with the same. `workers` processes decode the images it is learned on; `turns` says which
    of several processes learns it.
    """
    kept: list[Sight] = []

    def there(path: Path) -> bool:
        found = load(path)
        kept.extend([] if found is None else [found])
        return found is not None

    for path in Units([folder / KEPT], turns, lambda _: f"{folder.name}-words", there):
        kept.append(_learned(viewer, dataset, seed, observer, workers))
        save(kept[-1], path)
    return kept[-1]


def _learned(
    viewer: Viewer, dataset: Dataset, seed: int, observer: Observer, workers: int
) -> Sight:
    rows = np.flatnonzero(sample(dataset.labels, MAX_IMAGES, seed)).tolist()
    observer.stage("Learning what there is to see", len(rows))
    batches = list(viewer.batches(rows))
    places: dict[int, list[Floats]] = {side: [] for side in SIDES}
    examples: list[Floats] = []
    layers: dict[int, str] = {}
    telling: str | None = None
    stream = ImageStream(
        dataset.paths, viewer.preprocessing, workers=workers, contents=dataset.contents
    )
    for batch in stream.read(batches):
        observer.advance(len(batch.statuses))
        if not batch.positions:
            continue
        x = batch.inputs.to(viewer.device)
        if not layers:
            layers = viewer.explainer.forward.detail_layers(x, SIDES)
            telling = _telling_layer(viewer, x)
        asked = [*layers.values(), *((telling,) if telling else ())]
        outputs = viewer.explainer.forward.outputs(x, asked) if asked else {}
        if telling and not _is_among(telling, layers):
            found = descriptors(map_of(outputs, telling, x), LIKENESS_SIDE).flatten(0, 2)
            examples.append(found.cpu().numpy())
        for side, layer in layers.items():
            found = descriptors(outputs[layer], side).flatten(0, 2)
            places[side].append(found.cpu().numpy())
    known = {
        side: learn(np.concatenate(places[side]), layer, side, seed)
        for side, layer in layers.items()
    }
    likeness: Descriptions | None = None
    if telling and _is_among(telling, layers):
        same = known[LIKENESS_SIDE]
        likeness = same and same.described
    elif telling:
        likeness = described(np.concatenate(examples), telling, LIKENESS_SIDE, seed)
    return Sight(tuple(each for each in known.values() if each is not None), likeness)


def _is_among(telling: str, layers: Mapping[int, str]) -> bool:
    """Tell whether visual words of as many places are learned from the same layer."""
    return layers.get(LIKENESS_SIDE) == telling


def _telling_layer(viewer: Viewer, x: Tensor) -> str | None:
    """Return the layer that tells things apart, and still where they are; None for none.

    It is the layer of the concepts, if it has enough places, or the last one that has.
    """

    def fine(outputs: Mapping[str, Tensor], layer: str) -> bool:
        found = as_map(outputs[layer], *x.shape[2:])
        return found is not None and min(found.shape[2:]) >= MIN_LIKENESS_SIDE

    forward = viewer.explainer.forward
    if viewer.layer and fine(forward.outputs(x[:1], [viewer.layer]), viewer.layer):
        return viewer.layer
    return forward.detail_layers(x, (MIN_LIKENESS_SIDE,)).get(MIN_LIKENESS_SIDE)
