"""Curves of decisions on pictures of lower quality are what counting gives."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from melaudit.audit.edits.corruption_curves import corrupted
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.viewer import Viewer
from melaudit.images.dataset import open_dataset
from melaudit.images.preprocessing import resolve
from melaudit.measurements import Measurements
from melaudit.observer import Silent
from melaudit.relevance import Explainer
from melaudit.statistics.estimates import proportion

Make = Callable[..., Measurements]
SIDE = 32


class Light(nn.Module):
    """Calls a picture malignant where it is darker than a limit, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.mix.weight, 1 / 3)
        self.shown = 0

    def forward(self, x: Tensor) -> Tensor:
        self.shown += len(x)
        margin = 10 * (0.6 - self.mix(x).mean((1, 2, 3)))
        return torch.stack([torch.zeros_like(margin), margin], 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 8 light benign images of .8 and 8 malignant ones, from .57 down to .22."""
    root = tmp_path_factory.mktemp("images")
    for kind, levels in (("benign", [0.8] * 8), ("malignant", np.linspace(0.57, 0.22, 8))):
        (root / kind).mkdir()
        for i, level in enumerate(levels):
            grey = np.full((SIDE, SIDE, 3), round(255 * level), np.uint8)
            Image.fromarray(grey).save(root / kind / f"{i}.png")
    return root


def setting(make: Make, folder: Path) -> tuple[Measurements, Laboratory, Light]:
    dataset = open_dataset(folder)
    model = Light()
    table = dataclasses.replace(
        make({}, labels=dataset.labels, predictions=dataset.labels), ids=dataset.ids
    )
    preprocessing = resolve(None, image_size=SIDE, mean=(0.0,), std=(1.0,))
    viewer = Viewer(Explainer(model, num_classes=2), preprocessing, torch.device("cpu"), "mix", 8)
    return table, Laboratory(viewer, dataset, dataset.ids), model


def test_brightness_turns_the_images_that_it_lifts_over_the_limit(
    measurements: Make, folder: Path
) -> None:
    table, laboratory, _ = setting(measurements, folder)

    curves = {c.id: c for c in corrupted(table, laboratory, 16, Silent())}

    assert list(curves) == ["noise", "blur", "jpeg", "brightness"]
    brightness = curves["brightness"]
    levels = np.linspace(0.57, 0.22, 8)
    turned = [int((levels + step.strength > 0.6).sum()) for step in brightness.steps]
    assert [round(16 * s.changed.value) for s in brightness.steps] == turned
    assert [round(16 * s.accuracy.value) for s in brightness.steps if s.accuracy] == [
        16 - n for n in turned
    ]
    last = brightness.steps[-1].changed
    assert (last.low, last.high) == pytest.approx(
        (proportion(turned[-1], 16).low, proportion(turned[-1], 16).high)
    )
    # Blur and compression leave flat pictures as they are.
    assert all(s.changed.value == 0 for name in ("blur", "jpeg") for s in curves[name].steps)
    assert (brightness.n, brightness.labelled) == (16, 16)
    assert [s.severity for s in brightness.steps] == [0, 1, 2, 3, 4, 5]


def test_the_cost_is_21_pictures_for_each_image(measurements: Make, folder: Path) -> None:
    table, laboratory, model = setting(measurements, folder)
    model.shown = 0
    corrupted(table, laboratory, 6, Silent())
    assert model.shown == 6 * 21


def test_nothing_is_tried_where_none_is_wanted(measurements: Make, folder: Path) -> None:
    table, laboratory, model = setting(measurements, folder)
    model.shown = 0
    assert corrupted(table, laboratory, 0, Silent()) == ()
    assert model.shown == 0


def test_without_labels_only_changes_are_counted(measurements: Make, folder: Path) -> None:
    table, laboratory, _ = setting(measurements, folder)
    bare = dataclasses.replace(table, labels=np.full(16, -1))
    first = corrupted(bare, laboratory, 16, Silent())[0]
    assert first.labelled == 0
    assert all(s.accuracy is None for s in first.steps)
