"""Normalisations: BatchNorm folds into the linear layer before it, others divide by a constant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from melaudit.relevance.dataflow.axes import Axis
from melaudit.relevance.dataflow.calls import Call, Operation
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.ledger import Ledger
from melaudit.relevance.dataflow.marks import Mark
from melaudit.relevance.dataflow.steps import LinearStep, Step


class NormStep(Step):
    """y = (x - mean) / deviation * w + b, where the deviation is held constant.

    The rest is linear in x, so relevance follows its gradient, and b absorbs its share (Ali et al.,
    XAI for transformers: better explanations through conservative propagation, ICML 2022).
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        ledger: Ledger,
        images: Axis | None,
        grouped: Sequence[int],
        dims: Sequence[int],
        eps: float,
        weight: Tensor | None,
        bias: Tensor | None,
        centred: bool = True,
    ) -> None:
        super().__init__(x, y, ledger, images)
        self.grouped, self.dims, self.eps, self.centred = list(grouped), list(dims), eps, centred
        """The shape that x is given, and those of its dimensions that are normalised together."""
        self.weight = None if weight is None else weight.detach()
        self.bias = None if bias is None else bias.detach()
        self._inverse: Tensor | None = None

    def prepare(self) -> None:
        """Keep one over the deviation."""
        if self._inverse is not None:
            return
        with torch.no_grad():
            x = self.x.reshape(self.grouped)
            if self.centred:
                power = x.var(self.dims, correction=0, keepdim=True)
            else:
                power = x.square().mean(self.dims, keepdim=True)
            self._inverse = (power + self.eps).rsqrt()
        del self.x, self.y

    def propagate(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Follow the gradient of the linear part."""
        self.prepare()
        assert self._inverse is not None
        absorbed = self.ledger.zeros
        if self.bias is not None:
            absorbed = self.ledger.per_image(c, self.bias, self.images)
        below = c if self.weight is None else c * self.weight
        below = below.reshape(self.grouped) * self._inverse
        if self.centred:
            below = below - below.mean(self.dims, keepdim=True)
        return below.reshape(self.shape), absorbed


def batch_norm(
    flow: Flow,
    call: Call,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """F.batch_norm: folded into the linear layer whose output it gets, otherwise elementwise.

    The fold follows the tensor, so no order of modules is assumed. It changes no weight: a second
    step explains the linear layer, with weight W s and output y s + t.
    """
    if call.function is torch.batch_norm:  # the same operation with arguments in another order
        statistics, affine_pair = (weight, bias), (running_mean, running_var)
        with flow:
            return functional.batch_norm(input, *statistics, *affine_pair, training, momentum, eps)
    mark = flow.mark(input)
    step = mark.step
    if not isinstance(step, LinearStep) or training or not _fits(mark, input, running_var):
        return flow.elementwise(call, input)
    assert running_mean is not None and running_var is not None
    mean, variance = running_mean, running_var

    def affine() -> tuple[Tensor, Tensor]:
        scale = (variance + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        return scale, -mean * scale if bias is None else bias - mean * scale

    kernel = flow.kernels.kernel(
        step.linear, *step.kernel.original, (weight, bias, mean, variance), affine
    )
    with torch.no_grad():
        y = call.run()
    return flow.fold(step, kernel, mark, y)


def layer_norm(
    flow: Flow,
    call: Call,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *unused: Any,
) -> Any:
    """F.layer_norm."""
    dims = range(-len(tuple(normalized_shape)), 0)
    return _normalised(flow, call, input, input.shape, dims, eps, weight, bias)


def rms_norm(
    flow: Flow,
    call: Call,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Any:
    """F.rms_norm."""
    dims = range(-len(tuple(normalized_shape)), 0)
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    return _normalised(flow, call, input, input.shape, dims, eps, weight, None, centred=False)


def group_norm(
    flow: Flow,
    call: Call,
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *unused: Any,
) -> Any:
    """F.group_norm."""
    grouped = (input.shape[0], num_groups, math.prod(input.shape[1:]) // num_groups)
    weight, bias = (_per_channel(t, input) for t in (weight, bias))
    return _normalised(flow, call, input, grouped, (2,), eps, weight, bias)


def instance_norm(
    flow: Flow,
    call: Call,
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """F.instance_norm; with running statistics it is a BatchNorm."""
    if not use_input_stats:
        with flow:
            return functional.batch_norm(
                input, running_mean, running_var, weight, bias, False, 0.0, eps
            )
    weight, bias = (_per_channel(t, input) for t in (weight, bias))
    dims = range(2, input.ndim)
    return _normalised(flow, call, input, input.shape, dims, eps, weight, bias)


def local_response_norm(
    flow: Flow,
    call: Call,
    input: Tensor,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Any:
    """F.local_response_norm: x over a power of its neighbours, which is held constant."""
    with torch.no_grad():
        divisor = input / call.run()
    divisor = torch.where(torch.isfinite(divisor), divisor, 1)
    with flow:
        return input / divisor


def normalize(
    flow: Flow,
    call: Call,
    input: Tensor,
    p: float = 2.0,
    dim: int = 1,
    eps: float = 1e-12,
    out: None = None,
) -> Any:
    """F.normalize: x over its norm, which is held constant."""
    with torch.no_grad():
        divisor = torch.linalg.vector_norm(input, p, dim, keepdim=True).clamp_min(eps)
    with flow:
        return input / divisor


def _normalised(
    flow: Flow,
    call: Call,
    input: Tensor,
    grouped: Sequence[int],
    dims: Sequence[int],
    eps: float,
    weight: Tensor | None,
    bias: Tensor | None,
    centred: bool = True,
) -> Any:
    if not flow.is_signal(input):
        return flow.recorded_gradient(call)
    mark = flow.mark(input)
    with torch.no_grad():
        y = call.run()
    step = NormStep(input, y, flow.ledger, mark.images, grouped, dims, eps, weight, bias, centred)
    # A normalisation over the last dimension has its channels there.
    channels = Axis.at(y.shape, -1 if dims[-1] == -1 else 1)
    return flow.connect(step, input, y, Mark(mark.images, channels, normalised=True))


def _fits(mark: Mark, input: Tensor, variance: Tensor | None) -> bool:
    """Whether a BatchNorm scales the output channels of the linear layer before it."""
    if variance is None or not mark.step.intact() or mark.step.kernel.folded:
        return False
    place = None if mark.channels is None else mark.channels.locate(input.shape)
    return place == (1, 1) and mark.channels == Axis.at(input.shape, 1)


def _per_channel(values: Tensor | None, input: Tensor) -> Tensor | None:
    """Reshape values (C,) so that they broadcast over (N, C, ...)."""
    return None if values is None else values.reshape(-1, *[1] * (input.ndim - 2))


OPERATIONS: dict[str, Operation] = {
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "local_response_norm": local_response_norm,
    "normalize": normalize,
}
