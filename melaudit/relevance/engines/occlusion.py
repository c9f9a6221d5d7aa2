"""Occlusion: the last resort, which asks a model for nothing but its outputs.

The image is cut into cells; each in turn is filled with the image's own mean colour, and how far
the explained logit falls is the cell's relevance, spread evenly over its pixels (Zeiler and Fergus,
Visualizing and Understanding Convolutional Networks, ECCV 2014). The map is coarse, costs a forward
pass for each cell, and sums to nothing in particular: what two cells show together counts twice or
not at all. A filled cell is itself unlike any training image.

Occlusion knows nothing of the inside of a model. The concepts that come with it are gradient x
activation at the layer, by plain autograd, and there are no conditional maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError
from melaudit.logits import predictions
from melaudit.relevance.engines.gradient import gradients
from melaudit.relevance.interface import Attribution
from melaudit.relevance.model.intact import remember_state
from melaudit.relevance.model.outputs import find_logits, start_relevance

CELLS = 10
"""Cells a side. Not the 8 of the check `faithfulness`, which must not be this very map."""

AT_ONCE = 64
"""Images in one forward pass."""


class OcclusionEngine:
    """What covering each part of the image does to the explained logit."""

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
            seen = gradients(self.model, x, explained, layers, self.num_classes)
            concepts = seen.concepts(seen.slopes()[1])
        return Attribution(
            logits=logits,
            start=start,
            maps=self._maps(x, explained, start),
            concepts=concepts,
            target=explained,
        )

    def conditional(self, x: Tensor, target: Tensor, layer: str, channels: Sequence[int]) -> Tensor:
        """Refuse: covering pixels does not tell one channel's part from another's."""
        raise RelevanceError(
            "occlusion gives no conditional maps: it looks at a model from outside; use --engine "
            "dataflow or gradient_x_input"
        )

    def within(self, x: Tensor, target: Tensor, layer: str, masks: Tensor) -> Tensor:
        """Refuse, as there are no conditional maps."""
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
        for first in range(0, count, max(1, AT_ONCE // len(x))):
            some = torch.arange(first, min(first + max(1, AT_ONCE // len(x)), count))
            covered = cells == some.to(x.device)[:, None, None]
            variants = torch.where(covered[:, None, None], mean, x).flatten(0, 1)
            with torch.no_grad():
                logits = find_logits(self.model(variants), self.num_classes)
            left = start_relevance(logits, target.repeat(len(some))).sum(1)
            falls.append(start - left.reshape(len(some), len(x)))
        per_pixel = torch.cat(falls) / torch.bincount(cells.flatten())[:, None]
        return per_pixel.T[:, cells]


def cell_of_pixel(height: int, width: int) -> Tensor:
    """Return the cell each pixel lies in, (H, W), numbered row by row."""
    rows, columns = min(CELLS, height), min(CELLS, width)
    row = torch.arange(height) * rows // height
    column = torch.arange(width) * columns // width
    return row[:, None] * columns + column
