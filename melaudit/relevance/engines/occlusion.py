"""Occlusion: the last resort, which needs nothing of a model but its outputs.

The image is divided into cells. Each cell in turn is filled with the image's own mean colour. How
far the explained logit falls by that is the cell's relevance, spread evenly over its pixels (Zeiler
and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014). The map is coarse,
costs a forward pass for each cell, and sums to nothing in particular: what two cells show together
counts twice or not at all. An image with a filled cell is unlike any training image.

Occlusion does not look inside a model. Its concepts are gradient x activation at the layer, by
plain autograd, and there are no conditional maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError
from melaudit.logits import predictions
from melaudit.relevance.engines.gradient import run_with_gradients
from melaudit.relevance.interface import Attribution, Channels
from melaudit.relevance.model.intact import remember_state
from melaudit.relevance.model.outputs import find_logits, start_relevance

CELLS = 10
"""Cells a side. Other than the 8 of the check `faithfulness`, which would otherwise test a map
against itself."""

IMAGES_PER_PASS = 64
"""Images in one forward pass. Chosen: a round figure, not measured."""


class OcclusionEngine:
    """What covering each cell of the image does to the explained logit."""

    conserves = False

    def __init__(self, model: nn.Module, num_classes: int | None = None) -> None:
        self.model, self.num_classes = model, num_classes
        self.name = f"occlusion of {CELLS} x {CELLS} cells (concepts: gradient x activation)"
        self._restore: Callable[[], None] | None = None

    def __enter__(self) -> OcclusionEngine:
        self._restore = remember_state(self.model)
        self.model.eval()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._restore is not None:
            self._restore()
        self._restore = None

    def attribute(self, x: Tensor, target: Tensor | None, layers: Sequence[str]) -> Attribution:
        """Explain `target` (N,) for x (N, C, H, W): a forward pass for each cell, and one more."""
        with torch.no_grad():
            logits = find_logits(self.model(x), self.num_classes)
        explained = predictions(logits) if target is None else target
        start = start_relevance(logits, explained).sum(1)
        concepts = {}
        if layers:
            forward = run_with_gradients(self.model, x, explained, layers, self.num_classes)
            concepts = forward.concepts(forward.gradients()[1])
        return Attribution(
            logits=logits,
            start=start,
            maps=self._maps(x, explained, start),
            concepts=concepts,
            target=explained,
        )

    def conditional(self, x: Tensor, target: Tensor, layer: str, channels: Channels) -> Tensor:
        """Raise RelevanceError: covering pixels does not separate channels."""
        raise RelevanceError(
            "occlusion gives no conditional maps: it looks at a model from outside; use --engine "
            "dataflow or gradient_x_input"
        )

    def within(self, x: Tensor, target: Tensor, layer: str, masks: Tensor) -> Tensor:
        """Raise RelevanceError, as there are no conditional maps."""
        return self.conditional(x, target, layer, [])

    def operations(self, x: Tensor) -> tuple[tuple[str, str, int], ...]:
        """Return nothing: the operations are not looked at."""
        return ()

    def _maps(self, x: Tensor, target: Tensor, start: Tensor) -> Tensor:
        """Return (N, H, W): each cell's effect on the explained logit, spread over its pixels."""
        cells = cell_of_pixel(x.shape[2], x.shape[3]).to(x.device)
        count = int(cells.max()) + 1
        mean = x.mean((2, 3), keepdim=True)
        falls = []
        for first in range(0, count, max(1, IMAGES_PER_PASS // len(x))):
            some = torch.arange(first, min(first + max(1, IMAGES_PER_PASS // len(x)), count))
            covered = cells == some.to(x.device)[:, None, None]
            variants = torch.where(covered[:, None, None], mean, x).flatten(0, 1)
            with torch.no_grad():
                logits = find_logits(self.model(variants), self.num_classes)
            left = start_relevance(logits, target.repeat(len(some))).sum(1)
            falls.append(start - left.reshape(len(some), len(x)))
        per_pixel = torch.cat(falls) / torch.bincount(cells.flatten())[:, None]
        return per_pixel.T[:, cells]


def cell_of_pixel(height: int, width: int) -> Tensor:
    """Return the number of the cell that each pixel lies in, (H, W), counted row by row.

    A side of fewer pixels than cells has a cell for each pixel.
    """
    rows, columns = min(CELLS, height), min(CELLS, width)
    row = torch.arange(height) * rows // height
    column = torch.arange(width) * columns // width
    return row[:, None] * columns + column
