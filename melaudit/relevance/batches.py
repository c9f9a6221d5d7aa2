"""A batch too large for the device's memory is taken in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from melaudit.relevance.interface import Attribution

T = TypeVar("T")


class Parts:
    """Run something on all of a batch, or on as much at a time as fits, and remember how much."""

    def __init__(self) -> None:
        self.fits: int | None = None
        """Images known to fit; None while everything did."""

    def __call__(
        self, x: Tensor, target: Tensor | None, run: Callable[[Tensor, Tensor | None], T]
    ) -> list[T]:
        """Return run(x, target), or its results on parts of x (N, ...) and target (N,), in order.

        Raises torch.OutOfMemoryError only when a single image does not fit.
        """
        size = min(self.fits or len(x), len(x))
        while True:
            try:
                return [
                    run(x[i : i + size], None if target is None else target[i : i + size])
                    for i in range(0, len(x), size)
                ]
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            # Outside of `except`, where the traceback would keep the tensors alive.
            size = self.fits = size // 2
            torch.cuda.empty_cache()


def join(parts: Sequence[Attribution]) -> Attribution:
    """Put the attributions of a batch's parts together."""
    first = parts[0]
    if len(parts) == 1:
        return first
    unknown = tuple(dict.fromkeys(name for part in parts for name in part.unknown))
    joined: dict[str, Any] = {"unknown": unknown}
    for name in ("logits", "start", "maps", "absorbed", "target", "attention"):
        values = [getattr(part, name) for part in parts]
        known = all(value is not None for value in values)
        joined[name] = torch.cat(values) if known else None
    for name in ("concepts", "peaks", "outputs"):
        joined[name] = {
            layer: torch.cat([getattr(part, name)[layer] for part in parts])
            for layer in getattr(first, name)
        }
    return Attribution(**joined)
