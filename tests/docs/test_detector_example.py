"""The package of examples/plugin is installed, and its detector takes part in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import melaudit
from melaudit.detectors.registry import detectors
from tests.docs.pages import ROOT
from tests.plugins.installed import installed

EXAMPLE = ROOT / "examples" / "plugin"
IMAGES = 40
QUICK: dict[str, Any] = {
    "image_size": 24,
    "edits": 0,
    "check_images": 1,
    "workers": 0,
    "engine": "dataflow",
    "progress": False,
    "positive": "malignant",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the example, as pip would, and go to an empty folder."""
    installed(EXAMPLE, tmp_path / "site", monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def audited(place: Path, stamped: dict[str, int]) -> melaudit.Audit:
    """Audit images of two classes, of which so many have a white corner, with a model of chance."""
    rng = np.random.default_rng(0)
    for name, white in stamped.items():
        folder = place / "data" / name
        folder.mkdir(parents=True)
        for i, image in enumerate(rng.integers(60, 200, (IMAGES, 48, 48, 3), np.uint8)):
            if i < white:
                image[-10:, -10:] = 255
            Image.fromarray(image).save(folder / f"{name}{i}.png")
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    return melaudit.audit(nn.Sequential(*layers), "data", out="audit", **QUICK)


def test_it_is_listed_last(place: Path) -> None:
    assert detectors()[-1].id == "stamp"


def test_it_finds_stamps_that_go_with_a_class(place: Path) -> None:
    findings = audited(place, {"benign": 2, "malignant": 30})
    (found,) = [f for f in findings.findings if f.id == "stamp"]
    assert found.title == "White corners go with malignant"
    assert found.statement == "30 of 32 images with a white corner are malignant."
    assert len(found.images) == 32
    (test,) = [t for t in findings.tests if t.claim == "stamp"]
    assert test.q_value is not None and test.q_value >= test.p_value


def test_it_does_not_find_stamps_that_do_not(place: Path) -> None:
    findings = audited(place, {"benign": 15, "malignant": 16})
    assert "stamp" not in {f.id for f in findings.findings}
    (said,) = [n for n in findings.not_found if n.artifact == "stamp"]
    assert said.statement == "White corners do not go with the labels."
