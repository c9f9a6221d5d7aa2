"""What looks at pictures with a model: whatever turns pictures into answers and maps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from melaudit.artifacts.interface import RGB
from melaudit.images.preprocessing import Preprocessing
from melaudit.relevance import Explainer
from melaudit.relevance.model.outputs import probabilities

T = TypeVar("T")


@dataclass(frozen=True)
class Viewer:
    """A model, ready to look at pictures of any size, some at a time."""

    explainer: Explainer
    preprocessing: Preprocessing
    device: torch.device
    layer: str
    """The concept layer; "" for a model without one."""
    batch_size: int
    shift: tuple[float, ...] = ()
    """What the user's threshold took off each of the logits; () for none."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the model's own probabilities (N, C) behind its logits (N, K)."""
        return probabilities(logits, self.shift)

    @property
    def layers(self) -> list[str]:
        """The layers whose concepts are asked for: the concept layer, if the model has one."""
        return [self.layer] if self.layer else []

    def inputs(self, pictures: Iterable[RGB]) -> Tensor:
        """Return pictures, each (h, w, 3), as the model takes them: (N, C, H, W) on its device.

        Raises PreprocessingError for a picture that cannot be brought to the model's size, and
        RuntimeError for no picture at all.
        """
        x = torch.stack([self.preprocessing.apply(picture) for picture in pictures])
        return x.to(self.device)

    def batches(self, items: Iterable[T]) -> Iterator[list[T]]:
        """Yield items in lists of as many as the model is shown at a time."""
        iterator = iter(items)
        while batch := list(itertools.islice(iterator, self.batch_size)):
            yield batch

    def full_batches(self, items: Iterable[T]) -> Iterator[list[T]]:
        """Yield items in lists for a model that is run forward only, none of them too small.

        A list has at least as many as the model is shown at a time, if there are as many, and less
        than twice as many: without gradients they take less memory. A processor takes up to half
        as long again for an image of a smaller batch: a ResNet50 20 ms with 15 images of 128 pixels
        and 14 ms with 16 to 28.
        """
        waiting: list[T] = []
        for item in items:
            waiting.append(item)
            if len(waiting) == 2 * self.batch_size:
                yield waiting[: self.batch_size]
                del waiting[: self.batch_size]
        if waiting:
            yield waiting
