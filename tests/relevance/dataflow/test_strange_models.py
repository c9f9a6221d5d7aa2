"""Models that are written strangely: custom functions, hidden operations, compiled parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from zennit.composites import EpsilonPlus, EpsilonPlusFlat

from melaudit.relevance.dataflow.engine import DataflowEngine
from tests.relevance.dataflow.small_models import (
    assert_closed,
    assert_same,
    explained,
)


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        raise AssertionError("a gradient is no rule")


class Opaque(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy() ** 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def test_a_custom_function_is_looked_into(x: Tensor) -> None:
    original = vars(torch.autograd.Function)["apply"]
    found = explained(lambda x: Swish.apply(x.cumsum(3)).mean((2, 3)), x)
    plain = explained(lambda x: functional.silu(x.cumsum(3)).mean((2, 3)), x)
    assert_same(found, plain)
    assert found.unknown == ()
    assert vars(torch.autograd.Function)["apply"] is original


def test_an_operation_without_a_rule_is_named_and_what_it_loses_is_in_the_ledger(x: Tensor) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            odd: Tensor = torch.special.bessel_j0(x.cumsum(3))
            return odd * torch.cumprod(x.abs() + 0.5, 2)

    found = explained(lambda m, x: m.odd(x).mean((2, 3)), x, odd=Odd())
    assert any("cumprod" in name and "odd" in name for name in found.unknown)
    opaque = explained(lambda x: Opaque.apply(x.cumsum(3)).mean((2, 3)), x)
    assert opaque.unknown == ("Opaque",)
    inplace = explained(lambda x: x.cumsum(3).tan().erfinv_().nan_to_num().mean((2, 3)), x / 40)
    assert any("erfinv" in name for name in inplace.unknown)
    for result in (found, opaque, inplace):
        assert torch.isfinite(result.maps).all()
        assert_closed(result)


def test_what_is_hidden_from_torch_functions_is_named_and_the_ledger_is_incomplete(
    x: Tensor,
) -> None:
    swish = torch.jit.trace(lambda x: x * torch.sigmoid(x), x)
    found = explained(lambda x: (swish(x.cumsum(3)) * 2).mean((2, 3)), x)
    assert found.absorbed is None and found.absorbed_by == {}
    assert any("hidden" in name for name in found.unknown)


def test_a_compiled_part_is_run_as_it_was_written(x: Tensor) -> None:
    torch.manual_seed(0)
    part = nn.Sequential(nn.Conv2d(4, 3, 3), nn.ReLU())
    plain = explained(lambda m, x: m.part(x).mean((2, 3)), x, EpsilonPlus(), part=part)
    compiled = torch.compile(part, backend="eager")
    assert isinstance(compiled, nn.Module)
    found = explained(lambda m, x: m.part(x).mean((2, 3)), x, EpsilonPlus(), part=compiled)
    assert_same(found, plain)
    assert found.unknown == ()


class Ordinary(nn.Module):
    """A small network as a textbook writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.head = nn.Linear(8, 1)
        for norm in (self.norm1, self.norm2):
            nn.init.normal_(norm.bias)
            assert norm.running_mean is not None
            norm.running_mean.normal_()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.norm1(self.conv1(x)))
        x = self.relu2(x + self.norm2(self.conv2(x)))
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.query(tokens), self.key(tokens), self.value(tokens)
        tokens = tokens + (q @ k.mT / 8**0.5).softmax(-1) @ v
        y: Tensor = self.head(tokens.mean(1))
        return y


class Strange(nn.Module):
    """The same network as nobody should write it: no module but a ReLU that is used twice."""

    def __init__(self, ordinary: Ordinary) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.hidden = [ordinary.state_dict(keep_vars=False)]

    def forward(self, x: Tensor) -> dict[str, Any]:
        w = self.hidden[0]

        def norm(x: Tensor, i: int) -> Tensor:
            keys = ("running_mean", "running_var", "weight", "bias")
            return functional.batch_norm(x, *(w[f"norm{i}.{key}"] for key in keys))

        x = self.relu(norm(torch.conv2d(x, w["conv1.weight"], padding=1), 1))
        out = norm(functional.conv2d(input=x, weight=w["conv2.weight"], padding="same"), 2)
        out += x
        self.relu(out)  # in place, its result thrown away
        tokens = out.view(out.shape[0], 8, -1).permute(2, 0, 1)
        fused = torch.cat([w[f"{n}.weight"] for n in ("query", "key", "value")])
        bias = torch.cat([w[f"{n}.bias"] for n in ("query", "key", "value")])
        q, k, v = torch.split(functional.linear(tokens, fused, bias), 8, -1)
        scores = torch.einsum("qne,kne->nqk", q, k).div_(8**0.5)
        exponents = torch.exp(scores - scores.amax(-1, keepdim=True).detach())
        weights = exponents / exponents.sum(-1, keepdim=True)
        tokens = tokens + torch.einsum("nqk,kne->qne", weights, v)
        pooled = tokens.sum(0) * (1 / len(tokens))
        logit = torch.addmm(w["head.bias"], pooled, w["head.weight"].t())
        return {"attention": weights, "aux": [pooled], "prediction": logit.squeeze(1)}


@pytest.mark.parametrize("composite", [EpsilonPlusFlat(), EpsilonPlus()])
def test_a_strangely_written_model_is_explained_as_the_ordinary_one(composite: Any) -> None:
    torch.manual_seed(0)
    ordinary = Ordinary().double().eval()
    strange = Strange(ordinary).double().eval()
    x = torch.randn(3, 3, 6, 6, dtype=torch.float64)
    target = torch.tensor([1, 0, 1])
    found = []
    for model in (ordinary, strange):
        with DataflowEngine(model, composite, 2) as engine:
            found.append(engine.attribute(x, target, []))
    assert_same(found[0], found[1])
    for result in found:
        assert result.unknown == ()
        assert_closed(result)
    assert torch.allclose(found[0].start, torch.tensor([1, -1, 1]) * found[0].logits[:, 0])
