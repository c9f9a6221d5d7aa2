"""Sums, and other operations that join constants with signals: constants absorb their share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from melaudit.relevance.dataflow.axes import indexed
from melaudit.relevance.dataflow.calls import Call, Operation
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.marks import Gate, put_mark


def add(flow: Flow, call: Call, input: Any, other: Any, *, alpha: float = 1) -> Any:
    """torch.add, torch.sub: for two signals the gradient is the rule; a constant absorbs its share.

    Pixels keep their relevance when a constant is added to them, as preprocessing does.
    """
    if len(call.signals) == 2:
        return flow.plain_gradient(call)
    signal = call.signals[0]
    constant = other if input is signal else input
    if isinstance(constant, Tensor):
        shape = torch.broadcast_shapes(signal.shape, constant.shape)
    else:
        shape = signal.shape
        if constant == 0:
            return flow.plain_gradient(call)
        constant = torch.as_tensor(constant, dtype=signal.dtype, device=signal.device)
    if flow.mark(signal).pixels and shape == signal.shape:
        return flow.elementwise(call, signal)
    if shape != signal.shape:
        with flow:
            signal = signal.expand(shape)
    kept = flow.constant(constant.to(signal.dtype), signal.shape, flow.mark(signal).images)
    terms = (signal, kept) if input is call.signals[0] else (kept, signal)
    call.signals = [signal]
    return flow.follow(call, call.anew(*terms, alpha=alpha))


def reversed_subtract(flow: Flow, call: Call, input: Tensor, other: Any, alpha: float = 1) -> Any:
    """`other - input`."""
    with flow:
        minuend = torch.as_tensor(other, dtype=input.dtype, device=input.device)
        return torch.sub(minuend, input, alpha=alpha)


def concatenate(
    flow: Flow, call: Call, tensors: Sequence[Tensor], *args: Any, **kwargs: Any
) -> Any:
    """torch.cat, torch.stack and the like; some tensors may be constants, as class tokens are."""
    signal = call.signals[0]
    mark = flow.mark(signal)
    joined = list(tensors)
    for i, tensor in enumerate(joined):
        if not flow.is_signal(tensor):
            aligned = tensor.ndim == signal.ndim and mark.images is not None
            images = mark.images if aligned else None
            images = images and images.carried(signal.shape, tensor.shape, range(tensor.ndim))
            joined[i] = flow.constant(tensor, tensor.shape, images)
    return flow.follow(call, call.function(joined, *args, **kwargs))


def where(flow: Flow, call: Call, condition: Tensor, input: Any, other: Any) -> Any:
    """torch.where."""
    signals = [t for t in (input, other) if isinstance(t, Tensor) and flow.is_signal(t)]
    if not signals:
        return flow.plain_gradient(call)
    operands = [t for t in (condition, input, other) if isinstance(t, Tensor)]
    shape = torch.broadcast_shapes(*(t.shape for t in operands))
    with flow:
        call.signals = [s if s.shape == shape else s.expand(shape) for s in signals]
    images = flow.mark(call.signals[0]).images
    like = signals[0]

    def kept(value: Any) -> Tensor:
        if any(value is s for s in signals):
            return call.signals[[value is s for s in signals].index(True)]
        constant = torch.as_tensor(value, dtype=like.dtype, device=like.device)
        return flow.constant(constant, shape, images)

    return flow.follow(call, torch.where(condition, kept(input), kept(other)))


def masked_fill(flow: Flow, call: Call, input: Tensor, mask: Tensor, value: Any) -> Any:
    """Tensor.masked_fill: `where` with a constant."""
    with flow:
        return torch.where(mask, value, input)


def extremum(flow: Flow, call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """torch.maximum, minimum, max and min: the chosen value gets all relevance, also a constant."""
    other = args[0] if args else kwargs.get("other")
    if not isinstance(other, Tensor) or len(call.signals) == 2:
        return flow.plain_gradient(call)
    with flow, torch.no_grad():
        wins = input >= other if call.name in ("maximum", "fmax", "max") else input <= other
    with flow:
        return torch.where(wins, input, other)


def pad(
    flow: Flow,
    call: Call,
    input: Tensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> Any:
    """F.pad; for rules that do not look at values it is noted which pixels are padding."""
    if mode != "constant":
        return flow.plain_gradient(call)
    if value:
        inside = functional.pad(torch.ones_like(input.detach(), dtype=torch.bool), pad)
        with flow:
            return torch.where(inside, functional.pad(input, pad), value)
    padded = flow.plain_gradient(call)
    mark = flow.mark(padded)
    if mark.pixels:
        known = flow.mark(input).support
        inside = torch.ones_like(input[:1].detach()) if known is None else known
        put_mark(padded, replace(mark, support=functional.pad(inside, pad)))
    return padded


def write(flow: Flow, call: Call, input: Tensor, index: Any, value: Any) -> None:
    """`tensor[index] = value`; a constant that overwrites a signal absorbs its own relevance."""
    mark = flow.mark(input if flow.is_signal(input) else call.signals[-1])
    if not (isinstance(value, Tensor) and flow.is_signal(value)):
        with torch.no_grad():
            place = input[index]
        moves = indexed(input.ndim, index)
        images = mark.images and mark.images.carried(input.shape, place.shape, moves)
        constant = torch.as_tensor(value, dtype=input.dtype, device=input.device)
        value = flow.constant(constant, place.shape, images)
    input[index] = value
    fits = mark.images is not None and mark.images.fits(input.shape)
    images = mark.images if fits else None
    put_mark(input, replace(mark, images=images, gate=Gate.SIGNAL, pixels=False, step=None))


def decomposed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operation that consists of others, each of which follows its own rule."""

    def operation(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
        with flow:
            return function(*args, **kwargs)

    return operation


def _addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    return input + tensor1 * tensor2 * value


def _addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    return input + tensor1 / tensor2 * value


def _lerp(input: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    return input * (1 - weight) + end * weight


OPERATIONS: dict[str, Operation] = {
    "add": add,
    "sub": add,
    "rsub": reversed_subtract,
    "cat": concatenate,
    "stack": concatenate,
    "hstack": concatenate,
    "vstack": concatenate,
    "dstack": concatenate,
    "column_stack": concatenate,
    "where": where,
    "masked_fill": masked_fill,
    "maximum": extremum,
    "minimum": extremum,
    "fmax": extremum,
    "fmin": extremum,
    "max": extremum,
    "min": extremum,
    "pad": pad,
    "setitem": write,
    "addcmul": decomposed(_addcmul),
    "addcdiv": decomposed(_addcdiv),
    "lerp": decomposed(_lerp),
}
