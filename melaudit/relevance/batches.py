"""A batch that is too large for the device's memory is processed in chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from melaudit.errors import out_of_memory
from melaudit.relevance.interface import Attribution
from melaudit.stopwatch import shown

T = TypeVar("T")


class Chunks:
    """Run something on all of a batch, or on as much at a time as fits, and remember how much."""

    def __init__(self) -> None:
        self.fits: int | None = None
        """Images known to fit; None as long as every batch did."""

    def __call__(
        self, x: Tensor, target: Tensor | None, run: Callable[[Tensor, Tensor | None], T]
    ) -> list[T]:
        """Return run(x, target), or its results on chunks of x (N, ...) and target (N,), in order.

        Raises torch.OutOfMemoryError only when a single image does not fit.
        """
        shown(len(x))
        size = min(self.fits or len(x), len(x))
        while True:
            try:
                return [
                    run(x[i : i + size], None if target is None else target[i : i + size])
                    for i in range(0, len(x), size)
                ]
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if size == 1:
                    raise torch.OutOfMemoryError(str(error)) from error
            # Outside of `except`, where the traceback would keep the tensors alive.
            size = self.fits = size // 2
            torch.cuda.empty_cache()


def join(chunks: Sequence[Attribution]) -> Attribution:
    """Return the attribution of a whole batch, given those of its chunks, at least one.

    `attention` and `absorbed` are None where one chunk has none.
    """
    first = chunks[0]
    if len(chunks) == 1:
        return first
    unknown = tuple(dict.fromkeys(name for chunk in chunks for name in chunk.unknown))
    joined: dict[str, Any] = {"unknown": unknown}
    for name in ("logits", "start", "maps", "absorbed", "target", "attention"):
        values = [getattr(chunk, name) for chunk in chunks]
        known = all(value is not None for value in values)
        joined[name] = torch.cat(values) if known else None
    for name in ("concepts", "peaks", "outputs"):
        joined[name] = {
            layer: torch.cat([getattr(chunk, name)[layer] for chunk in chunks])
            for layer in getattr(first, name)
        }
    # A model may run other layers on other images: what did not run absorbed nothing.
    absorbing = dict.fromkeys(layer for chunk in chunks for layer in chunk.absorbed_by)
    joined["absorbed_by"] = {
        layer: torch.cat([c.absorbed_by.get(layer, torch.zeros_like(c.start)) for c in chunks])
        for layer in (absorbing if joined["absorbed"] is not None else ())
    }
    return Attribution(**joined)
