"""What the engine knows about a tensor that depends on the input: a note kept on the tensor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

from melaudit.relevance.dataflow.axes import Axis, Moves


class Gate(IntEnum):
    """Whether a tensor, once it multiplies another, only weighs it.

    Of two factors the stronger gate is a constant of the explanation and the other the signal that
    carries all relevance; equals share.
    """

    SIGNAL = 0
    WEAK = 1
    """Bounded or normalising, and as often a feature: tanh, ReLU6, a norm."""
    STRONG = 2
    """Made to weigh: sigmoid, softmax."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A rearrangement of all of a tensor's elements."""

    before: torch.Size
    after: torch.Size
    moves: Moves | None
    """Where each dimension went; None for a reshape."""

    def back(self, tensor: Tensor) -> Tensor:
        """Undo it."""
        return tensor.reshape(self.before) if self.moves is None else tensor.permute(self.order)

    def forth(self, tensor: Tensor) -> Tensor:
        """Do it again."""
        if self.moves is None:
            return tensor.reshape(self.after)
        return tensor.permute([self.order.index(d) for d in range(len(self.order))])

    @property
    def order(self) -> list[int]:
        """The moves of a permutation, which lose no dimension."""
        assert self.moves is not None
        return [d for d in self.moves if d is not None]


@dataclass(frozen=True, slots=True)
class Mark:
    """The note on one tensor."""

    images: Axis | None
    """None where an operation mixed the images' axis up beyond following."""
    channels: Axis | None
    gate: Gate = Gate.SIGNAL
    pixels: bool = False
    """Whether each element is a function of one value of the input, and no other, or constant."""
    support: Tensor | None = None
    """Of pixels: 1 where an element comes from the input and 0 on padding; None without padding."""
    step: Any = None
    """The linear layer that made the tensor, while a BatchNorm may still be folded into it."""
    route: tuple[Leg, ...] = ()
    """How the tensor has been rearranged since."""


def mark_of(tensor: Tensor) -> Mark | None:
    """Return the mark on a tensor, None if it has none."""
    mark = tensor.__dict__.get(_KEY)
    assert mark is None or isinstance(mark, Mark)
    return mark


def put_mark(tensor: Tensor, mark: Mark) -> None:
    """Mark a tensor, in place of what stood there before."""
    tensor.__dict__[_KEY] = mark


def note_nonnegative(tensor: Tensor) -> None:
    """Note that no element is below zero, as the tensor stands now."""
    tensor.__dict__[_NONNEGATIVE] = tensor._version


def is_nonnegative(tensor: Tensor) -> bool:
    """Whether it was noted that no element is below zero, and nothing was written since.

    A view shares its version with what it is a view of, so a write through one is seen at all.
    """
    noted: bool = tensor.__dict__.get(_NONNEGATIVE) == tensor._version
    return noted


_KEY = "_melaudit_mark"
_NONNEGATIVE = "_melaudit_nonnegative"
