"""A model that has learned nothing: its own layers, their weights shuffled from the output down."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError


def cascade(model: nn.Module, depths: Sequence[float], seed: int) -> Iterator[int]:
    """Shuffle the weights of the model in place, from the output down, to each depth in turn.

    Yields after each depth how many tensors are shuffled by then. A depth in (0, 1] is the share of
    the layers with weights, counted from the last one registered (which is the last one run in
    nearly all models; at 1 the order does not matter): at least the last layer, at 1 all. What was
    shuffled at one depth stays as it is at the next (Adebayo et al. 2018, cascading randomisation).

    Each tensor is permuted within itself, so that mean, spread and largest weight stay what they
    were and only what was learned is gone; tensors of one size share a permutation, since drawing
    one costs more than applying it. A tensor whose values are all the same, as in a BatchNorm never
    trained, says nothing and stays. Buffers stay too.

    Raises RelevanceError for a depth outside of (0, 1] and for a model without weights to shuffle.
    """
    if not all(0 < depth <= 1 for depth in depths):
        raise RelevanceError(f"the depth is {depths}; expected a share above 0 and up to 1")
    layers = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
    if not layers:
        raise RelevanceError("the model has no weights, so none can be replaced by random ones")
    generator = torch.Generator().manual_seed(seed)
    orders: dict[int, Tensor] = {}
    # A weight that two layers share is shuffled once: twice would be as random, but no more so.
    shuffled: set[int] = set()
    for depth in depths:
        for layer in reversed(layers[-math.ceil(depth * len(layers)) :]):
            for tensor in layer.parameters(recurse=False):
                if id(tensor) not in shuffled:
                    shuffled.add(id(tensor))
                    _shuffle(tensor, orders, generator)
        yield len(shuffled)


@torch.no_grad()
def _shuffle(tensor: Tensor, orders: dict[int, Tensor], generator: torch.Generator) -> None:
    """Permute a tensor within itself, by the order for its size."""
    size = tensor.numel()
    if size not in orders:
        # Short indices halve the time of both steps; a tensor of 2^31 weights is too long for them.
        short = torch.int32 if size < 2**31 else torch.int64
        order = torch.randperm(size, generator=generator, dtype=short)
        orders[size] = order.to(tensor.device)
    tensor.copy_(tensor.flatten().index_select(0, orders[size]).view_as(tensor))
