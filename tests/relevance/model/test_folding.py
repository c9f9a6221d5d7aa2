"""A copy with BatchNorms folded into convolutions: the same answers, and only where that holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small, resnet18

from melaudit.relevance.forward import Forward
from melaudit.relevance.model.folding import folded


class Net(nn.Module):
    """A convolution, a BatchNorm that has seen something, and a head; what is between is given."""

    def __init__(
        self,
        between: Callable[[Net, Tensor], Tensor] = lambda net, x: net.norm(net.body(x)),
        body: nn.Module | None = None,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.between = between
        self.body: nn.Module = nn.Conv2d(3, 4, 3) if body is None else body
        self.norm: nn.Module = seen(nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 3)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.between(self, x).relu_().mean((2, 3)))
        return logits


def seen(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    assert norm.running_mean is not None and norm.running_var is not None
    for values in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
        nn.init.uniform_(values, 0.5, 2)
    return norm


def images(n: int = 3, side: int = 12) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("build", [Net, resnet18, mobilenet_v3_small])
def test_the_copy_says_the_same_without_batchnorms(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = build().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            seen(module)
    x = images(side=64)
    found = folded(model, x)
    assert found is not None
    assert not [m for m in found.model.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        own, said = model(x), found.model(x)
    assert torch.allclose(own, said, rtol=1e-4, atol=1e-5 * float(own.abs().max()))
    assert not torch.equal(own, torch.zeros_like(own))


def hooked() -> nn.Module:
    net = Net()
    net.norm.register_forward_hook(lambda module, inputs, output: output * 2)
    return net


def parametrised() -> nn.Module:
    return Net(body=nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)))


def undecided() -> nn.Module:
    return Net(lambda net, x: net.norm(net.body(x)) + torch.rand(()))


REFUSED: dict[str, Callable[[], nn.Module]] = {
    "what the convolution gives is used twice": lambda: Net(
        lambda net, x: net.norm(y := net.body(x)) + y
    ),
    "it is changed before": lambda: Net(lambda net, x: net.norm(net.body(x).relu_())),
    "the BatchNorm runs twice": lambda: Net(lambda net, x: net.norm(net.norm(net.body(x)))),
    "the convolution runs twice": lambda: Net(
        lambda net, x: net.norm(net.body(x)) + net.body(x + 1)
    ),
    "a hook changes it": hooked,
    "the weights are made of others": parametrised,
    "the model says something else each time": undecided,
    "no BatchNorm": lambda: Net(lambda net, x: net.body(x)),
}


@pytest.mark.parametrize("build", REFUSED.values(), ids=REFUSED)
def test_nothing_is_folded_where_it_would_change_the_answer(build: Callable[[], nn.Module]) -> None:
    model = build()
    assert folded(model, images()) is None
    assert not [m for m in model.modules() if m._forward_pre_hooks]


def test_a_settled_model_is_run_folded_and_its_own_layers_are_what_they_are() -> None:
    model, x = Net(), images()
    plain, quick = Forward(model), Forward(model)
    quick.settle()
    for layer in ("body", "norm"):  # what the convolution itself gives is no output of the copy
        own, found = plain.features(x, layer), quick.features(x, layer)
        for a, b in zip(own, found, strict=True):
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
    assert torch.equal(quick.logits(x), plain.logits(x))
    assert torch.allclose(quick.answers(x), plain.logits(x), rtol=1e-4)
    model.head.weight.data.zero_()  # the copy was made before
    assert not torch.allclose(quick.answers(x), plain.logits(x))
