"""A table of measurements made up for a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import models
from torchvision.transforms import v2

from melaudit.detectors.interface import GRID, Batch, Detector, Measurements, Result
from melaudit.findings import Trust
from melaudit.relevance import Explainer

MakeMeasurements = Callable[..., Measurements]
Examine = Callable[..., Sequence[Result]]


@pytest.fixture
def measurements() -> MakeMeasurements:
    """Return `make(columns, **what differs)`: labels, predictions, logits, classes, positive, ...

    Targets are the predictions, logits favour them by 2, ids are "image-0000.jpg" and so on, and
    maps are uniform unless `columns` has others.
    """
    return make


def make(
    columns: Mapping[str, NDArray[Any]],
    *,
    labels: Any = None,
    predictions: Any = None,
    logits: Any = None,
    classes: tuple[str, ...] = ("benign", "malignant"),
    positive: int | None = 1,
    explanations: Trust = Trust.TRUSTED,
    layer: str = "layer4",
    seed: int = 0,
) -> Measurements:
    """Build measurements of as many rows as the columns (or labels) have."""
    given = [*columns.values(), *(v for v in (labels, predictions, logits) if v is not None)]
    n = len(given[0])
    label = np.full(n, -1) if labels is None else np.asarray(labels, np.int64)
    predicted = label.clip(0) if predictions is None else np.asarray(predictions, np.int64)
    uniform = np.full((n, GRID, GRID), 1 / GRID**2, np.float32)
    table: dict[str, NDArray[Any]] = {
        "relevance.positive": uniform,
        "relevance.negative": np.zeros_like(uniform),
        "relevance.concepts": np.full((n, 4), 0.25, np.float32),
        **columns,
    }
    assert all(len(column) == n for column in table.values())
    return Measurements(
        ids=tuple(f"image-{i:04d}.jpg" for i in range(n)),
        labels=label,
        predictions=predicted,
        targets=predicted,
        logits=(
            2 * np.eye(len(classes), dtype=np.float32)[predicted]
            if logits is None
            else np.asarray(logits, np.float32)
        ),
        classes=classes,
        positive=positive,
        columns=table.__getitem__,
        layer=layer,
        explanations=explanations,
        seed=seed,
    )


@pytest.fixture
def examine() -> Examine:
    """Return `examine(detector, explainer, x, layer)`: measure one batch and conclude from it."""
    return _examine


def _examine(
    detector: Detector, explainer: Explainer, x: Tensor, layer: str | None = None
) -> Sequence[Result]:
    batch = explained(explainer, x, layer or explainer.choose_layer(x))
    columns = {f"{detector.id}.{k}": np.asarray(v) for k, v in detector.measure(batch).items()}
    assert all(len(column) == len(x) for column in columns.values())
    table = make(columns, predictions=batch.predictions, logits=batch.logits, layer=batch.layer)
    return detector.conclude(table)


@pytest.fixture
def show() -> Callable[[Explainer, Tensor, str], Batch]:
    """Return `show(explainer, x, layer)`: the batch that a pass would show to a detector."""
    return explained


def explained(explainer: Explainer, x: Tensor, layer: str) -> Batch:
    """Explain x (N, C, H, W) as a pass would and show it as one batch, every image sampled."""
    a = explainer.attribute(x, None, [layer])
    assert a.target is not None
    n = len(x)
    return Batch(
        ids=tuple(str(i) for i in range(n)),
        images=tuple(np.zeros((4, 4, 3), np.uint8) for _ in range(n)),
        inputs=x,
        labels=np.full(n, -1),
        predictions=a.target.numpy(),
        targets=a.target.numpy(),
        logits=a.logits.float().numpy(),
        relevance=a.maps.float().numpy(),
        start=a.start.float().numpy(),
        absorbed=None if a.absorbed is None else a.absorbed.float().numpy(),
        concepts=a.concepts[layer].float().numpy(),
        layer=layer,
        sampled=np.ones(n, np.bool_),
        attributor=explainer,
        project=lambda mask, i: mask.astype(np.float32),
        unknown=a.unknown,
    )


@pytest.fixture(scope="session")
def rings(shared: Any) -> tuple[torch.nn.Module, Tensor]:
    """Return the ResNet50 trained on images with rings, and four of its images (4, 3, 128, 128)."""
    model = models.resnet50(num_classes=2)
    state = torch.load(shared / "models" / "resnet50_rings.pt", weights_only=True)
    model.load_state_dict(state)
    preprocess = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize((128, 128)),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    folder = shared / "data" / "isic-rings"
    files = [f for name in ("malignant", "benign") for f in sorted((folder / name).iterdir())[:2]]
    images = [preprocess(Image.open(file).convert("RGB")) for file in files]
    return model.eval(), torch.stack(images)
