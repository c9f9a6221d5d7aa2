"""Functions of single values, and softmax: all relevance of the output goes to the input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from melaudit.relevance.dataflow.calls import Call, Operation
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.marks import Gate

STRONG = ("sigmoid", "hardsigmoid", "expit", "softmax", "softmin", "gumbel_softmax")
"""Functions whose results are made to weigh what they multiply."""

WEAK = (
    "tanh",
    "clamp_max",
    "erf",
    "exp",
    "rsqrt",
    "reciprocal",
    "softsign",
    "softplus",
)
"""Functions whose results are a weight, rather than a signal, where they multiply a signal."""

PLAIN = (
    "arctan",
    "asinh",
    "atan",
    "atan2",
    "celu",
    "ceil",
    "cos",
    "elu",
    "exp2",
    "expm1",
    "fake_quantize_per_tensor_affine",
    "floor",
    "frac",
    "hardshrink",
    "log",
    "log10",
    "log1p",
    "log2",
    "log_sigmoid",
    "logit",
    "logsigmoid",
    "nan_to_num",
    "pow",
    "round",
    "selu",
    "sign",
    "sin",
    "sinc",
    "sinh",
    "softshrink",
    "sqrt",
    "square",
    "tan",
    "tanhshrink",
    "threshold",
    "trunc",
)


def silu_factor(x: Tensor) -> Tensor:
    """silu(x) = x sigmoid(x)."""
    return x.sigmoid()


def hardswish_factor(x: Tensor) -> Tensor:
    """hardswish(x) = x hardsigmoid(x)."""
    return functional.hardsigmoid(x)


def mish_factor(x: Tensor) -> Tensor:
    """mish(x) = x tanh(softplus(x))."""
    return functional.softplus(x).tanh_()


def capped_factor(x: Tensor, cap: float) -> Tensor:
    """min(max(x, 0), cap) / x; where x <= 0 the numerator is zero, whatever it is divided by."""
    return x.clamp(0, cap).div_(x.clamp(min=1e-20))


def gelu_factor(x: Tensor) -> Tensor:
    """gelu(x) = x Phi(x), Phi the normal distribution function."""
    phi: Tensor = torch.special.ndtr(x)
    return phi


def gelu_tanh_factor(x: Tensor) -> Tensor:
    """gelu(x) by its approximation: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    inner = 0.7978845608028654 * (x + 0.044715 * x**3)
    return (1 + inner.tanh_()) / 2


FACTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": silu_factor,
    "hardswish": hardswish_factor,
    "mish": mish_factor,
}
"""Activations that are x times a factor: this is y / x without a division by zero."""


def activation(flow: Flow, call: Call, *args: Any, gate: Gate = Gate.SIGNAL, **kwargs: Any) -> Any:
    """Make a call of a function of single values."""
    signal = call.signals[0]
    if len(call.signals) > 1 or call.args[0] is not signal:
        return flow.recorded_gradient(call)
    if call.name == "pow" and isinstance(args[1], int | float) and args[1] < 0:
        gate = Gate.WEAK
    return flow.elementwise(call, signal, FACTORS.get(call.name), gate)


def gelu(flow: Flow, call: Call, input: Tensor, approximate: str = "none") -> Any:
    """F.gelu, exact or by tanh."""
    factor = gelu_factor if approximate == "none" else gelu_tanh_factor
    return flow.elementwise(call, input, factor)


def clamp(
    flow: Flow, call: Call, input: Tensor, min: Any = None, max: Any = None, **kwargs: Any
) -> Any:
    """torch.clamp and clamp_min; with 0 as the only bound it is ReLU, ruled by its gradient."""
    numbers = all(bound is None or isinstance(bound, int | float) for bound in (min, max))
    if len(call.signals) > 1 or not numbers or min != 0:
        return activation(flow, call, gate=Gate.SIGNAL if max is None else Gate.WEAK)
    if max is None:
        return flow.plain_gradient(call)
    return flow.elementwise(call, input, partial(capped_factor, cap=max), Gate.WEAK)


def hardtanh(
    flow: Flow,
    call: Call,
    input: Tensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Any:
    """F.hardtanh, which nn.ReLU6 calls as well."""
    factor = partial(capped_factor, cap=max_val) if min_val == 0 else None
    return flow.elementwise(call, input, factor, Gate.WEAK)


def relu6(flow: Flow, call: Call, input: Tensor, inplace: bool = False) -> Any:
    """F.relu6."""
    return flow.elementwise(call, input, partial(capped_factor, cap=6.0), Gate.WEAK)


def log_softmax(flow: Flow, call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """x minus its log-sum-exp, a constant that absorbs its share like any other."""
    with torch.no_grad():
        normaliser = input - call.run()
    with flow:
        return input - normaliser


OPERATIONS: dict[str, Operation] = {
    **{name: partial(activation, gate=Gate.STRONG) for name in STRONG},
    **{name: partial(activation, gate=Gate.WEAK) for name in WEAK},
    **dict.fromkeys((*PLAIN, *FACTORS), activation),
    "gelu": gelu,
    "hardtanh": hardtanh,
    "relu6": relu6,
    "clamp": clamp,
    "clamp_min": clamp,
    "log_softmax": log_softmax,
}
