"""Every rule, on every kind of linear layer, against a slow version written from the papers.

The oracle turns the layer into a matrix by feeding it one unit at a time and splits the relevance
of one output among the inputs, one by one, in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from zennit import rules as zennit_rules
from zennit.composites import NameMapComposite
from zennit.core import Hook

from melaudit.errors import RelevanceError
from melaudit.relevance.dataflow.engine import DataflowEngine
from melaudit.relevance.dataflow.rulebook import Rulebook, SignedGammaHook, translated
from melaudit.relevance.dataflow.rules import AlphaBeta, Epsilon, Gamma

DELTA = 1e-6
LOW, HIGH = -2.0, 3.0

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(6, 5), (1, 6)),
    "linear without bias": (lambda: nn.Linear(6, 5, bias=False), (1, 6)),
    "linear on tokens": (lambda: nn.Linear(4, 3), (3, 4)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 7)),
    "conv2d": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 5, 4)),
    "conv3d": (lambda: nn.Conv3d(2, 2, 2), (2, 3, 3, 3)),
    "strided": (lambda: nn.Conv2d(2, 3, 3, stride=2, padding=1), (2, 6, 5)),
    "unreached rows": (lambda: nn.Conv2d(1, 2, 2, stride=3), (1, 7, 6)),
    "dilated": (lambda: nn.Conv2d(2, 2, 2, dilation=2), (2, 5, 5)),
    "grouped": (lambda: nn.Conv2d(4, 4, 3, groups=2, bias=False), (4, 4, 4)),
    "depthwise": (lambda: nn.Conv2d(3, 6, 3, padding=1, groups=3), (3, 4, 4)),
    "same padding": (lambda: nn.Conv2d(2, 2, 4, padding="same"), (2, 5, 5)),
    "circular padding": (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), (2, 4, 4)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1), (3, 3, 3)),
    "transposed, grouped": (
        lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1, groups=2),
        (4, 5),
    ),
    "conv and BatchNorm": (lambda: _normed(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), (2, 5, 5)),
    "conv without bias and BatchNorm": (
        lambda: _normed(nn.Conv2d(2, 4, 3, bias=False, groups=2), nn.BatchNorm2d(4)),
        (2, 4, 4),
    ),
    "linear and BatchNorm": (lambda: _normed(nn.Linear(6, 5), nn.BatchNorm1d(5)), (6,)),
    "transposed and BatchNorm": (
        lambda: _normed(nn.ConvTranspose2d(4, 6, 2, groups=2), nn.BatchNorm2d(6)),
        (4, 3, 3),
    ),
}

Oracle = Callable[[list[float], list[float], float, float, float], list[float]]
RULES: dict[str, tuple[Hook, bool, Oracle]] = {}


def rule(name: str, hook: Hook, biased: bool = True) -> Callable[[Oracle], Oracle]:
    """Enter an oracle: from (x, w, b, y, relevance) of one output to the list of R_i."""

    def enter(oracle: Oracle) -> Oracle:
        RULES[name] = hook, biased, oracle
        return oracle

    return enter


def sign(z: float) -> float:
    return -1.0 if z < 0 else 1.0


@rule("epsilon", zennit_rules.Epsilon(0.1))
def epsilon(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    return [xi * wi * r / (y + 0.1 * sign(y)) for xi, wi in zip(x, w, strict=True)]


@rule("LRP-0", zennit_rules.Epsilon(0))
def lrp_0(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    return [xi * wi * r / y for xi, wi in zip(x, w, strict=True)]


@rule("norm", zennit_rules.Norm())
def norm(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    return [xi * wi * r / (y + DELTA * sign(y)) for xi, wi in zip(x, w, strict=True)]


@rule("z-plus", zennit_rules.ZPlus())
def z_plus(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    parts = [max(xi * wi, 0) for xi, wi in zip(x, w, strict=True)]
    return [p * r / (sum(parts) + max(b, 0) + DELTA) for p in parts]


@rule("alpha 2 beta 1", zennit_rules.AlphaBeta(2, 1))
def alpha_2_beta_1(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    up = [max(xi * wi, 0) for xi, wi in zip(x, w, strict=True)]
    down = [min(xi * wi, 0) for xi, wi in zip(x, w, strict=True)]
    above, below = sum(up) + max(b, 0) + DELTA, sum(down) + min(b, 0) - DELTA
    return [2 * u * r / above - d * r / below for u, d in zip(up, down, strict=True)]


@rule("z-plus, the bias sharing out", zennit_rules.ZPlus(), biased=False)
def z_plus_shared(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    return z_plus(x, w, 0.0, y, r)


@rule("alpha 2 beta 1, the bias sharing out", zennit_rules.AlphaBeta(2, 1), biased=False)
def alpha_beta_shared(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    return alpha_2_beta_1(x, w, 0.0, y, r)


@rule("gamma", zennit_rules.Gamma(0.5))
def gamma(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    w = [wi + 0.5 * max(wi, 0) for wi in w]
    z = sum(xi * wi for xi, wi in zip(x, w, strict=True)) + b + 0.5 * max(b, 0)
    return [xi * wi * r / (z + DELTA * sign(z)) for xi, wi in zip(x, w, strict=True)]


@rule("signed gamma", SignedGammaHook(0.5))
def signed_gamma(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    parts = [xi * wi for xi, wi in zip(x, w, strict=True)]
    favoured = [p * (1.5 if p * sign(y) > 0 else 1.0) for p in parts]
    z = sum(favoured) + b * (1.5 if b * sign(y) > 0 else 1.0)
    return [p * r / (z + DELTA * sign(z)) for p in favoured]


@rule("w-square", zennit_rules.WSquare())
def w_square(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    return [wi**2 * r / (sum(wj**2 for wj in w) + b**2 + DELTA) for wi in w]


@rule("flat", zennit_rules.Flat())
def flat(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    # No weight is exactly zero, so the inputs that are seen are those with a weight.
    seen = [float(wi != 0) for wi in w]
    return [s * r / (sum(seen) + DELTA) for s in seen]


@rule("z-box", zennit_rules.ZBox(LOW, HIGH))
def z_box(x: list[float], w: list[float], b: float, y: float, r: float) -> list[float]:
    parts = [xi * wi - LOW * max(wi, 0) - HIGH * min(wi, 0) for xi, wi in zip(x, w, strict=True)]
    return [p * r / (sum(parts) + DELTA) for p in parts]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", RULES)
def test_a_rule_splits_relevance_as_its_paper_says(name: str, layer: str) -> None:
    torch.manual_seed(len(name) + len(layer))
    hook, biased, oracle = RULES[name]
    build, shape = LAYERS[layer]
    module = build().double().eval()
    x = torch.randn(2, *shape, dtype=torch.float64)
    x[0].flatten()[::3] = 0  # zeros get relevance from rules that do not look at values
    x[1].abs_()  # as after a ReLU
    model = nn.Sequential(module, nn.Flatten())
    linear = "0.0" if isinstance(module, nn.Sequential) else "0"
    composite = NameMapComposite([([linear], hook)])
    y = model(x).detach()
    target = y.abs().argmax(1)
    with DataflowEngine(model, composite, biased=biased) as engine:
        found = engine.attribute(x, target, [])
    matrix, bias = as_matrix(module, shape)
    for i, j in enumerate(target.tolist()):
        expected = oracle(
            x[i].flatten().tolist(),
            matrix[j].tolist(),
            float(bias[j]),
            float(y[i, j]),
            float(y[i, j]),
        )
        summed = torch.tensor(expected, dtype=torch.float64).reshape(shape).sum(0)
        assert torch.allclose(
            found.maps[i], summed, rtol=1e-9, atol=1e-14 + 1e-9 * float(summed.abs().max())
        )
    assert found.absorbed is not None
    assert torch.allclose(found.maps.reshape(2, -1).sum(1) + found.absorbed, found.start)


def as_matrix(module: nn.Module, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the matrix (outputs, inputs) and bias (outputs,) of a layer, by feeding it units."""
    with torch.no_grad():
        size = int(torch.tensor(shape).prod())
        bias = module(torch.zeros(1, *shape, dtype=torch.float64)).flatten()
        units = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
        return (module(units).flatten(1) - bias).T, bias


