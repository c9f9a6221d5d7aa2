"""Conditions of concept relevance go back together, and one by one where an operation forbids it.

The oracle is the model's own gradient: with `PLAIN` a map is input times gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from zennit.composites import LayerMapComposite

from melaudit.relevance.dataflow import passes
from melaudit.relevance.dataflow.engine import DataflowEngine

PLAIN = LayerMapComposite([])
"""A composite without rules: LRP-0 everywhere."""
CHANNELS = 5
TARGET = torch.tensor([1, 0])


class ByNumpy(torch.autograd.Function):
    """Doubles by numpy, forwards and backwards, which takes one gradient at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.from_numpy(2 * np.asarray(x.detach()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> Tensor:
        return torch.from_numpy(2 * np.asarray(c))


class Model(nn.Module):
    """A net whose concept layer is `concepts`, with some function before it."""

    def __init__(self, before: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 4, 3)
        self.concepts = nn.Conv2d(4, CHANNELS, 3, bias=False)
        self.head = nn.Linear(CHANNELS, 2, bias=False)
        self.before = before

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.concepts(self.before(self.first(x))).mean((2, 3)))
        return y


@pytest.mark.parametrize("before", [torch.relu, ByNumpy.apply], ids=["together", "one by one"])
def test_each_condition_is_the_gradient_through_its_channel(
    before: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(before)
    x = torch.randn(2, 3, 8, 8)
    went = []
    backward = torch.autograd.grad

    def counted(*args: Any, **kwargs: Any) -> Any:
        found = backward(*args, **kwargs)
        went.append(kwargs.get("is_grads_batched", False))
        return found

    monkeypatch.setattr(torch.autograd, "grad", counted)
    with DataflowEngine(model, PLAIN) as engine:
        maps = engine.conditional(x, TARGET, "concepts", range(CHANNELS))
    monkeypatch.undo()
    # One pass down to the layer; from there one for all, or one for each.
    together = before is torch.relu
    assert went == [False, True] if together else [False] * (1 + CHANNELS)
    for channel in range(CHANNELS):
        leaf = x.clone().requires_grad_()
        concepts = model.concepts(model.before(model.first(leaf)))
        through = concepts[:, channel].mean((1, 2)) * model.head.weight[TARGET, channel]
        (gradient,) = torch.autograd.grad(through.sum(), leaf)
        assert torch.allclose(maps[:, channel], (x * gradient).sum(1), atol=1e-6)


def test_many_conditions_are_cut_so_that_one_pass_carries_no_more_than_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.randn(2, 3, 8, 8)
    with DataflowEngine(Model(torch.relu), PLAIN) as engine:
        whole = engine.conditional(x, TARGET, "concepts", range(CHANNELS))
        for at_once in (1, 4, 7):
            monkeypatch.setattr(passes, "_AT_ONCE", at_once)
            cut = engine.conditional(x, TARGET, "concepts", range(CHANNELS))
            assert torch.allclose(cut, whole, atol=1e-7)


def test_each_image_may_have_channels_of_its_own() -> None:
    x = torch.randn(2, 3, 8, 8)
    own = torch.tensor([[2, 0, 1], [1, 2, 2]])
    with DataflowEngine(Model(torch.relu), PLAIN) as engine:
        every = engine.conditional(x, TARGET, "concepts", range(CHANNELS))
        maps = engine.conditional(x, TARGET, "concepts", own)
    assert torch.allclose(maps, every[torch.arange(2)[:, None], own], atol=1e-7)
