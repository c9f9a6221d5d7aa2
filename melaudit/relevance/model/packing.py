"""Convolutions whose weights are laid out once, for a model that is only run forward on a CPU.

oneDNN, which computes torch's convolutions there, wants weights in blocks that depend on the
processor. A plain convolution brings them into that order at every call, which takes as long
however few images there are: a ResNet50 runs 16 images of 128 pixels in 213 ms instead of 236, and
4 in 60 instead of 98. Batches of 16 and of 19 gave the same bits with nine architectures; for
smaller ones oneDNN may add up in another order. The operators are those of torch's own compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

Operator = Callable[..., Tensor]


def pack(model: nn.Module, x: Tensor) -> int:
    """Have plain convolutions of a model run with packed weights; return how many.

    x (N, C, H, W) is what the model is run on once, to see what its convolutions take. Their own
    weights are given up, so that memory holds them once. What is computed afterwards cannot be
    differentiated. None on other devices than a processor, in other precisions than float32, and
    where torch does not have the operators.
    """
    operators = _operators()
    if operators is None or x.device.type != "cpu" or x.dtype != torch.float32:
        return 0
    sizes: dict[nn.Conv2d, torch.Size] = {}
    handles = [
        module.register_forward_pre_hook(partial(_note, sizes))
        for module in model.modules()
        if _is_plain(module)
    ]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    with torch.no_grad():
        for convolution, size in sizes.items():
            _pack(convolution, size, *operators)
    return len(sizes)


def _operators() -> tuple[Operator, Operator] | None:
    """Return what brings weights into order, and what convolves with them; None without oneDNN."""
    if not torch.backends.mkldnn.is_available() or not torch.backends.mkldnn.enabled:
        return None
    try:
        ours = torch.ops.mkldnn
        return ours._reorder_convolution_weight, ours._convolution_pointwise
    except (AttributeError, RuntimeError):  # built without them
        return None


def _is_plain(module: nn.Module) -> bool:
    """Tell whether a module is a convolution, and does no more than its weights say."""
    return (
        type(module) is nn.Conv2d
        and "forward" not in vars(module)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.weight.dtype == torch.float32
    )


def _note(sizes: dict[nn.Conv2d, torch.Size], module: nn.Conv2d, inputs: tuple[Tensor]) -> None:
    """Note, as a hook, what a convolution takes."""
    if inputs[0].ndim == 4:
        sizes[module] = inputs[0].shape


def _pack(module: nn.Conv2d, size: torch.Size, order: Operator, convolve: Operator) -> None:
    padding, stride, dilation = list(module.padding), list(module.stride), list(module.dilation)
    geometry = (padding, stride, dilation, module.groups)
    weight = order(module.weight.detach(), *geometry, list(size))
    bias = None if module.bias is None else module.bias.detach()

    def forward(x: Tensor) -> Tensor:
        return convolve(x, weight, bias, *geometry, "none", [], "")

    module.weight = nn.Parameter(module.weight.new_empty(0), requires_grad=False)
    # Hooks of the module stay: only what it computes is another operation.
    module.forward = forward  # type: ignore[method-assign, assignment]
