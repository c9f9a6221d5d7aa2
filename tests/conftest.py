"""Fixtures every test may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.findings import Trust
from melaudit.measurements import GRID, Measurements

MakeMeasurements = Callable[..., Measurements]
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Let every test draw the same numbers, whichever tests ran before it in its process."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real images and trained models, or skip the test."""
    for place in (ROOT / "shared", ROOT.parent / "shared"):
        if (place / "data").is_dir():
            return place
    pytest.skip("needs the real images and models of a folder `shared`, which is not here")


@pytest.fixture
def measurements() -> MakeMeasurements:
    """Return `make(columns, **what differs)`: labels, predictions, logits, classes, positive, ...

    The words are those of dermoscopy. Targets are the predictions, logits favour them by 2, ids are
    "image-0000.jpg" and so on, and maps are uniform unless `columns` has others.
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
        words=DERMOSCOPY.words,
    )
