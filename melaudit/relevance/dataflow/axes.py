"""Which axis of a tensor counts images, and which counts channels, while a network moves axes.

Around such an axis a tensor in row-major order has the shape `(before, size, rest)`. Reshapes do
not change `before` and `size`, even where they merge the axis with others, as windowed attention
does with (N * windows, tokens, channels). Only operations that reorder dimensions change them, and
for these it is known which dimension went where.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = Sequence[int]
Moves = Sequence[int | None]
"""For each dimension of a tensor, the dimension of the result it became; None where it is gone."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of `size` with `before` elements, in row-major order, to the left of it."""

    before: int
    size: int

    @classmethod
    def at(cls, shape: Shape, dim: int) -> Axis:
        """Return the axis that is the whole dimension `dim` of a tensor of this shape."""
        dim %= len(shape)
        return cls(math.prod(shape[:dim]), shape[dim])

    def spread(self, tensor: Tensor) -> Tensor:
        """Return a tensor as (before, size, rest)."""
        return tensor.reshape(self.before, self.size, -1)

    def sums(self, tensor: Tensor) -> Tensor:
        """Return the sum over everything but this axis: (size,)."""
        return self.spread(tensor).sum((0, 2))

    def fits(self, shape: Shape) -> bool:
        """Whether one dimension of this shape holds the axis."""
        return self.locate(shape) is not None

    def locate(self, shape: Shape) -> tuple[int, int] | None:
        """Return the dimension that holds the axis, and how many of its elements come before.

        None where the shape divides the axis among several dimensions.
        """
        prefix = 1
        for dim, length in enumerate(shape):
            if self.before % prefix == 0 and (prefix * length) % (self.before * self.size) == 0:
                return dim, self.before // prefix
            prefix *= length
        return None

    def carried(self, source: Shape, result: Shape, moves: Moves) -> Axis | None:
        """Return the axis in the result of an operation, or None where it is gone.

        Where the axis is a whole dimension, and an operation changes the length of that, the axis
        gets a new size: concatenating channels does so.
        """
        place = self.locate(source)
        if place is None or moves[place[0]] is None:
            # With a single image everything belongs to it, wherever its axis went.
            return Axis(1, 1) if self.size == 1 else None
        dim, outer = place
        new = moves[dim]
        assert new is not None
        if result[new] == source[dim]:
            return Axis(math.prod(result[:new]) * outer, self.size)
        return Axis.at(result, new) if source[dim] == self.size else None


def permuted(order: Sequence[int]) -> Moves:
    """Return where dimensions go when the result has those of the source in this order."""
    order = [d % len(order) for d in order]
    return [order.index(d) for d in range(len(order))]


def exchanged(ndim: int, a: int, b: int) -> Moves:
    """Return where dimensions go when `a` and `b` are swapped."""
    moves = list(range(ndim))
    if ndim:
        moves[a], moves[b] = moves[b], moves[a]
    return moves


def shifted(ndim: int, source: Sequence[int], destination: Sequence[int]) -> Moves:
    """Return where dimensions go when those of `source` are moved to `destination`."""
    goals = {s % ndim: d % ndim for s, d in zip(source, destination, strict=True)}
    rest = iter([d for d in range(ndim) if d not in goals.values()])
    return [goals[d] if d in goals else next(rest) for d in range(ndim)]


def dropped(ndim: int, dims: Sequence[int]) -> Moves:
    """Return where dimensions go when those of `dims` are summed over or indexed away."""
    gone = {d % ndim for d in dims}
    kept = iter(range(ndim))
    return [None if d in gone else next(kept) for d in range(ndim)]


def inserted(ndim: int, dim: int) -> Moves:
    """Return where dimensions go when a new one is put at `dim` of the result."""
    dim %= ndim + 1
    return [d + (d >= dim) for d in range(ndim)]


def aligned(source: Shape, result: Shape) -> Moves:
    """Return where dimensions go under broadcasting, which aligns shapes at the right."""
    shift = len(result) - len(source)
    return [d + shift if d + shift >= 0 else None for d in range(len(source))]


def indexed(ndim: int, index: object) -> Moves:
    """Return where dimensions go under `tensor[index]`.

    Where numbers and tensors index together, torch may reorder dimensions, so all count as gone.
    """
    items = index if isinstance(index, tuple) else (index,)
    picks = [i for i in items if isinstance(i, Tensor | list)]
    numbers = [i for i in items if isinstance(i, int) and not isinstance(i, bool)]
    if len(picks) > 1 or (picks and numbers):
        return [None] * ndim
    named = sum(_extent(item)[0] for item in items)
    moves: list[int | None] = []
    new = 0
    for item in (*items, *([] if Ellipsis in map(_plain, items) else [Ellipsis])):
        taken, made = (ndim - named,) * 2 if item is Ellipsis else _extent(item)
        moves.extend(range(new, new + made) if taken == made else [None] * taken)
        new += made
    return moves


def _extent(item: object) -> tuple[int, int]:
    """Return how many dimensions of the source an item of an index uses, and how many it makes."""
    if item is None:
        return 0, 1
    if item is Ellipsis:
        return 0, 0
    if isinstance(item, Tensor):
        if item.dtype in (torch.bool, torch.uint8):
            return item.ndim, 1
        return 1, item.ndim
    return (1, 1) if isinstance(item, slice | list) else (1, 0)


def _plain(item: object) -> object:
    """Return an item that can be compared with `==`: None for tensors and lists."""
    return None if isinstance(item, Tensor | list) else item
