"""Weightless: build a model for the names and shapes of its parameters, without the parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

PROBE = 1009
"""A number of classes, prime and like no width, by which the head's tensors are told apart."""

_MOST_OTHERS = 8
"""Parameters of other shapes that a builder may make and throw away again, to try a layer out."""

_RANDOM = {
    *(torch.Tensor.normal_, torch.Tensor.uniform_),
    *(nn.init.normal_, nn.init.uniform_, nn.init.kaiming_normal_, nn.init.kaiming_uniform_),
}
"""What initialises most parameters; on the meta device it does nothing, but takes its time."""


class Weightless(TorchFunctionMode):
    """Allocate and draw no parameters, which saves seconds and leaves the random state alone.

    This is not torch.device("meta"): buffers, and widths that a constructor computes with tensors,
    as RegNet's does, keep their values.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is torch.empty:
            kwargs = {**kwargs, "device": "meta"}
        elif function in _RANDOM:
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        return function(*args, **kwargs)


class _OtherShapesError(Exception):
    """A model has parameters of shapes that the weights do not have."""


def consists_of(build: Callable[[], object], shapes: Collection[tuple[int, ...]]) -> bool:
    """Build a model until too many of its parameters have shapes other than these.

    Most architectures are told apart by their first few layers, and there are over a thousand.
    """
    others = 0

    def check(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal others
        # What follows the number of classes or the size of the image may have another shape.
        if parameter is None or parameter.ndim == 0 or parameter.shape[0] in (1, PROBE):
            return
        others += tuple(parameter.shape) not in shapes
        if others > _MOST_OTHERS:
            raise _OtherShapesError

    hook = register_module_parameter_registration_hook(check)
    # Other errors come from models that are run while they are built, which says nothing.
    try:
        with suppress(Exception), Weightless():
            build()
    finally:
        hook.remove()
    return others <= _MOST_OTHERS
