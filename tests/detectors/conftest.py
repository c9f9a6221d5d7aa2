"""Batches as a pass shows them to a detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import models
from torchvision.transforms import v2

from melaudit.audit.conclude.conclusions import Said
from melaudit.detectors.interface import (
    Answers,
    Batch,
    BatchImages,
    CheckImages,
    Detector,
    Maps,
)
from melaudit.measurements import Measurements
from melaudit.relevance import Explainer
from tests.said import said

Examine = Callable[..., Sequence[Said]]
MakeMeasurements = Callable[..., Measurements]


@pytest.fixture
def examine(measurements: MakeMeasurements) -> Examine:
    """Return `examine(detector, explainer, x, layer)`: measure one batch and conclude from it."""

    def examined(
        detector: Detector, explainer: Explainer, x: Tensor, layer: str | None = None
    ) -> Sequence[Said]:
        batch = explained(explainer, x, layer or explainer.choose_layer(x))
        columns = {f"{detector.id}.{k}": np.asarray(v) for k, v in detector.measure(batch).items()}
        assert all(len(column) == len(x) for column in columns.values())
        table = measurements(
            columns,
            predictions=batch.answers.predictions,
            logits=batch.answers.logits,
            layer=batch.maps.layer,
        )
        return said(detector.conclude(table))

    return examined


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
        images=BatchImages(inputs=x),
        answers=Answers(a.logits.float().numpy(), a.target.numpy()),
        maps=Maps(
            relevance=a.maps.float().numpy(),
            targets=a.target.numpy(),
            start=a.start.float().numpy(),
            absorbed=None if a.absorbed is None else a.absorbed.float().numpy(),
            conserves=explainer.conserves,
            unknown=a.unknown,
            concepts=a.concepts[layer].float().numpy(),
            layer=layer,
        ),
        check_images=CheckImages(np.ones(n, np.bool_), attributor=explainer),
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
