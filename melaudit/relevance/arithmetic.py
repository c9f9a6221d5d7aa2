"""The arithmetic that all engines compute in, and how tensors are laid out in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def exact() -> Iterator[None]:
    """Multiply float32 as float32: no TF32 on a GPU, whose 10 bits would show in the maps.

    Torch has two sets of switches for this and refuses to read the old one where they disagree, so
    both are turned and both are put back.
    """
    backends: Any = torch.backends
    operations = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)
    precisions = [operation.fp32_precision for operation in operations]
    switches = [(b, _allows(b)) for b in (backends.cudnn, backends.cuda.matmul)]
    try:
        for switch, _ in switches:
            switch.allow_tf32 = False
        for operation in operations:
            operation.fp32_precision = "ieee"
        yield
    finally:
        for switch, allowed in switches:
            if allowed is not None:
                switch.allow_tf32 = allowed
        for operation, precision in zip(operations, precisions, strict=True):
            operation.fp32_precision = precision


def _allows(switch: Any) -> bool | None:
    """Read the old switch; None where the user's own settings already disagree."""
    try:
        return bool(switch.allow_tf32)
    except RuntimeError:
        return None


def fast(x: Tensor) -> Tensor:
    """Lay images, features or convolutional weights (4-d) out as convolutions take them fastest.

    On a CPU that is channels last, up to twice as fast. A GPU's convolutions in single precision
    take them better as they are.
    """
    if x.ndim != 4 or x.device.type != "cpu":
        return x
    return x.contiguous(memory_format=torch.channels_last)
