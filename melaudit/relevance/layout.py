"""How tensors are laid out in memory."""

from __future__ import annotations

import torch
from torch import Tensor


def fast(x: Tensor) -> Tensor:
    """Lay images, features or convolutional weights (4-d) out as convolutions take them fastest.

    On a CPU that is channels last, up to twice as fast. A GPU's convolutions in single precision
    take them better as they are. Tensors of other dimensions are returned as they are.
    """
    if x.ndim != 4 or x.device.type != "cpu":
        return x
    return x.contiguous(memory_format=torch.channels_last)
