"""Models that return probabilities, made to return logits whose decision boundary is 0.

Everything else in the package sees logits: it decides by the largest, or by the sign of a single
one, and explains them. A sigmoid or softmax at the end squashes what is to be explained and moves
the boundary, so what goes into it, the pre-activation, is taken. Where this cannot be seen, the
log-odds or logarithms of the probabilities are: they decide alike.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from melaudit.relevance.model.outputs import find_logits

MAX_DISTANCE_FROM_ONE = 1e-3
"""By how much a row of probabilities may miss a sum of 1. Chosen: above the rounding of half
precision (2^-11) and of printed figures of three digits; not measured."""

_SMALLEST = 1e-7
"""Probabilities are kept so far from 0 and 1: about the rounding of float32, so logits stay within
-16 and 16."""


class Last(StrEnum):
    """The operation that a model's outputs come from, as far as it matters here."""

    SIGMOID = "sigmoid"
    LOG_SIGMOID = "log-sigmoid"
    SOFTMAX = "softmax"
    LOG_SOFTMAX = "log-softmax"
    OTHER = "another operation"


_OPERATIONS: Mapping[Any, Last] = {
    torch.sigmoid: Last.SIGMOID,
    torch.sigmoid_: Last.SIGMOID,
    torch.special.expit: Last.SIGMOID,
    Tensor.sigmoid: Last.SIGMOID,
    Tensor.sigmoid_: Last.SIGMOID,
    functional.sigmoid: Last.SIGMOID,
    functional.logsigmoid: Last.LOG_SIGMOID,
    torch.softmax: Last.SOFTMAX,
    torch.special.softmax: Last.SOFTMAX,
    Tensor.softmax: Last.SOFTMAX,
    functional.softmax: Last.SOFTMAX,
    torch.log_softmax: Last.LOG_SOFTMAX,
    torch.special.log_softmax: Last.LOG_SOFTMAX,
    Tensor.log_softmax: Last.LOG_SOFTMAX,
    functional.log_softmax: Last.LOG_SOFTMAX,
}


_MODULES = (nn.Sigmoid, nn.LogSigmoid, nn.Softmax, nn.LogSoftmax)
"""The same operations as modules."""


@dataclass(frozen=True)
class Seen:
    """What a model's outputs on some images say of their kind."""

    outputs: int
    last: Last
    in_unit_range: bool
    """Whether all lie within 0 and 1."""
    sum_to_one: bool
    """Whether they also sum to 1 for each image, being several."""

    @property
    def probabilities(self) -> bool:
        """Whether the outputs are known to be probabilities, by the last operation or their sums.

        Lying within 0 and 1 is not enough: logits may, by chance.
        """
        known = self.last in (Last.SIGMOID, Last.LOG_SIGMOID)
        return known or self.sum_to_one


def look_at_outputs(model: nn.Module, x: Tensor, num_classes: int) -> Seen:
    """Run the model on images x (N, C, H, W) and return what its outputs (N, num_classes) are."""
    with torch.no_grad(), _Activations.noted() as calls:
        taken = find_logits(model(x), num_classes)
    last, _ = calls.source(taken)
    unit = bool(((taken >= 0) & (taken <= 1)).all())
    sums = bool(((taken.sum(1) - 1).abs() < MAX_DISTANCE_FROM_ONE).all())
    return Seen(num_classes, last, unit, unit and sums and num_classes > 1)


def as_logits(
    model: nn.Module,
    num_classes: int,
    *,
    probabilities: bool,
    shift: tuple[float, ...] = (),
    column: int | None = None,
) -> nn.Module:
    """Return the model with outputs that are logits (N, num_classes), its boundary at 0.

    What is returned shares weights, submodules and their names with the model; only its call
    differs, so that hooks on the model come before. `probabilities` says that the outputs are
    probabilities, or their logarithms by an activation that is seen. `column` takes one of the
    outputs in place of all, (N, 1). `shift`, one number for each output that is left, is subtracted
    from the logits: it moves the boundary.
    """
    model = getattr(model, "_orig_mod", model)  # inside a compiled module
    own = type(model)

    def call(self: nn.Module, *args: Any, **kwargs: Any) -> object:
        if not probabilities:
            output = own.__call__(self, *args, **kwargs)
            logits = _column(find_logits(output, num_classes), column)
        else:
            with _Activations.noted() as calls:
                output = own.__call__(self, *args, **kwargs)
            taken = _column(find_logits(output, num_classes), column)
            _, before = calls.source(taken)
            logits = _log_odds(taken) if before is None else before
        if shift:
            logits = logits - logits.new_tensor(shift)
        # Whatever else the model returned, such as its attention, can still be found.
        return logits if isinstance(output, Tensor) else {"logits": logits, "returned": output}

    converted = copy.copy(model)
    converted.__class__ = type(own.__name__, (own,), {"__call__": call})
    return converted


