"""A model that has learned nothing: its layers' weights are shuffled, from the output down."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError


def cascade(model: nn.Module, depths: Sequence[float], seed: int) -> Iterator[int]:
    """Shuffle the weights of the model in place, from the output down, to each depth in turn.

    Yields after each depth how many tensors are shuffled so far. A depth in (0, 1] is the share of
    the layers with weights, counted from the last one registered (in nearly all models this is the
    last one that runs; at 1 the order does not matter): at least the last layer, at 1 all. What is
    shuffled at one depth is not shuffled again at the next (cascading randomisation, Adebayo et
    al., Sanity checks for saliency maps, NeurIPS 2018).

    Each tensor is permuted within itself. So mean, spread and largest weight stay what they were,
    and only what was learned is lost. Tensors of one size share a permutation, since drawing one
    costs more than applying it. A tensor of equal values, as in an untrained BatchNorm, stays as it
    is, and so do buffers.

    Raises RelevanceError for a depth outside of (0, 1] and for a model without weights to shuffle.
    """
    if not all(0 < depth <= 1 for depth in depths):
        raise RelevanceError(f"the depth is {depths}; expected a share above 0 and up to 1")
    layers = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
    if not layers:
        raise RelevanceError("the model has no weights, so none can be replaced by random ones")
    generator = torch.Generator().manual_seed(seed)
    orders: dict[int, Tensor] = {}
    # A weight that two layers share is shuffled once: twice would make it no more random.
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
    """Permute a tensor within itself, by the permutation for its size."""
    size = tensor.numel()
    if size not in orders:
        # int32 halves the time of drawing and applying; it cannot index 2^31 weights.
        short = torch.int32 if size < 2**31 else torch.int64
        order = torch.randperm(size, generator=generator, dtype=short)
        orders[size] = order.to(tensor.device)
    tensor.copy_(tensor.flatten().index_select(0, orders[size]).view_as(tensor))
