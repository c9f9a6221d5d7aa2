"""What becomes of relevance in products: gates and attention, however a model spells them."""

from __future__ import annotations

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


def test_a_gate_weighs_and_takes_nothing(x: Tensor) -> None:
    def squeezed(model: Any, x: Tensor) -> Tensor:
        gate = torch.sigmoid(model.up(torch.relu(model.down(x.mean((2, 3), keepdim=True)))))
        return (x * gate).mean((2, 3))

    torch.manual_seed(0)
    modules: dict[str, Any] = {"down": nn.Conv2d(4, 2, 1), "up": nn.Conv2d(2, 4, 1)}
    found = explained(squeezed, x, EpsilonPlusFlat(), **modules)
    with torch.no_grad():
        gate = torch.sigmoid(
            modules["up"](torch.relu(modules["down"](x.mean((2, 3), keepdim=True))))
        )
    expected = (x * gate)[:, 1] / 36
    assert torch.allclose(found.maps, expected)
    assert found.absorbed is not None and found.absorbed.abs().max() == 0


GATES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "hardsigmoid": lambda s, g: s * functional.hardsigmoid(g),
    "the gate first": lambda s, g: torch.sigmoid(g) * s,
    "reshaped": lambda s, g: s * torch.sigmoid(g.mean((2, 3))).view(2, 2, 1, 1).expand_as(s),
    "residual attention": lambda s, g: s * (1 + torch.sigmoid(g)),
    "softmax over branches": lambda s, g: (
        torch.stack((s, 2 * s), 1) * torch.softmax(torch.stack((g, -g), 1), 1)
    ).sum(1),
    "glu": lambda s, g: functional.glu(torch.cat((s, g), 1), 1),
    "in place": lambda s, g: (2 * s).mul_(torch.sigmoid(g)),
    "einsum": lambda s, g: torch.einsum("nchw,nchw->nhw", s, torch.sigmoid(g)),
    "lstm cell": lambda s, g: torch.sigmoid(g) * torch.tanh(s),
    "exponents by hand": lambda s, g: s * (g.exp() / g.exp().sum(1, keepdim=True)),
}


@pytest.mark.parametrize("name", GATES)
def test_a_gate_is_known_however_it_is_written(name: str, x: Tensor) -> None:
    found = explained(lambda x: GATES[name](x[:, :2], x[:, 2:]), x)
    x = x.clone()
    alone = explained(lambda y: GATES[name](y, x[:, 2:]), x[:, :2])
    assert found.unknown == ()
    assert_same(found, alone)


def attention_by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
    return functional.dropout(weights, 0.1, training=False) @ v


def attention_by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("nhqd,nhkd->nhqk", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("nhqk,nhkd->nhqd", torch.softmax(scores, dim=-1), v)


def attention_by_bmm(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    flat = [t.flatten(0, 1) for t in (q, k, v)]
    bias = torch.zeros(len(flat[0]), q.shape[2], k.shape[2], dtype=q.dtype)
    scores = torch.baddbmm(bias, flat[0], flat[1].mT, alpha=q.shape[-1] ** -0.5)
    return torch.bmm(functional.softmax(scores, -1), flat[2]).reshape(q.shape)


ATTENTION: dict[str, Callable[..., Tensor]] = {
    "by hand": attention_by_hand,
    "by einsum": attention_by_einsum,
    "by bmm": attention_by_bmm,
    "by torch": functional.scaled_dot_product_attention,
}


def attends(attention: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def model(model: Any, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        qkv = model.qkv(tokens).reshape(2, 36, 3, 2, 4).permute(2, 0, 3, 1, 4)
        mixed = attention(qkv[0], qkv[1], qkv[2]).transpose(1, 2).reshape(2, 36, 8)
        pooled: Tensor = model.out(mixed).mean(1)
        return pooled

    return model


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_weighs_the_values_however_it_is_written(name: str, x: Tensor) -> None:
    torch.manual_seed(0)
    modules: dict[str, Any] = {"qkv": nn.Linear(4, 24), "out": nn.Linear(8, 3)}
    found = explained(attends(ATTENTION[name]), x, EpsilonPlus(), **modules)
    qkv, out = modules["qkv"], modules["out"]
    with torch.no_grad():
        tokens = x.flatten(2).transpose(1, 2)
        q, k, _ = qkv(tokens).reshape(2, 36, 3, 2, 4).permute(2, 0, 3, 1, 4)
        weights = (q @ k.mT / 2).softmax(-1)
        value = qkv.weight[16:].reshape(2, 4, 4)
        reach = torch.einsum("nhqk,hdc,ohd->noqkc", weights, value, out.weight.reshape(3, 2, 4))
        expected = torch.einsum("nqkc,nkc->nk", reach[:, 1], tokens) / 36
    assert torch.allclose(found.maps.flatten(1), expected, rtol=1e-4, atol=1e-7)
    assert_closed(found, 1e-6)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_attention_is_its_parts(batch_first: bool, masked: bool, x: Tensor) -> None:
    torch.manual_seed(0)
    module = nn.MultiheadAttention(4, 2, batch_first=batch_first)
    nn.init.normal_(module.in_proj_bias)
    nn.init.normal_(module.out_proj.bias)
    mask = torch.ones(36, 36, dtype=torch.bool).triu(1) if masked else None

    def whole(model: Any, x: Tensor) -> Tensor:
        tokens = x.flatten(2).permute(0, 2, 1) if batch_first else x.flatten(2).permute(2, 0, 1)
        mixed, weights = model.attention(tokens, tokens, tokens, attn_mask=mask)
        assert weights.shape == (2, 36, 36)
        mean: Tensor = mixed.mean(1 if batch_first else 0)
        return mean

    def parts(model: Any, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        a = model.attention
        q, k, v = functional.linear(tokens, a.in_proj_weight, a.in_proj_bias).chunk(3, -1)
        q, k, v = (t.reshape(2, 36, 2, 2).transpose(1, 2) for t in (q, k, v))
        scores = q @ k.mT / 2**0.5
        if mask is not None:
            scores = scores.masked_fill(mask, -torch.inf)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        out: Tensor = functional.linear(mixed, a.out_proj.weight, a.out_proj.bias)
        return out.mean(1)

    first = explained(whole, x, EpsilonPlus(), attention=module)
    second = explained(parts, x, EpsilonPlus(), attention=module)
    assert_same(first, second, 1e-6)
    assert first.unknown == second.unknown == ()
    assert_closed(first)
    for i in range(2):  # the ledger tells images apart in either order of axes
        alone = explained(whole, x[[i, i]], EpsilonPlus(), attention=module)
        assert first.absorbed is not None and alone.absorbed is not None
        assert torch.allclose(first.absorbed[i], alone.absorbed[0])
