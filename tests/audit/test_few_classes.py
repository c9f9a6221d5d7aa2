"""Images of one class only, and a class without images: what can be said is said, no more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import melaudit
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.audit import runner
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.errors import DatasetError
from melaudit.findings import Verdict
from melaudit.result import Audit

OF_ONE_CLASS = "All labelled images are of one class, dim"


class Shades(nn.Module):
    """Three classes by brightness: up to .4, up to .7, above."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 3, padding=1, bias=False)
        self.head = nn.Linear(2, classes)
        nn.init.constant_(self.convolution.weight, 1 / 27)
        with torch.no_grad():
            slopes, offsets = torch.tensor([0.0, 5, 12]), torch.tensor([0.0, -2, -6.9])
            self.head.weight.copy_(slopes[:classes, None].expand(-1, 2))
            self.head.bias.copy_(2 * offsets[:classes])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.head(self.convolution(x).relu().mean((2, 3)))
        return z


@pytest.fixture(scope="module", autouse=True)
def one_detector() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "all_detectors", lambda *_: (ArtifactDetector(DarkRing()),))
        yield


def put(folder: Path, **levels: int | None) -> Path:
    """Make a folder of four images for each class of this brightness; of none for None."""
    rng = np.random.default_rng(0)
    for name, level in levels.items():
        (folder / name).mkdir(parents=True)
        for i in range(0 if level is None else 4):
            pixels = rng.integers((level or 0) - 9, (level or 0) + 9, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def audit(outputs: int, data: Path, out: Path, **more: Any) -> Audit:
    settings: dict[str, Any] = {"image_size": 32, "mean": (0, 0, 0), "std": (1, 1, 1), "edits": 0}
    settings |= {"engine": "gradient_x_input", "check_images": 2, **more}
    return melaudit.audit(Shades(outputs), data, out=out, progress=False, **settings)


def test_images_of_one_class_need_the_names_of_all_and_get_no_verdict(tmp_path: Path) -> None:
    data = put(tmp_path / "data", dim=60)
    with pytest.raises(DatasetError, match="names without images are allowed"):
        audit(2, data, tmp_path / "out")
    found = audit(2, data, tmp_path / "out", classes=("dim", "light"))  # the remedy
    assert found.verdict is Verdict.INCONCLUSIVE
    assert any(OF_ONE_CLASS in warning for warning in found.warnings)
    assert not found.findings
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_class_without_images_keeps_its_place(tmp_path: Path) -> None:
    data = put(tmp_path / "data", a_dim=60, b_grey=None, c_light=220)
    found = audit(3, data, tmp_path / "out")
    assert found.provenance.classes == ("a_dim", "b_grey", "c_light")
    assert found.performance.accuracy == 1.0
    of_class = {c.name: c for c in found.performance.per_class}
    assert of_class["b_grey"].n == 0 and of_class["b_grey"].recall is None
    assert any("Class folders without any image: b_grey" in w for w in found.warnings)


def test_a_model_of_one_class_is_one_of_two_whose_names_are_asked_for(tmp_path: Path) -> None:
    data = put(tmp_path / "data", dim=60)
    with pytest.raises(DatasetError, match=r"tells 2 classes apart but the data has 1 \(dim\)"):
        audit(1, data, tmp_path / "out")
