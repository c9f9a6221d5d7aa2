"""What a group shows that others do not is cut out of the pictures that show most of it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from melaudit.audit.exhibits.details import MAX_PICTURES, pattern_details
from melaudit.audit.measure.visual_words import Sight, Vocabulary
from melaudit.audit.viewer import Viewer
from melaudit.findings import Cluster, Exclusive, Trust
from melaudit.images.dataset import Dataset, open_dataset
from melaudit.images.preprocessing import resolve
from melaudit.measurements import Measurements
from melaudit.relevance import Explainer

SIDE, CELLS, N = 64, 16, 12
Made = tuple[Measurements, Dataset, Viewer, tuple[Vocabulary, ...]]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Return dark images whose upper right corner shows green, more of it in each than before."""
    words = np.zeros((N, CELLS, CELLS), np.uint8)
    for i in range(N):
        image = np.full((SIDE, SIDE, 3), 8, np.uint8)
        wide = 1 + i // 3
        image[: 4 * wide, -12:, 1] = 240
        words[i, :wide, -3:] = 7
        words[i, 8, 8] = 7  # in the centre, where parts are not looked for
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    dataset = open_dataset(tmp_path)
    ones = np.ones(N, np.int64)
    table = Measurements(
        dataset.ids, ones, ones, ones, np.zeros((N, 2), np.float32), ("benign", "malignant"), 1,
        {"words.16": words}.__getitem__, "layer", Trust.TRUSTED, 0,
    )  # fmt: skip
    nothing = np.zeros((1, 1), np.float32)
    explainer = Explainer(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2)))
    viewer = Viewer(explainer, resolve(None, image_size=SIDE), torch.device("cpu"), "layer", 4)
    return table, dataset, viewer, (Vocabulary("early", CELLS, nothing[0], nothing, nothing),)


def cluster(images: tuple[str, ...]) -> Cluster:
    shown = Exclusive(0.01, 50, 0.2, 0.1, 0, (7,))
    return Cluster(
        "malignant-1", "malignant", len(images), 0.5, {}, (), images, {}, 0.0, 0.1, {}, (),
        exclusive=shown,
    )  # fmt: skip


def test_the_cuts_hold_the_part_where_it_is_most(
    made: Made,
) -> None:
    table, dataset, viewer, words = made
    (view,) = pattern_details([cluster(table.ids)], table, dataset, viewer, Sight(words))
    assert view.cluster == "malignant-1"
    assert len(view.details) == MAX_PICTURES
    assert {d.image for d in view.details} <= set(table.ids[6:]), "those that show most of it"
    for detail in view.details:
        with Image.open(io.BytesIO(detail.picture)) as cut:
            pixels = np.asarray(cut.convert("RGB")).astype(int)
        assert pixels[..., 1].max() > 150, "the cut shows the green corner"
        assert set(np.unique(detail.relevance)) == {0, 1}


def test_a_cluster_without_a_part_has_no_cuts(made: Made) -> None:
    table, dataset, viewer, words = made
    plain = replace(cluster(table.ids), exclusive=None)
    assert pattern_details([plain], table, dataset, viewer, Sight(words)) == ()


def test_a_picture_that_is_gone_since_is_left_out(
    made: Made,
) -> None:
    table, dataset, viewer, words = made
    Path(dataset.paths[-1]).unlink()
    (view,) = pattern_details([cluster(table.ids)], table, dataset, viewer, Sight(words))
    assert len(view.details) == MAX_PICTURES - 1
