"""A model that has learned nothing: its own layers, their weights shuffled from the output down."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError


def randomise(model: nn.Module, depth: float, seed: int) -> int:
    """Shuffle the weights of the model in place, from the output down; return how many tensors.

    `depth` in (0, 1] is the share of the layers with weights, counted from the last one registered
    (which is the last one run in nearly all models; at 1 the order does not matter): at least the
    last layer, at 1 all. Each tensor is permuted within itself, so that mean, spread and largest
    weight stay what they were and only what was learned is gone; tensors of one size share a
    permutation, since drawing one costs more than applying it. A tensor whose values are all the
    same, as in a BatchNorm never trained, says nothing and stays. Buffers stay too.

    Raises RelevanceError for a depth outside of (0, 1] and for a model without weights to shuffle.
    """
    if not 0 < depth <= 1:
        raise RelevanceError(f"the depth is {depth}; expected a share above 0 and up to 1")
    layers = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
    if not layers:
        raise RelevanceError("the model has no weights, so none can be replaced by random ones")
    generator = torch.Generator().manual_seed(seed)
    chosen = layers[-math.ceil(depth * len(layers)) :]
    # A weight that two layers share is shuffled once: twice would be as random, but no more so.
    tensors = {id(p): p for layer in chosen for p in layer.parameters(recurse=False)}
    orders: dict[int, Tensor] = {}
    with torch.no_grad():
        for tensor in tensors.values():
            size = tensor.numel()
            if size not in orders:
                # Short indices halve the time of both steps; a tensor of 2^31 weights is too long.
                short = torch.int32 if size < 2**31 else torch.int64
                order = torch.randperm(size, generator=generator, dtype=short)
                orders[size] = order.to(tensor.device)
            tensor.copy_(tensor.flatten().index_select(0, orders[size]).view_as(tensor))
    return len(tensors)
