"""Losses of quality that any camera or file may bring: noise, blur, compression, too much light.

Kinds and steps are those of ImageNet-C (Hendrycks and Dietterich 2019, "Benchmarking neural network
robustness to common corruptions and perturbations"), whose pictures have 224 pixels a side: the
figures of `gaussian_noise`, `gaussian_blur`, `jpeg_compression` and `brightness` in
ImageNet-C/create_c/make_imagenet_c.py of github.com/hendrycks/robustness, which the paper names as
its code. Blur is one of its four kinds for validation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB
from melaudit.artifacts.picture import rounded

SIDE = 224
"""Side of the pictures that the steps of the blur are meant for."""

Change = Callable[[RGB, float, np.random.Generator], RGB]
"""From a picture (h, w, 3), a strength and random numbers to the corrupted picture."""


@dataclass(frozen=True)
class Corruption:
    """One way to lose quality, in steps of rising strength."""

    id: str
    title: str
    """"Noise"."""
    unit: str
    """What a step counts."""
    steps: tuple[float, ...]
    """The strengths of severities 1 to 5."""
    apply: Change


def with_noise(image: RGB, strength: float, rng: np.random.Generator) -> RGB:
    """Add Gaussian noise with a standard deviation of `strength`, on a scale of 0 to 1."""
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(255 * strength)
    return rounded(image.astype(np.float32) + noise)


def with_blur(image: RGB, strength: float, rng: np.random.Generator) -> RGB:
    """Blur by a Gaussian of `strength` pixels where the shorter side has `SIDE`, else in ratio."""
    sigma = strength * min(image.shape[:2]) / SIDE
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), sigma), np.uint8)


def as_jpeg(image: RGB, strength: float, rng: np.random.Generator) -> RGB:
    """Store as JPEG of quality `strength` and read again."""
    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    _, stored = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, round(strength)])
    read = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)


def brighter(image: RGB, strength: float, rng: np.random.Generator) -> RGB:
    """Add `strength` to the value of each pixel (HSV), on a scale of 0 to 1."""
    hsv = cv2.cvtColor(np.ascontiguousarray(image, np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 2] = np.clip(hsv[..., 2] + strength, 0, 1)
    return rounded(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32) * 255)


CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption(
        "noise",
        "Noise",
        "standard deviation of the noise, on a scale of 0 to 1",
        (0.08, 0.12, 0.18, 0.26, 0.38),
        with_noise,
    ),
    Corruption(
        "blur",
        "Blur",
        "standard deviation of the blur, in pixels of a picture of 224",
        (1, 2, 3, 4, 6),
        with_blur,
    ),
    Corruption("jpeg", "JPEG compression", "quality of the JPEG", (25, 18, 15, 10, 7), as_jpeg),
    Corruption(
        "brightness",
        "Brightness",
        "what is added to the brightness, on a scale of 0 to 1",
        (0.1, 0.2, 0.3, 0.4, 0.5),
        brighter,
    ),
)
