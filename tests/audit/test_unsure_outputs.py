"""A verdict that would rest on a guess about the outputs is not given."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import melaudit
from melaudit.findings import Verdict


class Clamped(nn.Module):
    """Brightness as a probability without a sigmoid: .2 for dark pictures, .8 for bright ones."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        nn.init.constant_(self.convolution.weight, 1 / 27)
        nn.init.zeros_(self.convolution.get_parameter("bias"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        brightness: torch.Tensor = self.convolution(x).relu().mean((2, 3)).mean(1, keepdim=True)
        return brightness.clamp(0, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("brightness")
    rng = np.random.default_rng(0)
    for i in range(8):
        level = 50 if i % 2 else 200
        pixels = rng.integers(level - 20, level + 20, (40, 40, 3), dtype=np.uint8)
        (place / ("dark" if i % 2 else "light")).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(place / ("dark" if i % 2 else "light") / f"{i}.png")
    return place


@pytest.mark.parametrize(("kind", "accuracy"), [("auto", 0.5), ("probabilities", 1.0)])
def test_the_verdict_says_that_the_output_may_be_a_probability_until_the_user_says_so(
    kind: str, accuracy: float, folder: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        **{"outputs": kind, "image_size": 32, "out": tmp_path / "out"},
        **{"mean": (0, 0, 0), "std": (1, 1, 1), "engine": "gradient_x_input"},
        **{"edits": 0, "check_images": 2},
    }
    found = melaudit.audit(Clamped(), folder, progress=False, **settings)
    assert found.performance.accuracy == accuracy
    doubted = "--outputs probabilities or --outputs logits" in found.reason
    assert doubted is (kind == "auto")
    assert found.verdict is Verdict.INCONCLUSIVE  # eight images pass nothing