def _column(outputs: Tensor, column: int | None) -> Tensor:
    """Return one column (N, 1) of outputs (N, K), or all of them."""
    return outputs if column is None else outputs[:, column : column + 1]


def _log_odds(taken: Tensor) -> Tensor:
    """Return logits (N, K) that decide as probabilities (N, K) do; their softmax for K > 1."""
    inside = taken.clamp(_SMALLEST, 1 - _SMALLEST)
    if taken.shape[1] == 1:
        return inside.log() - (1 - inside).log()
    return inside.log()


class _Activations(TorchFunctionMode):
    """Note what went into the activations a model calls, and what came out.

    Of an activation that is a module, its input is noted before any hook sees it. An engine's hooks
    on that module take part in no backward pass that starts before the module, and the ones of
    zennit fail when only half of them do.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Last, Tensor, Tensor]] = []
        self._given: Tensor | None = None
        """The input of the last activation module that was entered."""

    @classmethod
    @contextmanager
    def noted(cls) -> Iterator[_Activations]:
        """Note those that run while the `with` lasts."""
        calls = cls()
        watch = register_module_forward_pre_hook(calls._entered)  # it runs before a module's own
        try:
            with calls:
                yield calls
        finally:
            watch.remove()

    def _entered(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, _MODULES) and inputs and isinstance(inputs[0], Tensor):
            self._given = inputs[0]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        last = _OPERATIONS.get(func)
        if last is None:
            return func(*args, **kwargs)
        before = args[0] if args else kwargs["input"]
        if func in (torch.sigmoid_, Tensor.sigmoid_):
            args = (before.clone(), *args[1:])  # what went in would be overwritten
            after = torch.sigmoid(args[0])
            before.copy_(after)
            self._calls.append((last, args[0], after))
            return before
        after = func(*args, **kwargs)
        self._calls.append((last, self._before_hooks(before), after))
        return after

    def _before_hooks(self, before: Tensor) -> Tensor:
        """Return the input of an activation as its module was given it, if hooks left it alike."""
        given, self._given = self._given, None
        if given is None or given.shape != before.shape:
            return before
        return given if torch.equal(given.detach(), before.detach()) else before

    def source(self, taken: Tensor) -> tuple[Last, Tensor | None]:
        """Return where outputs (N, K) come from, and the logits (N, K) that went in, if seen.

        Outputs come from an activation if they are its values, or one column of them.
        """
        for last, before, after in reversed(self._calls):
            if after.numel() == taken.numel() and len(after) == len(taken):
                if torch.equal(after.detach().reshape(taken.shape), taken.detach()):
                    return last, before.reshape(taken.shape)
            elif last is Last.SOFTMAX and taken.shape[1] == 1 and after.shape[1:] == (2,):
                for column in (1, 0):
                    if torch.equal(after[:, column].detach(), taken[:, 0].detach()):
                        odds = before[:, column] - before[:, 1 - column]
                        return Last.SIGMOID, odds[:, None]
            elif last in (Last.SIGMOID, Last.LOG_SIGMOID) and taken.shape[1] == 1:
                if len(after) != len(taken):
                    continue  # not of these images
                columns = after.detach().reshape(len(after), -1) == taken.detach()
                if bool(columns.all(0).any()):
                    column = int(columns.all(0).nonzero()[0])
                    return last, before.reshape(len(before), -1)[:, column, None]
        return Last.OTHER, None
