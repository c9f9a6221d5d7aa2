"""The images that small models look at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


@pytest.fixture
def x() -> Tensor:
    """Return two images of 4 channels, 6 x 6, in float64, some values zero."""
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    x[:, :, 0, ::2] = 0
    return x
