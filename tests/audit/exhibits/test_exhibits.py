"""What a report shows of an image: the map that the pass kept, or one that is computed again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from melaudit.audit.exhibits.exhibits import exhibits
from melaudit.audit.measure.columns import MAP, map_column
from melaudit.audit.viewer import Viewer
from melaudit.findings import Trust
from melaudit.images.dataset import Dataset, open_dataset
from melaudit.images.preprocessing import resolve
from melaudit.measurements import Measurements
from melaudit.observer import Silent
from melaudit.relevance import Explainer

SIDE, N = 32, 6


class Net(nn.Module):
    """Two classes, told by a convolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.see, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.see(x)).mean((2, 3)))
        return logits


@pytest.fixture
def made(tmp_path: Path) -> tuple[Measurements, Dataset, Viewer]:
    """Return six images, what a pass kept of them, and what looks at them."""
    rng = np.random.default_rng(0)
    for i in range(N):
        folder = tmp_path / ("benign" if i % 2 else "malignant")
        folder.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(folder / f"{i}.png")
    dataset = open_dataset(tmp_path)
    preprocessing = resolve(None, image_size=SIDE, mean=(0.0,), std=(1.0,))
    explainer = Explainer(Net(), num_classes=2)
    x = torch.stack([preprocessing.apply(np.asarray(Image.open(p))) for p in dataset.paths])
    found = explainer.attribute(x, None, [])
    predicted = found.logits.argmax(1).numpy()
    columns = {"relevance.positive": np.ones((N, 2, 2), np.float16), **map_column(found.maps)}
    table = Measurements(
        dataset.ids, dataset.labels, predicted, predicted, found.logits.numpy(),
        ("benign", "malignant"), 1, columns.__getitem__, "see", Trust.TRUSTED, 0,
    )  # fmt: skip
    return table, dataset, Viewer(explainer, preprocessing, torch.device("cpu"), "see", 4)


def test_a_kept_map_is_shown_and_is_the_one_that_would_be_computed(
    made: tuple[Measurements, Dataset, Viewer], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, dataset, viewer = made
    without = dataclasses.replace(
        table, columns={"relevance.positive": table["relevance.positive"]}.__getitem__
    )
    again = exhibits(dataset.ids, dataset, without, viewer, Silent())
    monkeypatch.setattr(viewer.explainer, "lrp", lambda _: pytest.fail("computed again"))
    kept = exhibits(dataset.ids, dataset, table, viewer, Silent())
    assert list(kept) == list(again) == list(dataset.ids)
    for identity, shown in kept.items():
        other = again[identity]
        assert shown.relevance == pytest.approx(other.relevance, abs=0.005)
        assert (shown.label, shown.prediction) == (other.label, other.prediction)
        assert shown.probability == other.probability and shown.picture == other.picture


def test_a_map_that_was_not_finite_is_computed_again(
    made: tuple[Measurements, Dataset, Viewer],
) -> None:
    table, dataset, viewer = made
    pooled = table["relevance.positive"].copy()
    pooled[2] = np.nan
    maps = np.zeros_like(table[MAP])
    columns = {"relevance.positive": pooled, MAP: maps}
    changed = dataclasses.replace(table, columns=columns.__getitem__)
    shown = exhibits(dataset.ids, dataset, changed, viewer, Silent())
    looked = [bool(shown[identity].relevance.any()) for identity in dataset.ids]
    assert looked == [i == 2 for i in range(N)]
