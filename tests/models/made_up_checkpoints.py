"""Small checkpoints, sound and hostile, and what is said of those that are refused."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from melaudit.errors import CheckpointError
from melaudit.models.checkpoint import read_weights


def small() -> dict[str, Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    return dict(net.state_dict())


def same(found: object, expected: dict[str, Tensor]) -> bool:
    assert isinstance(found, dict)
    return list(found) == list(expected) and all(
        torch.equal(found[key], expected[key]) for key in expected
    )


def saved(folder: Path, content: object, **options: Any) -> Path:
    torch.save(content, folder / "ckpt.pt", **options)
    return folder / "ckpt.pt"


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


class Foreign:
    """An object whose class only this file knows."""

    def __init__(self) -> None:
        self.rate = 0.1


class Touch:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)
