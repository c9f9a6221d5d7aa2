"""Models of one operation, explained, and what must hold of their relevance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from zennit.composites import LayerMapComposite

from melaudit.relevance.dataflow.engine import DataflowEngine
from melaudit.relevance.interface import Attribution

PLAIN = LayerMapComposite([])
"""A composite without rules: LRP-0 everywhere."""


class Model(nn.Module):
    """A model made of one function of the image, and modules it may use."""

    def __init__(self, function: Callable[..., Any], **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def explained(
    function: Callable[..., Any],
    x: Tensor,
    composite: Any = PLAIN,
    target: int = 1,
    classes: int | None = None,
    **modules: nn.Module,
) -> Attribution:
    """Explain a model whose outputs, flattened, are the logits."""

    def flat(model: Model, x: Tensor) -> Any:
        output = function(model, x) if modules else function(x)
        return output.flatten(1) if isinstance(output, Tensor) else output

    model = Model(flat, **modules).to(x.dtype).eval()
    with DataflowEngine(model, composite, classes) as engine:
        return engine.attribute(x, torch.full((len(x),), target), [])


def assert_closed(found: Attribution, tolerance: float = 1e-9) -> None:
    assert found.absorbed is not None
    total = found.maps.flatten(1).sum(1) + found.absorbed
    assert torch.allclose(total, found.start, rtol=tolerance, atol=tolerance)


def assert_same(first: Attribution, second: Attribution, tolerance: float = 1e-9) -> None:
    assert torch.allclose(first.logits, second.logits, rtol=1e-6)
    scale = float(first.maps.abs().max())
    assert scale > 0
    assert torch.allclose(first.maps, second.maps, rtol=tolerance, atol=tolerance * scale)
