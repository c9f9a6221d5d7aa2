"""Where the images, and where the channels, are in a tensor as a network moves its axes about.

A tensor in row-major order reads `(before, size, rest)` around the axis that counts images (or
channels). Reshapes leave the two numbers as they are, even where they merge the axis with others,
as windowed attention does with (N * windows, tokens, channels); only operations that reorder
dimensions change them, and those say which dimension went where.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = Sequence[int]
Moves = Sequence[int | None]
"""For each dimension of a tensor, the dimension of the result it became; None where it went."""


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
        """View a tensor as (before, size, rest)."""
        return tensor.reshape(self.before, self.size, -1)

    def sums(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over everything but this axis: (size,)."""
        return self.spread(tensor).sum((0, 2))

    def fits(self, shape: Shape) -> bool:
        """Whether one dimension of this shape holds the axis."""
        return self.locate(shape) is not None

    def locate(self, shape: Shape) -> tuple[int, int] | None:
        """Return the dimension that holds the axis, and how many elements of it come before.

        None where the shape cuts the axis up.
        """
        prefix = 1
        for dim, length in enumerate(shape):
            if self.before % prefix == 0 and (prefix * length) % (self.before * self.size) == 0:
                return dim, self.before // prefix
            prefix *= length
        return None

    def carried(self, source: Shape, result: Shape, moves: Moves) -> Axis | None:
        """Return the axis in the result of an operation, or None where it is gone.

        An operation that changes the length of a dimension that is wholly ours, as concatenating
        channels does, gives the axis a new size.
        """
        place = self.locate(source)
        if place is None or moves[place[0]] is None:
            # Of a single image everything is that image, wherever its axis went.
            return Axis(1, 1) if self.size == 1 else None
        dim, outer = place
        new = moves[dim]
        assert new is not None
        if result[new] == source[dim]:
            return Axis(math.prod(result[:new]) * outer, self.size)
        return Axis.at(result, new) if source[dim] == self.size else None


def permuted(order: Sequence[int]) -> Moves:
    """Return where dimensions go when the result's are the source's `order`."""
    order = [d % len(order) for d in order]
    return [order.index(d) for d in range(len(order))]


def exchanged(ndim: int, a: int, b: int) -> Moves:
    """Return where dimensions go when `a` and `b` change places."""
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
    """Return where dimensions go when some are summed over or picked from."""
    gone = {d % ndim for d in dims}
    kept = iter(range(ndim))
    return [None if d in gone else next(kept) for d in range(ndim)]


def inserted(ndim: int, dim: int) -> Moves:
    """Return where dimensions go when a new one is put at `dim` of the result."""
    dim %= ndim + 1
    return [d + (d >= dim) for d in range(ndim)]


def aligned(source: Shape, result: Shape) -> Moves:
    """Return where dimensions go under broadcasting, which lines shapes up at the right."""
    shift = len(result) - len(source)
    return [d + shift if d + shift >= 0 else None for d in range(len(source))]


def indexed(ndim: int, index: object) -> Moves:
    """Return where dimensions go under `tensor[index]`.

    Where numbers and tensors index together, torch may reorder dimensions: all count as gone.
    """
    parts = index if isinstance(index, tuple) else (index,)
    picks = [p for p in parts if isinstance(p, Tensor | list)]
    numbers = [p for p in parts if isinstance(p, int) and not isinstance(p, bool)]
    if len(picks) > 1 or (picks and numbers):
        return [None] * ndim
    given = sum(_extent(p)[0] for p in parts)
    moves: list[int | None] = []
    new = 0
    for part in (*parts, *([] if Ellipsis in map(_plain, parts) else [Ellipsis])):
        taken, made = (ndim - given,) * 2 if part is Ellipsis else _extent(part)
        moves.extend(range(new, new + made) if taken == made else [None] * taken)
        new += made
    return moves


def _extent(part: object) -> tuple[int, int]:
    """Return how many dimensions a part of an index takes from the source, and gives back."""
    if part is None:
        return 0, 1
    if part is Ellipsis:
        return 0, 0
    if isinstance(part, Tensor):
        if part.dtype in (torch.bool, torch.uint8):
            return part.ndim, 1
        return 1, part.ndim
    return (1, 1) if isinstance(part, slice | list) else (1, 0)


def _plain(part: object) -> object:
    """Return a part of an index that can be compared with `==`, which tensors cannot."""
    return None if isinstance(part, Tensor | list) else part
