"""What a model decides when some channels of a layer are suppressed: forward passes only.

A suppressed channel gives what it usually gives on other images, its mean map, so that the layers
after it get values as they know them. Suppressing channels that carry a decision changes it, which
relevance alone cannot show. Compare Anders et al., Finding and removing Clever Hans, 2022, who
project directions out, and Pahde et al., Reveal to revise, 2023.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from melaudit.relevance.layout import fast
from melaudit.relevance.model.layers import find_layer
from melaudit.relevance.model.outputs import find_logits, tensors


def suppressed(
    model: nn.Module,
    x: Tensor,
    layer: str,
    channels: Sequence[int],
    values: Tensor,
    num_classes: int | None = None,
) -> Tensor:
    """Return the logits (N, K) of x (N, C, H, W) with channels of the layer set to `values`.

    values: (channels of the layer, ...), such as the mean of what the layer gives for images of the
    same size. Runs the model without gradients, in the mode it is in. Raises RelevanceError for a
    layer that does not exist.
    """
    chosen = torch.as_tensor(list(channels), dtype=torch.long, device=values.device)

    def replace(_: nn.Module, __: object, output: object) -> object:
        (own,) = itertools.islice(tensors(output), 1)
        if isinstance(output, Tensor):
            own = output = output.clone()  # an identity returns what others may still need
        own[:, chosen] = values[chosen].to(own.dtype)
        return output

    handle = find_layer(model, layer).register_forward_hook(replace)
    try:
        with torch.no_grad():
            return find_logits(model(fast(x)), num_classes)
    finally:
        handle.remove()
