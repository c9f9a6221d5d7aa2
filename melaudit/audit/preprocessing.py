"""Preprocessing: how an image as decoded becomes the input of the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """The preprocessing that a set of weights declares for itself."""

    origin: str
    """Where the settings were read: "timm config of resnet50.a1_in1k"."""
    image_size: int
    """Side of the model's square input, in pixels."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Per channel, on a scale of 0 to 1."""
    interpolation: str = "bilinear"
    crop: int | None = None
    """Side of the centre crop after the shorter side was resized; None for no crop."""
