"""Concept cards: which channels are shown, on which images, cut to where they look."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from melaudit.audit.exhibits import concepts as module
from melaudit.audit.exhibits.concepts import MIN_IMAGES, chosen, concepts, strongest
from melaudit.audit.exhibits.details import window
from melaudit.audit.viewer import Viewer
from melaudit.findings import Cluster, Trust
from melaudit.images.dataset import open_dataset
from melaudit.images.preprocessing import resolve
from melaudit.measurements import Measurements
from melaudit.relevance import Explainer

SIDE = 48
N = 40


class Colours(nn.Module):
    """Channels red, green and blue, each smoothed; malignant is red or blue."""

    def __init__(self) -> None:
        super().__init__()
        eye = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        nn.init.zeros_(eye.weight)
        with torch.no_grad():
            eye.weight[range(3), range(3)] = 1 / 9
        self.layer = nn.Sequential(eye, nn.ReLU())
        self.head = nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.1, 1.0]]))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layer(x).mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measurements, Viewer, Path]:
    """Return images with a red square at the top left, half of them a blue one at the right."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(N):
        image = np.full((SIDE, SIDE, 3), 8, np.uint8)
        image[2:12, 2:12, 0] = rng.integers(100, 250)
        if i % 2:
            image[30:44, 30:44, 2] = 240
        Image.fromarray(image).save(folder / f"{i:02}.png")
    dataset = open_dataset(folder)
    preprocessing = resolve(None, image_size=SIDE, mean=(0.0,), std=(1.0,))
    explainer = Explainer(Colours(), num_classes=2)
    x = torch.stack([preprocessing.apply(np.asarray(Image.open(p))) for p in dataset.paths])
    found = explainer.attribute(x, None, ["layer"])
    relevance = found.concepts["layer"].numpy()
    relevance = relevance / np.abs(relevance).sum(1, keepdims=True)
    ones = np.ones(N, np.int64)
    table = Measurements(
        dataset.ids, ones, ones, ones, found.logits.numpy(), ("benign", "malignant"), 1,
        {"relevance.concepts": relevance}.__getitem__, "layer", Trust.TRUSTED, 0,
    )  # fmt: skip
    viewer = Viewer(explainer, preprocessing, torch.device("cpu"), "layer", 8)
    return table, viewer, folder


def cluster(*channels: int) -> Cluster:
    return Cluster("malignant-1", "malignant", 20, 0.5, {}, (), (), {}, 0.0, 0.1, {}, channels)


def test_a_channel_is_shown_where_it_looks_on_the_images_that_have_what_it_answers_to(
    made: tuple[Measurements, Viewer, Path],
) -> None:
    table, viewer, folder = made
    blue = np.arange(N) % 2 == 1
    found, views, skipped = concepts(
        [cluster(2)], table, {"blue_square": blue}, open_dataset(folder), viewer
    )
    assert not skipped
    first, view = found[0], views[0]
    assert (first.channel, first.why) == (2, "marks cluster malignant-1")
    assert all(int(name[:2]) % 2 for name in first.images)
    assert first.artifacts == {"blue_square": 1.0}
    assert first.outside is not None and first.others_outside is not None
    for detail in view.details:
        with Image.open(io.BytesIO(detail.picture)) as cut:
            pixels = np.asarray(cut.convert("RGB")).astype(int)
        assert (pixels[..., 2] > 150).mean() > 0.4, "the cut shows the blue square"
        assert (pixels[..., 0] > 90).mean() < 0.05, "and not the red one"
        assert detail.relevance.shape[0] < SIDE / 2
    assert {c.channel for c in found} >= {2, 0}, "red carries most of the class"
    assert next(c for c in found if c.channel == 0).why.startswith("carries most")


def test_a_channel_that_speaks_against_the_class_has_no_card(
    made: tuple[Measurements, Viewer, Path],
) -> None:
    table, viewer, folder = made
    against = table["relevance.concepts"].copy()
    against[:, 1] = -0.1
    changed = dataclasses.replace(table, columns={"relevance.concepts": against}.__getitem__)
    found, _, _ = concepts([cluster(1)], changed, {}, open_dataset(folder), viewer)
    assert 1 not in {c.channel for c in found}


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"layer": ""}, "no layer"), ({"explanations": Trust.UNUSABLE}, "unusable")],
)
def test_without_concepts_or_trust_the_reason_is_given(
    made: tuple[Measurements, Viewer, Path], change: dict[str, Any], reason: str
) -> None:
    table, viewer, folder = made
    found, views, skipped = concepts(
        [cluster(2)],
        dataclasses.replace(table, **change),
        {},
        open_dataset(folder),
        viewer,
    )
    assert not found and not views
    assert reason in skipped[0].reason


def test_the_head_is_that_of_a_whole_sort_whatever_the_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float16)
    rows = np.arange(0, 5000, 2)
    whole = rows[np.argsort(-values[rows, 1].astype(float), kind="stable")]
    monkeypatch.setattr(module, "CHUNK", 300)
    head = strongest(values, rows, 1)
    assert len(head) == 125
    assert np.array_equal(values[head, 1], values[whole[:125], 1])


def test_the_window_is_the_least_square_that_holds_most_of_the_evidence() -> None:
    relevance = np.zeros((30, 40), np.float32)
    relevance[18:24, 30:36] = 1
    relevance[0, 0] = -50  # evidence against is not looked for
    top, left, side = window(relevance)
    assert side == 10 and top <= 18 and top + side >= 24 and left <= 30 and left + side >= 36
    assert window(np.ones((30, 40), np.float32))[2] > 20
    assert window(np.zeros((30, 40), np.float32))[2] == 10


def test_small_classes_have_no_cards(made: tuple[Measurements, Viewer, Path]) -> None:
    table, _, _ = made
    few = np.zeros(N, np.int64)
    few[: 2 * MIN_IMAGES - 1] = 1
    assert chosen([cluster(2)], dataclasses.replace(table, predictions=few)) == []
