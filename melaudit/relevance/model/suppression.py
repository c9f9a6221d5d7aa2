"""What a model decides when some channels of a layer are suppressed: forward passes only.

A suppressed channel gives what it usually gives on other images, its mean map, so that the layers
after it get values as they know them. Suppressing channels that carry a decision changes it, which
relevance alone cannot show. Compare Anders et al., Finding and removing Clever Hans, 2022, who
project directions out, and Pahde et al., Reveal to revise, 2023.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError
from melaudit.relevance.layout import fast
from melaudit.relevance.model.layers import find_layer
from melaudit.relevance.model.outputs import find_logits, tensors
from melaudit.relevance.model.tokens import channels_first


def suppressed(
    model: nn.Module,
    x: Tensor,
    layer: str,
    sets: Sequence[Sequence[int]],
    values: Tensor,
    num_classes: int | None = None,
) -> Tensor:
    """Return the logits (N, sets, K) of x (N, C, H, W) with each set of channels set to `values`.

    values: (channels of the layer, ...), such as the mean of what the layer gives for images of the
    same size. What lies before the layer is run once for all sets, and what follows it once for
    each; a model that does not take more images there than it was given is run whole for each. Runs
    the model without gradients, in the mode it is in. Raises RelevanceError for a layer that does
    not exist.
    """
    find_layer(model, layer)
    if len(sets) > 1:
        with contextlib.suppress(RuntimeError, RelevanceError):
            logits = _run(model, x, layer, sets, values, num_classes)
            if len(logits) == len(sets) * len(x):
                return logits.reshape(len(sets), len(x), -1).transpose(0, 1)
    each = [_run(model, x, layer, [chosen], values, num_classes) for chosen in sets]
    return torch.stack(each, 1)


def _run(
    model: nn.Module,
    x: Tensor,
    layer: str,
    sets: Sequence[Sequence[int]],
    values: Tensor,
    num_classes: int | None,
) -> Tensor:
    """Return the logits (sets * N, K), those of the first set first."""

    def replace(_: nn.Module, __: object, output: object) -> object:
        (own,) = itertools.islice(tensors(output), 1)
        if isinstance(output, Tensor):  # an identity returns what others may still need
            own = output = output.repeat(len(sets), *[1] * (output.ndim - 1))
        elif len(sets) > 1:
            raise RelevanceError(f"layer {layer} gives more than one tensor")
        for chosen, part in zip(sets, own.chunk(len(sets)), strict=True):
            at = torch.as_tensor(list(chosen), dtype=torch.long, device=values.device)
            channels_first(part)[:, at] = channels_first(values[None])[0][at].to(own.dtype)
        return output

    handle = find_layer(model, layer).register_forward_hook(replace)
    try:
        with torch.no_grad():
            return find_logits(model(fast(x)), num_classes)
    finally:
        handle.remove()
