"""Classifiers with random weights, and what is said of files that are refused."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from melaudit.errors import CheckpointError
from melaudit.models.architectures import load_model


def built(name: str, outputs: int = 3, **options: Any) -> nn.Module:
    """Return a classifier of torchvision with random weights and lively statistics."""
    torch.manual_seed(0)
    model: nn.Module = models.get_model(name, weights=None, num_classes=outputs, **options)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return model.eval()


@functools.cache
def resnet18() -> nn.Module:
    return built("resnet18")


def state(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.state_dict())


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "ckpt.pt")
    return folder / "ckpt.pt"


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_model(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_same_function(loaded: nn.Module, original: nn.Module, side: int = 64) -> None:
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), original(images), rtol=0, atol=0)
