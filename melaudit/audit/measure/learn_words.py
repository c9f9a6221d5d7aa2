"""The visual words of a run: learned on a sample of its images, or as an earlier try kept them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from melaudit.audit.measure.sweep import Sweep
from melaudit.audit.measure.visual_words import (
    SAMPLED,
    SIDES,
    Floats,
    Vocabulary,
    descriptors,
    learn,
    load,
    save,
)
from melaudit.images.dataset import Dataset
from melaudit.images.image_stream import ImageStream
from melaudit.images.sampling import sample
from melaudit.observer import Observer

KEPT = "words.npz"


def vocabularies(
    plan: Sweep, dataset: Dataset, folder: Path, seed: int, observer: Observer
) -> tuple[Vocabulary, ...]:
    """Return the words of the layers that tell details apart, fine and coarse.

    None for a model without such layers. They are kept in the folder: shards of one run must all be
    read with the same words.
    """
    kept = load(folder / KEPT)
    if kept is None:
        kept = _learned(plan, dataset, seed, observer)
        save(kept, folder / KEPT)
    return kept


def _learned(
    plan: Sweep, dataset: Dataset, seed: int, observer: Observer
) -> tuple[Vocabulary, ...]:
    rows = np.flatnonzero(sample(dataset.labels, SAMPLED, seed)).tolist()
    observer.stage("Learning what there is to see", len(rows))
    size = plan.batch_size
    batches = [rows[i : i + size] for i in range(0, len(rows), size)]
    places: dict[int, list[Floats]] = {side: [] for side in SIDES}
    layers: dict[int, str] = {}
    with ImageStream(dataset.paths, plan.preprocessing, workers=plan.workers) as stream:
        for batch in stream.read(batches):
            observer.advance(len(batch.statuses))
            if not batch.positions:
                continue
            x = batch.inputs.to(plan.device)
            if not layers:
                layers = plan.explainer.forward.detail_layers(x, SIDES)
            given = plan.explainer.forward.outputs(x, list(layers.values()))
            for side, layer in layers.items():
                found = descriptors(given[layer], side).flatten(0, 2)
                places[side].append(found.cpu().numpy())
    known = [
        learn(np.concatenate(places[side]), layer, side, seed) for side, layer in layers.items()
    ]
    return tuple(vocabulary for vocabulary in known if vocabulary is not None)