def _normed(linear: nn.Module, norm: nn.modules.batchnorm._BatchNorm) -> nn.Module:
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    norm.weight.data.normal_()  # of either sign
    norm.bias.data.normal_()
    return nn.Sequential(linear, norm)


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (zennit_rules.Epsilon(0.25), Epsilon(0.25)),
        (zennit_rules.Epsilon(0), Epsilon(0.0)),
        (zennit_rules.Epsilon(), Epsilon(1e-6)),
        (zennit_rules.Gamma(0.25), Gamma(0.25)),
        (zennit_rules.AlphaBeta(2, 1), AlphaBeta(2.0, 1.0)),
        (zennit_rules.AlphaBeta(1, 0), AlphaBeta(1.0, 0.0)),
        (zennit_rules.AlphaBeta(1.5, 0.5), AlphaBeta(1.5, 0.5)),
    ],
)
def test_parameters_are_read_from_the_composite(hook: Hook, expected: object) -> None:
    assert translated(hook, biased=True) == expected


def test_a_hook_that_propagates_no_relevance_is_refused() -> None:
    composite = NameMapComposite([(["0"], zennit_rules.ReLUGuidedBackprop())])
    with pytest.raises(RelevanceError, match=r"ReLUGuidedBackprop.*--engine zennit"):
        Rulebook(composite, nn.Sequential(nn.ReLU()))
    with pytest.raises(RelevanceError, match="Pass"):
        translated(zennit_rules.Pass())
