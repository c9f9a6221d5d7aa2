"""What becomes of relevance in every kind of operation, however a model spells it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from zennit.composites import EpsilonPlus

from melaudit.relevance.dataflow import flow
from tests.relevance.dataflow.small_models import (
    assert_closed,
    assert_same,
    explained,
)

# --- operations of degree one: nothing is absorbed -------------------------------------------

HOMOGENEOUS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "leaky relu": lambda x: functional.leaky_relu(x, 0.2),
    "prelu": lambda x: functional.prelu(x, torch.tensor([0.3], dtype=x.dtype)),
    "clamp at zero": lambda x: x.clamp(min=0),
    "max pool": lambda x: functional.max_pool2d(x, 2),
    "max pool with indices": lambda x: functional.max_pool2d(x, 2, return_indices=True)[0],
    "adaptive max pool": lambda x: functional.adaptive_max_pool2d(x, 2),
    "avg pool": lambda x: functional.avg_pool2d(x, 3, 2, 1),
    "adaptive avg pool": lambda x: functional.adaptive_avg_pool2d(x, (2, 3)),
    "lp pool": lambda x: functional.lp_pool2d(x.abs(), 2, 2),
    "mean and amax": lambda x: torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1),
    "max over a dimension": lambda x: x.max(dim=1).values,
    "topk and sort": lambda x: x.flatten(1).topk(5).values + x.flatten(1).sort().values[:, :5],
    "median": lambda x: x.flatten(2).median(dim=2).values,
    "norm": lambda x: x.flatten(2).norm(dim=2),
    "standard deviation": lambda x: x.flatten(2).std(2),
    "variance": lambda x: x.flatten(2).var(2),
    "square": lambda x: (x * x).mean((2, 3)),
    "interpolation": lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"),
    "pixel shuffle": lambda x: functional.pixel_shuffle(x, 2),
    "unfold and fold": lambda x: functional.fold(functional.unfold(x, 2), (6, 6), 2),
    "fourier": lambda x: torch.fft.irfft2(torch.fft.rfft2(x) * (1 + 2j), s=(6, 6)),
    "roll, flip, windows": lambda x: (
        torch.roll(x, 2, 3).flip(2).reshape(2, 4, 2, 3, 2, 3).permute(0, 2, 4, 3, 5, 1)
    ),
    "split, chunk, stack": lambda x: torch.stack(
        (x.split(2, 1)[1], x.chunk(2, 1)[0], x[:, ::2]), 1
    ).sum(1),
    "unbind and cat": lambda x: torch.cat([u * (i + 1) for i, u in enumerate(x.unbind(1))], 1),
    "transposes": lambda x: x.mT.swapaxes(1, 3).movedim(1, 2).contiguous().view(2, 6, 24),
    "gather": lambda x: x.flatten(1).gather(1, torch.tensor([[1, 1, 50], [7, 20, 8]])),
    "index with a mask": lambda x: x[:, torch.tensor([True, False, True, True])],
    "cumulated sum": lambda x: x.cumsum(3),
    "where": lambda x: torch.where(x > 0.3, x, 0.1 * x),
    "maximum of two": lambda x: torch.maximum(x[:, :2], x[:, 2:]),
    "padding": lambda x: (
        functional.pad(x, (1, 0, 2, 1)) + functional.pad(x, (1, 0, 2, 1), mode="replicate")
    ),
    "constant factors": lambda x: -2 * x / torch.arange(1.0, 7, dtype=x.dtype),
    "einsum with a constant": lambda x: torch.einsum(
        "nchw,cd->nhdw", x, torch.ones(4, 3, dtype=x.dtype)
    ),
    "matmul with a constant": lambda x: x @ torch.arange(12.0, dtype=x.dtype).reshape(6, 2),
    "product of two": lambda x: (x[:, :2] + 0.1) * x[:, 2:] - 0.1 * x[:, 2:],
    "matmul of two": lambda x: x @ x.mT,
    "einsum of three": lambda x: torch.einsum("nchw,nchw,nchw->nc", x, x.roll(1, 2), x.roll(2, 3)),
    "in place": lambda x: x.clone().mul_(2).add_(x).relu_(),
    "product in place": lambda x: x.clone().mul_(x.roll(1, 2)),
    "square in place": lambda x: _squared(x.clone()),
    "written into a buffer": lambda x: _written(x),
    "dropout": lambda x: functional.dropout(x, 0.5, training=False),
    "division by a norm": lambda x: functional.normalize(x.flatten(2), dim=2),
    "division by hand": lambda x: x / x.flatten(2).norm(dim=2)[:, :, None, None],
    "root mean square by hand": lambda x: x * torch.rsqrt(x.pow(2).mean((2, 3), True) + 1e-6),
    "rms norm": lambda x: functional.rms_norm(x, (6,)),
    "local response": lambda x: functional.local_response_norm(x, 3),
    "grid sample": lambda x: functional.grid_sample(
        x,
        functional.affine_grid(torch.eye(2, 3, dtype=x.dtype).expand(2, -1, -1), [2, 4, 6, 6]),
        align_corners=False,
    ),
}


def _squared(x: Tensor) -> Tensor:
    x *= x
    return x


def _written(x: Tensor) -> Tensor:
    buffer = torch.zeros(2, 4, 6, 12, dtype=x.dtype)
    buffer[..., :6] = x
    buffer[..., 6:] = 2 * x
    return buffer


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_of_degree_one_or_less_nothing_is_lost(name: str, x: Tensor) -> None:
    found = explained(HOMOGENEOUS[name], x)
    with torch.no_grad():
        assert torch.allclose(found.logits, HOMOGENEOUS[name](x).flatten(1))
    assert found.unknown == ()
    assert found.absorbed is not None
    assert_closed(found)
    if name != "product of two":  # which has constants of its own to feed
        assert torch.allclose(found.maps.sum((1, 2)), found.start, rtol=1e-6, atol=1e-9)


# --- functions of single values: all relevance goes on ---------------------------------------

ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu by tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "hardswish": functional.hardswish,
    "mish": functional.mish,
    "elu": functional.elu,
    "selu": functional.selu,
    "celu": functional.celu,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": functional.hardsigmoid,
    "relu6": functional.relu6,
    "hardtanh": functional.hardtanh,
    "hardshrink": functional.hardshrink,
    "softsign": functional.softsign,
    "logsigmoid": functional.logsigmoid,
    "threshold": lambda x: functional.threshold(x, 0.1, 0.2),
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "exponential": torch.exp,
    "square": torch.square,
    "power": lambda x: x**3,
    "swish by hand": lambda x: x * torch.sigmoid(x),
    "hardswish by hand": lambda x: x * functional.relu6(x + 3) / 6,
    "gelu by hand": lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2))),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_function_of_single_values_hands_on_what_it_gets(name: str, x: Tensor) -> None:
    x = x[:, :1, 1:]  # no zeros, which carry what f(0) != 0 only as absorbed
    weight = torch.randn(1, 5, 6, dtype=x.dtype)

    def model(x: Tensor) -> Tensor:
        hidden = 0.5 * x.flip(3)  # not the pixels themselves
        hidden = hidden + x.roll(1, 2)
        return (ELEMENTWISE[name](hidden) * weight).sum((2, 3)).expand(-1, 2)

    found = explained(model, x)
    assert found.unknown == ()
    assert_closed(found)
    with torch.no_grad():
        relevance = ELEMENTWISE[name](0.5 * x.flip(3) + x.roll(1, 2)) * weight
        shares = relevance / (0.5 * x.flip(3) + x.roll(1, 2))
        expected = 0.5 * (shares * 1).flip(3) * x + (shares * 1).roll(-1, 2) * x
    assert torch.allclose(found.maps, expected.sum(1), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    "silu hardswish mish elu selu celu relu6 hardtanh leaky_relu relu sigmoid tanh".split(),
)
def test_in_place_says_the_same_as_out_of_place(name: str, x: Tensor) -> None:
    plain = getattr(torch if name in ("sigmoid", "tanh") else functional, name)

    def inplace(x: Tensor) -> Tensor:
        hidden = x.cumsum(3)
        before = hidden.sum((2, 3))
        if name in ("sigmoid", "tanh"):
            getattr(hidden, f"{name}_")()
        else:
            plain(hidden, inplace=True)
        return hidden.flatten(1)[:, :4] + before

    def outofplace(x: Tensor) -> Tensor:
        hidden = x.cumsum(3)
        after: Tensor = plain(hidden)
        return after.flatten(1)[:, :4] + hidden.sum((2, 3))

    first, second = explained(inplace, x), explained(outofplace, x)
    assert_same(first, second)
    assert_closed(first)


def test_what_is_written_through_a_view_is_no_longer_taken_for_rectified(x: Tensor) -> None:
    """z-plus asks for the sign of its input, which a ReLU settles until somebody writes."""

    def through_view(model: Any, x: Tensor) -> Tensor:
        hidden = functional.max_pool2d(torch.relu(x), 2)  # autograd needs no value of its output
        hidden[:, 1:].sub_(0.5)
        out: Tensor = model.conv(hidden).mean((2, 3))
        return out

    def plainly(model: Any, x: Tensor) -> Tensor:
        less = torch.tensor([0, 0.5, 0.5, 0.5], dtype=x.dtype)[:, None, None]
        out: Tensor = model.conv(functional.max_pool2d(torch.relu(x), 2) - less).mean((2, 3))
        return out

    torch.manual_seed(0)
    conv = nn.Conv2d(4, 3, 3)
    first, second = (
        explained(model, x, EpsilonPlus(), conv=conv) for model in (through_view, plainly)
    )
    assert_closed(first)
    assert torch.allclose(first.maps, second.maps, rtol=1e-4, atol=1e-6)


def test_behind_a_relu_no_value_is_looked_at(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking would make Python wait for a GPU, layer by layer."""

    def model(model: Any, x: Tensor) -> Tensor:
        hidden = functional.max_pool2d(torch.relu(x - 0.1), 2)
        hidden = torch.cat([hidden, functional.relu6(model.first(hidden))], 1)
        hidden = functional.dropout(functional.avg_pool2d(hidden, 2), training=False)
        out: Tensor = model.last(hidden.flatten(1).unflatten(1, (8, 1, 1)))
        return out

    torch.manual_seed(0)
    modules: dict[str, Any] = {"first": nn.Conv2d(4, 4, 1), "last": nn.Conv2d(8, 3, 1)}
    looked: list[Tensor] = []
    amin = Tensor.amin

    def look(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        looked.append(tensor)
        return amin(tensor, *args, **kwargs)

    monkeypatch.setattr(Tensor, "amin", look)
    known = explained(model, x, EpsilonPlus(), **modules)
    assert not looked
    monkeypatch.setattr(flow, "note_nonnegative", lambda tensor: None)
    assert_same(known, explained(model, x, EpsilonPlus(), **modules))
    assert len(looked) == 2, "as many as there are convolutions"


# --- where the images are ---------------------------------------------------------------------

LAYOUTS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "sequence first": (lambda x: x.flatten(2).permute(2, 0, 1), 1),
    "transposed": (lambda x: x.transpose(0, 1), 1),
    "swapped twice": (lambda x: x.swapaxes(0, 2).swapdims(0, 1), 2),
    "moved": (lambda x: x.movedim(0, -1), 3),
    "moved several": (lambda x: x.movedim((0, 1), (2, 3)), 2),
    "windows": (lambda x: x.unflatten(2, (2, 3)).permute(0, 2, 1, 3, 4).flatten(0, 1), 0),
    "a new axis": (lambda x: x.unsqueeze(0)[:, :, None], 1),
    "picked": (lambda x: x.permute(1, 2, 0, 3)[1, :, :, ::2], 1),
    "selected": (lambda x: x.permute(1, 2, 0, 3).select(1, 3).select(0, 2), 0),
    "unbound": (lambda x: x.permute(1, 0, 2, 3).unbind(0)[2], 0),
    "stacked": (lambda x: torch.stack((x, 2 * x), 0), 1),
    "summed": (lambda x: x.permute(1, 2, 0, 3).sum(0).mean(dim=-1, keepdim=True), 1),
    "maximum": (lambda x: x.permute(1, 2, 0, 3).amax((0, 1)), 0),
    "einsum": (lambda x: torch.einsum("nchw->hcn", x), 2),
    "matrix": (lambda x: x[:, 0, 0].t(), 1),
    "unfolded": (lambda x: functional.unfold(x, 2), 0),
    "indexed by a list": (lambda x: x.permute(2, 0, 1, 3)[[0, 5, 1]], 1),
    "heads": (lambda x: x.flatten(2).permute(2, 0, 1).reshape(36, 2 * 2, 2).transpose(0, 1), 0),
    "broadcast": (lambda x: x.mean((1, 2, 3))[:, None] * torch.ones(3, 1, 4, dtype=x.dtype), 1),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_ledger_knows_which_image_is_which(name: str, x: Tensor) -> None:
    move, dim = LAYOUTS[name]
    x = x + torch.tensor([1.0, 3.0])[:, None, None, None]

    def model(x: Tensor) -> Tensor:
        moved = move(x + x.roll(1, 3))
        y = (moved + 0.7) * moved.detach()
        return y.movedim(dim, 0).reshape(2, -1).sum(1, keepdim=True).expand(-1, 2)

    found = explained(model, x)
    moved = move(x + x.roll(1, 3)).movedim(dim, 0).reshape(2, -1)
    assert found.absorbed is not None
    assert torch.allclose(found.absorbed, 0.7 * moved.sum(1))
    assert_closed(found)
