"""16-bit grey images through a model of one channel, letterboxed, from the file to the page."""

import io
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
from melaudit.reports import read_record


class Bright(nn.Module):
    """Class 1 where the mean of a grey image, padding included, is above .3."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        self.head = nn.Linear(2, 1)
        nn.init.constant_(self.convolution.weight, 1 / 9)
        nn.init.constant_(self.head.weight, 0.5)
        nn.init.constant_(self.head.get_parameter("bias"), -0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.head(self.convolution(x).relu().mean((2, 3)))
        return z


@pytest.fixture(scope="module", autouse=True)
def one_detector() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "all_detectors", lambda *_: (ArtifactDetector(DarkRing()),))
        yield


@pytest.mark.parametrize(("suffix", "bits"), [("png", 16), ("tif", 16), ("png", 12)])
def test_sixteen_bits_reach_the_model_and_the_page_unclipped(
    suffix: str, bits: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for i in range(8):
        # Both classes are far above 255, so that clipping to 8 bits would make them alike.
        level = 18_000 if i % 2 else 55_000
        pixels = rng.integers(level - 3000, level + 3000, (40, 60)).astype(np.uint16) >> (16 - bits)
        place = tmp_path / "data" / ("dim" if i % 2 else "light")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{i}.{suffix}")
    settings: dict[str, Any] = {"image_size": 32, "mean": (0,), "std": (1,), "resize": "letterbox"}
    settings |= {"engine": "gradient_x_input", "edits": 0, "check_images": 2}
    out = tmp_path / "out"
    found = melaudit.audit(Bright(), tmp_path / "data", out=out, progress=False, **settings)
    assert found.performance.accuracy == 1.0
    assert found.inputs.flagged["sixteen_bit"] == 8
    assert ("4095 of 16-bit grey" in found.provenance.preprocessing) is (bits == 12)
    assert any("--white" in warning for warning in found.warnings) is (bits == 12)
    assert "letterbox" in str(found.provenance.config["resize"])
    assert "padded" in found.provenance.preprocessing and "grey" in found.provenance.preprocessing
    for exhibit in read_record(out).exhibits.values():
        shown = np.asarray(Image.open(io.BytesIO(exhibit.picture)).convert("L")).astype(float)
        height, width = shown.shape
        assert height == width and exhibit.relevance.shape == (32, 32)  # one geometry for both
        level = shown[height // 3 : -height // 3, width // 3 : -width // 3].mean()
        assert level == pytest.approx(70 if exhibit.label == "dim" else 214, abs=8)
