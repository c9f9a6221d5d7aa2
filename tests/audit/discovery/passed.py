"""What discoveries are tried on: a pass over images of a folder, with a small model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from melaudit.audit.discovery.discovery import Tried, discover
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.measure.learn_words import sight
from melaudit.audit.measure.measurer import CheckSample, Measurer
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.sweep import sweep
from melaudit.audit.measure.visual_words import NOTHING
from melaudit.audit.viewer import Viewer
from melaudit.detectors.interface import Detector
from melaudit.findings import Trust
from melaudit.images.dataset import open_dataset
from melaudit.images.preprocessing import resolve
from melaudit.measurements import Measurements
from melaudit.observer import Silent
from melaudit.relevance import Explainer

SIDE = 64
CLASSES = ("benign", "malignant")


def discovered(
    folder: Path,
    out: Path,
    net: nn.Module,
    reviews: dict[str, str] | None = None,
    most: int = 3,
    detectors: tuple[Detector, ...] = (),
    words: bool = True,
    seed: int = 0,
) -> tuple[Tried, Measurements, Laboratory]:
    """Pass over the images with some detectors, with visual words or not, and discover."""
    dataset = open_dataset(folder)
    explainer = Explainer(net, num_classes=2)
    preprocessing = resolve(None, image_size=SIDE, mean=(0.0,), std=(1.0,))
    viewer = Viewer(explainer, preprocessing, torch.device("cpu"), "see", 16)
    store = Store(out / "shards", "words", dataset.ids)
    learned = sight(viewer, dataset, store.folder, 0, Silent()) if words else NOTHING
    nothing = CheckSample(np.zeros(len(dataset), bool))
    sweep([(Measurer(viewer, dataset, detectors, nothing, learned), store)], Silent())
    table = Measurements(
        ids=dataset.ids,
        labels=dataset.labels,
        predictions=store.column("prediction"),
        targets=store.column("target"),
        logits=store.column("logits"),
        classes=CLASSES,
        positive=1,
        columns=store.column,
        layer="see",
        explanations=Trust.TRUSTED,
        seed=seed,
    )
    laboratory = Laboratory(viewer, dataset, table.ids)
    found = discover(
        table, detectors, laboratory, learned, store, reviews or {}, (20, most), Silent()
    )
    return found, table, laboratory
