"""Build a model without its parameters, to learn their names and shapes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

PLACEHOLDER_CLASSES = 1009
"""A number of classes that marks the tensors of the head: it is prime and equals no width."""

_MAX_OTHERS = 8
"""Parameters of other shapes that a builder may make and discard while it tries a layer. Chosen: a
round figure, not measured."""

_RANDOM = {
    *(torch.Tensor.normal_, torch.Tensor.uniform_),
    *(nn.init.normal_, nn.init.uniform_, nn.init.kaiming_normal_, nn.init.kaiming_uniform_),
}
"""Functions that initialise most parameters; on the meta device they do nothing, but take time."""


class Weightless(TorchFunctionMode):
    """Allocate and draw no parameters, which saves seconds and leaves the random state unchanged.

    Unlike with torch.device("meta"), buffers keep their values, and so do widths that a constructor
    computes with tensors, as RegNet's does.
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
    """Tell whether the parameters of a model have these shapes, except a few.

    Building stops as soon as too many have other shapes: most architectures differ in their first
    few layers, and there are over a thousand of them.
    """
    others = 0

    def check(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal others
        # Shapes that depend on the number of classes or the image size may differ.
        if (
            parameter is None
            or parameter.ndim == 0
            or parameter.shape[0] in (1, PLACEHOLDER_CLASSES)
        ):
            return
        others += tuple(parameter.shape) not in shapes
        if others > _MAX_OTHERS:
            raise _OtherShapesError

    hook = register_module_parameter_registration_hook(check)
    # Other errors come from models that are run while they are built; they mean nothing here.
    try:
        with suppress(Exception), Weightless():
            build()
    finally:
        hook.remove()
    return others <= _MAX_OTHERS
