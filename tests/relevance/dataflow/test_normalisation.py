"""What becomes of relevance in normalisation, at added constants and in preprocessing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from zennit.composites import EpsilonPlus, EpsilonPlusFlat

from tests.relevance.dataflow.small_models import (
    assert_closed,
    assert_same,
    explained,
)


@pytest.mark.parametrize("kind", ["layer", "group", "instance"])
def test_a_normalisation_divides_by_a_constant_and_its_bias_absorbs(kind: str, x: Tensor) -> None:
    torch.manual_seed(0)
    norm: nn.Module = {
        "layer": nn.LayerNorm((4, 6, 6)),
        "group": nn.GroupNorm(2, 4),
        "instance": nn.InstanceNorm2d(4, affine=True),
    }[kind]
    nn.init.normal_(norm.get_parameter("weight"))
    nn.init.normal_(norm.get_parameter("bias"))
    found = explained(lambda m, x: m.norm(x).sum((2, 3)), x, norm=norm)
    groups = {"layer": 1, "group": 2, "instance": 4}[kind]
    weight, bias = (
        norm.get_parameter(n).detach().reshape(4, -1, 1).expand(4, -1, 36).reshape(4, -1, 36)
        if kind != "layer"
        else norm.get_parameter(n).detach().reshape(4, 1, 36)
        for n in ("weight", "bias")
    )
    grouped = x.reshape(2, groups, -1)
    deviation = (grouped.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    leaf = grouped.clone().requires_grad_()
    y = ((leaf - leaf.mean(2, keepdim=True)) / deviation).reshape(2, 4, 36)
    (c,) = torch.autograd.grad((y * weight[:, 0])[:, 1].sum(), leaf)
    expected = (c * grouped).reshape(2, 4, 6, 6).sum(1)
    assert torch.allclose(found.maps, expected)
    assert found.absorbed is not None
    assert torch.allclose(found.absorbed, bias[1].sum().expand(2))
    assert_closed(found)


def test_a_batch_norm_after_something_else_hands_on_what_it_gets(x: Tensor) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    nn.init.normal_(norm.bias)
    x = x + 0.3
    found = explained(lambda m, x: m.norm(x.roll(1, 2).abs()).mean((2, 3)), x, norm=norm)
    relevance = norm.eval()(x.roll(1, 2).abs())[:, 1].detach() / 36
    assert torch.allclose(found.maps, relevance.roll(-1, 1), atol=1e-5)
    assert_closed(found)


BETWEEN: dict[str, tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]]] = {
    "nothing": (nn.BatchNorm2d(3), lambda norm, y: norm(y)),
    "a reshape": (nn.BatchNorm1d(3), lambda norm, y: norm(y.flatten(2)).reshape(y.shape)),
    "a dropout": (nn.BatchNorm2d(3), lambda norm, y: norm(functional.dropout(y, 0.5, False))),
    "a permutation": (
        nn.BatchNorm1d(3),
        lambda norm, y: (
            norm(y.permute(0, 2, 3, 1).reshape(-1, 3)).reshape(2, 6, 6, 3).permute(0, 3, 1, 2)
        ),
    ),
}


@pytest.mark.parametrize("between", BETWEEN)
def test_a_batch_norm_is_folded_whatever_rearranges_its_input(between: str, x: Tensor) -> None:
    torch.manual_seed(0)
    norm, normed = BETWEEN[between]
    conv = nn.Conv2d(4, 3, 1, bias=False)
    for tensor, value in ((norm.bias, 0.3), (norm.running_mean, 0.1), (norm.weight, -1.5)):
        assert isinstance(tensor, Tensor)
        tensor.data.fill_(value)
    found = explained(
        lambda m, x: normed(m.norm, m.conv(x.roll(1, 2).abs())).relu().sum((2, 3)),
        x,
        EpsilonPlus(),
        conv=conv,
        norm=norm,
    )
    folded = nn.Conv2d(4, 3, 1)
    scale = -1.5 / math.sqrt(1 + 1e-5)
    folded.weight.data = conv.weight.data.double() * scale
    nn.init.constant_(folded.get_parameter("bias"), 0.3 - 0.1 * scale)
    expected = explained(
        lambda m, x: m.conv(x.roll(1, 2).abs()).relu().sum((2, 3)), x, EpsilonPlus(), conv=folded
    )
    assert_same(found, expected, 1e-6)
    assert_closed(found)


def test_added_constants_keep_their_share(x: Tensor) -> None:
    position = torch.randn(1, 4, 6, 6, dtype=x.dtype)
    token = torch.randn(1, 4, 6, 1, dtype=x.dtype)

    def model(x: Tensor) -> Tensor:
        hidden = x.cumsum(3) + position
        hidden = torch.cat((token.expand(2, -1, -1, -1), hidden), 3)
        hidden = hidden.masked_fill(torch.eye(6, 7, dtype=torch.bool), 0.5)
        return functional.pad(hidden, (1, 1), value=2.0).sum((2, 3)) - 3

    found = explained(model, x)
    keeps = ~torch.eye(6, 7, dtype=torch.bool)
    constants = torch.cat((token, position), 3)[0, 1][keeps].sum() + 6 * 0.5 + 2 * 6 * 2.0 - 3
    assert found.absorbed is not None
    assert torch.allclose(found.absorbed, constants.expand(2))
    assert_closed(found)


def test_pixels_keep_their_relevance_through_preprocessing_and_padding(x: Tensor) -> None:
    torch.manual_seed(0)
    mean, std = torch.tensor([0.5, 0.2, 0.0, 0.1]), torch.tensor([0.2, 0.3, 0.5, 1.0])
    modules: dict[str, Any] = {"first": nn.Conv2d(4, 3, 3), "head": nn.Linear(3, 2)}

    def prepared(model: Any, x: Tensor) -> Tensor:
        x = (x - mean[:, None, None].to(x)) / std[:, None, None].to(x)
        return bare(model, functional.pad(x, (1, 1, 1, 1)))

    def bare(model: Any, x: Tensor) -> Tensor:
        y: Tensor = model.head(model.first(x).relu().mean((2, 3)))
        return y

    inside = explained(prepared, x, EpsilonPlusFlat(), **modules)
    ready = (x - mean[:, None, None]) / std[:, None, None]
    first = nn.Conv2d(4, 3, 3, padding=1)
    first.load_state_dict(modules["first"].state_dict())
    outside = explained(bare, ready, EpsilonPlusFlat(), first=first, head=modules["head"])
    assert_same(inside, outside)
    assert (inside.maps[:, 0, ::2] != 0).all()  # zeros are pixels like others
