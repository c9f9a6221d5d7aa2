"""Small images drawn by the tests, and the bytes of their files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def pixels(height: int = 48, width: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def photo(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(pixels()).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


JPEG = encoded(photo(), "JPEG", quality=95)
PNG = encoded(photo(), "PNG")
