"""The outputs of layers, and the means of their channels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError
from melaudit.relevance.layout import fast
from melaudit.relevance.model.layers import find_layer
from melaudit.relevance.model.outputs import find_logits, tensors
from melaudit.relevance.model.tokens import channels_first


def features(
    model: nn.Module, x: Tensor, layer: str, num_classes: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the logits (N, K) and each channel's mean over space at the layer (N, channels).

    For a model without such a layer, where `layer` is "", the logits stand for the means as well.
    Runs the model forward on x (N, C, H, W), without gradients, in the mode it is in. Raises
    RelevanceError for a layer that does not exist, does not run or gives no tensor with channels.
    """
    if not layer:
        with torch.no_grad():
            logits = find_logits(model(x), num_classes)
        return logits, logits
    logits, given = layer_output(model, x, layer, num_classes)
    given = channels_first(given)
    return logits, given.flatten(2).mean(2) if given.ndim > 2 else given


def layer_output(
    model: nn.Module, x: Tensor, layer: str, num_classes: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the logits (N, K) and the layer's output (N, channels, ...); see `features`."""
    seen: list[Tensor] = []

    def note(_: nn.Module, __: object, output: object) -> None:
        seen.extend(itertools.islice(tensors(output), 1))

    handle = find_layer(model, layer).register_forward_hook(note)
    try:
        with torch.no_grad():
            logits = find_logits(model(fast(x)), num_classes)
    finally:
        handle.remove()
    if len(seen) != 1 or seen[0].ndim < 2:
        raise RelevanceError(
            f"layer {layer} gave {len(seen)} tensors in one pass; expected one with channels"
        )
    return logits, seen[0]


def outputs(model: nn.Module, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return layer -> its output (N, channels, ...) for x (N, C, H, W), without gradients.

    The model is run no further than until each layer has given its first. Raises RelevanceError for
    a layer that does not exist.
    """
    with taking(model, layers) as taken, ExitStack() as hooks, torch.no_grad():

        def stop(*_: object) -> None:
            if len(taken) == len(set(layers)):
                raise _Enough

        for layer in layers:
            hooks.callback(find_layer(model, layer).register_forward_hook(stop).remove)
        with suppress(_Enough):
            model(fast(x))
    return dict(taken)


class _Enough(BaseException):
    """All layers that were asked for have run; no model takes it for an error of its own."""


@contextmanager
def taking(model: nn.Module, layers: Sequence[str]) -> Iterator[Mapping[str, Tensor]]:
    """Fill the mapping with the output of each layer while the `with` lasts: (N, channels, ...).

    The output of its first call counts, since an engine may run the model again on altered images.
    Raises RelevanceError for a layer that does not exist.
    """
    taken: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for layer in layers:
            hook = partial(_take, taken, layer)
            handle = find_layer(model, layer).register_forward_hook(hook)
            hooks.callback(handle.remove)
        yield taken


def _take(
    taken: dict[str, Tensor], layer: str, module: nn.Module, inputs: object, output: object
) -> None:
    first = next(iter(tensors(output)), None)
    if first is not None and layer not in taken:
        taken[layer] = first.detach().clone()  # the next module may work in place
