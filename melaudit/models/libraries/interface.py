"""What is asked of a library that builds image classifiers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

Shapes = Mapping[str, tuple[int, ...]]
"""Name of a tensor -> its shape."""


class Library(Protocol):
    """Builds image classifiers by name, with random weights; nothing is downloaded."""

    extra: str
    """The extra of melaudit that installs it; "" for one that every melaudit has."""

    def names(self) -> tuple[str, ...]:
        """Return the names of its classifiers; none if it is not installed."""
        ...

    def make(self, name: str, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
        """Build one of them for images of three channels."""
        ...

    def bound_size(self, name: str, options: Mapping[str, Any]) -> int | None:
        """Return the only side of images that it accepts, in pixels; None if any will do."""
        ...

    def notes(self, name: str) -> tuple[str, ...]:
        """Return what the weights do not tell about how it is run."""
        ...

    def likely(self, shapes: Shapes) -> tuple[str, ...]:
        """Return the names of those that weights of these shapes may belong to."""
        ...
