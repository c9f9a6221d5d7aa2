"""Leaving a model as it was: remember its state and restore it, or work on a copy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import nn

from melaudit.errors import RelevanceError, out_of_memory


def remember_state(model: nn.Module) -> Callable[[], None]:
    """Remember weights, buffers, gradients, modes and own `forward`s; return what restores them.

    Values are not copied: nothing here writes into a weight. But zennit's canonizers replace
    tensors, and zennit-crp drops gradients.
    """
    modules = [
        (m, m.training, dict(m._parameters), dict(m._buffers), dict(m._modules), dict(m.__dict__))
        for m in model.modules()
    ]
    parameters = [(p, p.data, p.requires_grad, p.grad) for p in model.parameters()]
    buffers = [(b, b.data) for b in model.buffers()]

    def restore() -> None:
        for module, training, own, held, children, attributes in modules:
            _refill(module._parameters, own)
            _refill(module._buffers, held)
            _refill(module._modules, children)
            if "forward" in attributes:
                module.__dict__["forward"] = attributes["forward"]
            else:
                module.__dict__.pop("forward", None)
            module.training = training
        for parameter, data, requires_grad, grad in parameters:
            parameter.data = data
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        for buffer, data in buffers:
            buffer.data = data

    return restore


def remember_hooks(model: nn.Module) -> Callable[[], None]:
    """Remember which hooks the modules have; return what removes all that were added since."""
    registries = [
        (registry, set(registry))
        for module in model.modules()
        for name, registry in module.__dict__.items()
        if "_hooks" in name and isinstance(registry, dict)
    ]

    def restore() -> None:
        for registry, known in registries:
            for key in set(registry) - known:
                del registry[key]

    return restore


def copied(model: nn.Module) -> nn.Module:
    """Return a deep copy of the model; RelevanceError with the reason if it cannot be copied."""
    try:
        return copy.deepcopy(model)
    except Exception as error:  # whatever a model holds may refuse to be copied
        if out_of_memory(error):
            raise
        raise RelevanceError(
            f"the model cannot be copied: {type(error).__name__}: {error}; give one whose "
            "attributes copy.deepcopy can copy"
        ) from error


def _refill(container: dict[str, Any], content: dict[str, Any]) -> None:
    """Restore the content of a dict without replacing the dict: others hold references to it."""
    if list(container) != list(content) or any(container[k] is not content[k] for k in content):
        container.clear()
        container.update(content)
