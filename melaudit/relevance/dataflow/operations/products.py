"""Products: a gate that weighs a signal is held constant; two signals share the relevance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from melaudit.relevance.dataflow.calls import Call, Operation
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.ledger import scaled_gradient
from melaudit.relevance.dataflow.marks import Gate
from melaudit.relevance.dataflow.operations.heads import attended, heads_dim, mixes
from melaudit.relevance.dataflow.rulebook import AttentionRule


def shares(flow: Flow, factors: Sequence[Any], *, matrices: bool = False) -> list[Any]:
    """Return the factors of a product, each with a gradient that passes its share of relevance.

    The signals that are the weakest gates get all of it. A single one is what the others weigh; k
    of them get a k-th each, since the gradient alone would give all of it to each. Stronger gates
    and parameters get none.
    Sources: Arras et al., Explaining recurrent neural network predictions in sentiment analysis,
    WASSA 2017 (gates take none); Achtibat et al., AttnLRP, ICML 2024 (equal factors share).

    Where `matrices` are multiplied, the rule of AttnLRP lets every factor carry a share: attention
    weights among them.
    """
    gates = {
        i: flow.mark(f).gate
        for i, f in enumerate(factors)
        if isinstance(f, Tensor) and flow.is_signal(f)
    }
    if matrices and flow.rulebook.attention is AttentionRule.ATTNLRP:
        gates = dict.fromkeys(gates, Gate.SIGNAL)
    weakest = min(gates.values())
    carriers = sum(gate == weakest for gate in gates.values())
    shared: list[Any] = []
    for i, factor in enumerate(factors):
        if i in gates and gates[i] == weakest:
            shared.append(factor if carriers == 1 else scaled_gradient(factor, 1 / carriers))
        else:
            shared.append(factor.detach() if isinstance(factor, Tensor) else factor)
    return shared


def multiply(flow: Flow, call: Call, input: Any, other: Any, **kwargs: Any) -> Any:
    """torch.mul."""
    if _only_pixels(flow, call):
        return flow.elementwise(call, call.signals[0])
    if call.inplace and len(call.signals) > 1 and flow.mark(input).gate >= flow.mark(other).gate:
        with flow:  # the overwritten tensor is still needed, to weigh the other factor
            kept = input.clone()
            return torch.mul(kept, kept if other is input else other)
    return flow.follow(call, call.anew(*shares(flow, (input, other)), **kwargs))


def divide(flow: Flow, call: Call, input: Any, other: Any, **kwargs: Any) -> Any:
    """torch.div: the divisor is held constant, like the deviation of a normalisation."""
    if not (isinstance(input, Tensor) and flow.is_signal(input)):
        return _inverse(flow, call, input, other)
    if _only_pixels(flow, call):
        return flow.elementwise(call, input)
    other = other.detach() if isinstance(other, Tensor) else other
    divided = call.anew(input, other, **kwargs)
    return flow.follow(call, divided, gate=flow.mark(input).gate)


def reversed_divide(flow: Flow, call: Call, input: Tensor, other: Any) -> Any:
    """`other / input`."""
    with flow:
        return torch.div(torch.as_tensor(other, dtype=input.dtype, device=input.device), input)


def matmul(flow: Flow, call: Call, input: Tensor, other: Tensor, **kwargs: Any) -> Any:
    """torch.matmul; with a constant matrix on the right it is a linear layer without a bias."""
    if not flow.is_signal(other) and other.ndim == 2 and input.ndim > 1:
        with flow:
            return functional.linear(input, other.t())
    attention = mixes(flow, (input, other))
    y = flow.follow(call, call.function(*shares(flow, (input, other), matrices=True), **kwargs))
    return attended(flow, y, heads_dim(y)) if attention else y


def reversed_matmul(flow: Flow, call: Call, input: Tensor, other: Tensor) -> Any:
    """`other @ input`."""
    with flow:
        return torch.matmul(other, input)


def einsum(flow: Flow, call: Call, equation: Any, *operands: Any) -> Any:
    """torch.einsum, with its operands one by one or as a list."""
    if not isinstance(equation, str):
        return flow.recorded_gradient(call)
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    attention = mixes(flow, operands)
    y = flow.follow(call, call.function(equation, *shares(flow, operands, matrices=True)))
    return attended(flow, y, _shared_dim(equation)) if attention else y


def _shared_dim(equation: str) -> int | None:
    """Return the last dimension of the result that all operands have, but for the first: heads.

    In "bhqk,bkhd->bqhd" that is h. None where there is none, or the equation does not tell.
    """
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow or "." in equation:
        return None
    shared = [i for i, letter in enumerate(output) if all(letter in o for o in inputs.split(","))]
    return shared[-1] if len(shared) > 1 else None


def pairwise(flow: Flow, call: Call, input: Tensor, other: Tensor, *args: Any) -> Any:
    """Operations that are linear in each of their first two arguments."""
    return flow.follow(call, call.function(*shares(flow, (input, other)), *args, **call.kwargs))


def gated_linear_unit(flow: Flow, call: Call, input: Tensor, dim: int = -1) -> Any:
    """F.glu: a sigmoid(b), where b is the gate."""
    with flow:
        signal, gate = input.chunk(2, dim)
        return signal * gate.sigmoid()


def _inverse(flow: Flow, call: Call, input: Any, other: Tensor) -> Any:
    """A constant over a signal: a factor that normalises what it multiplies."""
    if isinstance(input, Tensor) and input.shape != other.shape:
        with flow:
            return torch.div(*torch.broadcast_tensors(input, other))
    return flow.elementwise(call, other, gate=Gate.WEAK)


def _only_pixels(flow: Flow, call: Call) -> bool:
    """Whether pixels are scaled by a constant: they keep their relevance, also at zero."""
    if len(call.signals) > 1 or not flow.mark(call.signals[0]).pixels:
        return False
    others = [a for a in call.args if isinstance(a, Tensor) and a is not call.signals[0]]
    shape = call.signals[0].shape
    return all(torch.broadcast_shapes(a.shape, shape) == shape for a in others)


OPERATIONS: dict[str, Operation] = {
    "mul": multiply,
    "div": divide,
    "rdiv": reversed_divide,
    "rtruediv": reversed_divide,
    "matmul": matmul,
    "rmatmul": reversed_matmul,
    "einsum": einsum,
    "kron": pairwise,
    "outer": pairwise,
    "inner": pairwise,
    "dot": pairwise,
    "vdot": pairwise,
    "tensordot": pairwise,
    "bilinear": pairwise,
    "glu": gated_linear_unit,
}
