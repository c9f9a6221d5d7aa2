"""Linear and convolution layers, which follow the composite's rules."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from melaudit.relevance.dataflow.calls import Call, Operation
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.linear_maps import Convolution, Dense, LinearMap

Sizes = int | tuple[int, ...]


def linear(
    flow: Flow, call: Call, input: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Any:
    """F.linear."""
    return _ruled(flow, call, Dense(), nn.Linear, input, weight, bias)


def convolution(
    flow: Flow,
    call: Call,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """F.conv1d to F.conv3d."""
    dims = weight.ndim - 2
    if input.ndim == dims + 1:
        with flow:
            args = (weight, bias, stride, padding, dilation, groups)
            return call.function(input.unsqueeze(0), *args).squeeze(0)
    if isinstance(padding, str):
        spans = [
            d * (k - 1) if padding == "same" else 0
            for d, k in zip(_sizes(dilation, dims), weight.shape[2:], strict=True)
        ]
        if any(span % 2 for span in spans):
            pads = [side for span in reversed(spans) for side in (span // 2, span - span // 2)]
            with flow:
                padded = functional.pad(input, pads)
                return call.function(padded, weight, bias, stride, 0, dilation, groups)
        padding = tuple(span // 2 for span in spans)
    geometry = Convolution(
        _sizes(stride, dims),
        _sizes(padding, dims),
        _sizes(dilation, dims),
        False,
        (0,) * dims,
        groups,
    )
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    return _ruled(flow, call, geometry, kind, input, weight, bias)


def transposed_convolution(
    flow: Flow,
    call: Call,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """F.conv_transpose1d to F.conv_transpose3d."""
    dims = weight.ndim - 2
    if input.ndim == dims + 1:
        with flow:
            args = (weight, bias, stride, padding, output_padding, groups, dilation)
            return call.function(input.unsqueeze(0), *args).squeeze(0)
    geometry = Convolution(
        _sizes(stride, dims),
        _sizes(padding, dims),
        _sizes(dilation, dims),
        True,
        _sizes(output_padding, dims),
        groups,
    )
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
    return _ruled(flow, call, geometry, kind, input, weight, bias)


def addmm(
    flow: Flow,
    call: Call,
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> Any:
    """torch.addmm, addbmm, baddbmm and addmv: a linear layer, or else a product and a sum."""
    with flow:
        if call.name == "addmm" and beta == alpha == 1 and input.ndim == 1:
            if not flow.is_signal(mat2) and not flow.is_signal(input):
                return functional.linear(mat1, mat2.t(), input)
        product = mat1 @ mat2
        if call.name == "addbmm":
            product = product.sum(0)
        return (input if beta == 1 else input * beta) + (product if alpha == 1 else product * alpha)


def _ruled(
    flow: Flow,
    call: Call,
    geometry: LinearMap,
    kind: type[nn.Module],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
) -> Any:
    """Make a linear layer's call; weights that depend on the image are constants, as gates are."""
    if not flow.is_signal(input):
        return flow.recorded_gradient(call)
    with torch.no_grad():
        y = call.run()
    kernel = flow.kernels.kernel(geometry, weight, bias)
    return flow.linear(geometry, kind, input, kernel, y)


def _sizes(value: Sizes, dims: int) -> tuple[int, ...]:
    """Return one size per dimension."""
    sizes = (value,) if isinstance(value, int) else tuple(value)
    return sizes * dims if len(sizes) == 1 else sizes


OPERATIONS: dict[str, Operation] = {
    "linear": linear,
    "conv1d": convolution,
    "conv2d": convolution,
    "conv3d": convolution,
    "conv_transpose1d": transposed_convolution,
    "conv_transpose2d": transposed_convolution,
    "conv_transpose3d": transposed_convolution,
    "addmm": addmm,
    "addmv": addmm,
    "addbmm": addmm,
    "baddbmm": addmm,
}
