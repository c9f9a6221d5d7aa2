"""What the engine knows about a tensor that depends on the input, noted on the tensor itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

from melaudit.relevance.dataflow.axes import Axis, Moves


class Gate(IntEnum):
    """Whether a tensor that multiplies another is a weight rather than a signal.

    Of two factors the stronger gate is held constant, and the other one is the signal that carries
    all relevance. Equal factors share it.
    """

    SIGNAL = 0
    WEAK = 1
    """Bounded or normalising, but often a feature as well: tanh, ReLU6, a norm."""
    STRONG = 2
    """Made to weigh: sigmoid, softmax."""


@dataclass(frozen=True, slots=True)
class Rearrangement:
    """A reshape or a permutation of all of a tensor's elements."""

    before: torch.Size
    after: torch.Size
    moves: Moves | None
    """Where each dimension went; None for a reshape."""

    def undone(self, tensor: Tensor) -> Tensor:
        """Return a tensor of shape `after` as it was before, of shape `before`."""
        return tensor.reshape(self.before) if self.moves is None else tensor.permute(self.order)

    def redone(self, tensor: Tensor) -> Tensor:
        """Return a tensor of shape `before` rearranged to shape `after`."""
        if self.moves is None:
            return tensor.reshape(self.after)
        return tensor.permute([self.order.index(d) for d in range(len(self.order))])

    @property
    def order(self) -> list[int]:
        """The moves of a permutation, which loses no dimension."""
        assert self.moves is not None
        return [d for d in self.moves if d is not None]


@dataclass(frozen=True, slots=True)
class Mark:
    """What is noted on one tensor."""

    images: Axis | None
    """The axis that counts images; None where an operation mixed it with others."""
    channels: Axis | None
    """The axis that counts channels; None where it is not known."""
    gate: Gate = Gate.SIGNAL
    across: bool = False
    """Whether the channels were made from the positions of each channel, by a linear layer."""
    normalised: bool = False
    """Whether the tensor comes straight from a normalisation of each image, such as LayerNorm."""
    pixels: bool = False
    """Whether each element is constant or depends on a single value of the input."""
    support: Tensor | None = None
    """Of pixels: 1 where an element comes from the input and 0 on padding; None without padding."""
    step: Any = None
    """The linear layer that made the tensor, while a BatchNorm may still be folded into it."""
    rearrangements: tuple[Rearrangement, ...] = ()
    """How the tensor has been rearranged since `step` made it, the first one first."""


def mark_of(tensor: Tensor) -> Mark | None:
    """Return the mark on a tensor, None if it has none."""
    mark = tensor.__dict__.get(_KEY)
    assert mark is None or isinstance(mark, Mark)
    return mark


def put_mark(tensor: Tensor, mark: Mark) -> None:
    """Mark a tensor; an earlier mark is replaced."""
    tensor.__dict__[_KEY] = mark


def note_nonnegative(tensor: Tensor) -> None:
    """Note that no element of the tensor is below zero at this moment."""
    tensor.__dict__[_NONNEGATIVE] = tensor._version


def is_nonnegative(tensor: Tensor) -> bool:
    """Whether it was noted that no element is below zero, and nothing was written since.

    A view shares its version with its base, so that writing through either one is noticed.
    """
    noted: bool = tensor.__dict__.get(_NONNEGATIVE) == tensor._version
    return noted


_KEY = "_melaudit_mark"
_NONNEGATIVE = "_melaudit_nonnegative"
