"""Following a model's own autograd Functions, such as activations written to save memory.

A mode does not see `Function.apply`, which is not a torch function, and the backward pass that the
model's author wrote is a gradient, not a rule. But the forward pass consists of torch operations.
Run as plain code, each of them is seen and follows its rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from melaudit.relevance.dataflow.calls import Call, tensors
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.switches import applied_by


@contextmanager
def followed_inside(flow: Flow) -> Iterator[None]:
    """Run the forward passes of custom Functions as plain code, in this thread."""

    def handle(
        cls: type[Function],
        apply: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if cls.__module__.startswith(_OURS):
            return apply(*args, **kwargs)
        signals = [t for t in tensors((args, kwargs)) if flow.is_signal(t)]
        if not signals or not torch.is_grad_enabled():
            return apply(*args, **kwargs)
        result = _inside(cls, args, kwargs)
        if any(t.requires_grad for t in tensors(result)):
            return result
        # It detaches, or calls something that is not torch: only its own gradient is left.
        with torch._C.DisableTorchFunction():
            call = Call(apply, cls.__name__, args, kwargs, signals)
            return flow.operations.unknown(flow, call, *args)

    with applied_by(handle):
        yield


_OURS = __name__.rpartition(".")[0]


class _Context:
    """Replaces the context of a forward pass; what is stored there is not needed again."""

    def __init__(self, args: tuple[Any, ...]) -> None:
        self.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        self.saved_tensors: tuple[Tensor, ...] = ()

    def save_for_backward(self, *saved: Tensor) -> None:
        self.saved_tensors = saved

    save_for_forward = save_for_backward

    def mark_dirty(self, *args: Tensor) -> None: ...

    def mark_non_differentiable(self, *args: Tensor) -> None: ...

    def set_materialize_grads(self, value: bool) -> None: ...


def _inside(cls: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a Function's forward pass as plain code."""
    if cls.setup_context is not Function.setup_context:  # it takes no context of its own
        return cls.forward(*args, **kwargs)
    return cls.forward(_Context(args), *args, **kwargs)
