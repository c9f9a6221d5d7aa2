"""What becomes of relevance in every kind of operation, however a model spells it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from zennit.composites import EpsilonPlus, EpsilonPlusFlat, LayerMapComposite

from melaudit.relevance.dataflow import flow
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


@pytest.fixture
def x() -> Tensor:
    """Return two images of 4 channels, 6 x 6, in float64, some values zero."""
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    x[:, :, 0, ::2] = 0
    return x


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


# --- gates and attention ----------------------------------------------------------------------


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


# --- normalisation, constants, preprocessing --------------------------------------------------


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


# --- strange models ---------------------------------------------------------------------------


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
