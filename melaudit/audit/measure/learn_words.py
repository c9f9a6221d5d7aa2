"""The visual words of a run: learned on a sample of its images, or as an earlier try kept them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from melaudit.audit.leases import ALONE, Turns, Units
from melaudit.audit.measure.visual_words import (
    MAX_IMAGES,
    SIDES,
    Floats,
    Vocabulary,
    descriptors,
    learn,
    load,
    save,
)
from melaudit.audit.viewer import Viewer
from melaudit.images.dataset import Dataset
from melaudit.images.image_stream import ImageStream
from melaudit.observer import Observer
from melaudit.statistics.sampling import sample

KEPT = "words.npz"


def vocabularies(
    viewer: Viewer,
    dataset: Dataset,
    folder: Path,
    seed: int,
    observer: Observer,
    workers: int = 0,
    turns: Turns = ALONE,
) -> tuple[Vocabulary, ...]:
    """Return the visual words of the layers that tell details apart, fine and coarse.

    None for a model without such layers. They are kept in the folder: shards of one run must all be
    read with the same ones. `workers` processes decode the images they are learned on; `turns` says
    which of several processes learns them.
    """
    kept: list[tuple[Vocabulary, ...]] = []

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
) -> tuple[Vocabulary, ...]:
    rows = np.flatnonzero(sample(dataset.labels, MAX_IMAGES, seed)).tolist()
    observer.stage("Learning what there is to see", len(rows))
    batches = list(viewer.batches(rows))
    places: dict[int, list[Floats]] = {side: [] for side in SIDES}
    layers: dict[int, str] = {}
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
        outputs = viewer.explainer.forward.outputs(x, list(layers.values()))
        for side, layer in layers.items():
            found = descriptors(outputs[layer], side).flatten(0, 2)
            places[side].append(found.cpu().numpy())
    known = [
        learn(np.concatenate(places[side]), layer, side, seed) for side, layer in layers.items()
    ]
    return tuple(vocabulary for vocabulary in known if vocabulary is not None)
