"""What layers give, taken from a forward pass that runs anyway, whatever engine runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor, nn

from melaudit.relevance.model.layers import find_layer
from melaudit.relevance.model.outputs import tensors


@contextmanager
def taking(model: nn.Module, layers: Sequence[str]) -> Iterator[Mapping[str, Tensor]]:
    """Fill the mapping with what each layer gives the first time that it runs meanwhile.

    The first time, since an engine may go on with altered images.
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
