"""Convolutions with packed weights: the same outputs, hooks and all; and only where that can be."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from melaudit.relevance.model import packing
from melaudit.relevance.model.folding import folded
from melaudit.relevance.model.packing import pack

pytestmark = pytest.mark.skipif(
    packing._operators() is None, reason="this torch has no oneDNN, which takes packed weights"
)


class Net(nn.Module):
    """Plain, strided, dilated, grouped and depthwise convolutions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.wide = nn.Conv2d(8, 8, 3, padding=2, dilation=2, bias=False)
        self.groups = nn.Conv2d(8, 16, (1, 3), groups=4, padding=(0, 1))
        self.depth = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depth(self.groups(self.wide(self.first(x).relu())).relu())
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def images(n: int = 5) -> Tensor:
    return torch.randn(n, 3, 24, 20, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_packed_model_says_the_same_of_any_batch_and_size(layout: torch.memory_format) -> None:
    model = Net().eval()
    other = copy.deepcopy(model)
    assert pack(other, images(2)) == 4
    noted: list[torch.Size] = []
    other.wide.register_forward_hook(lambda module, inputs, output: noted.append(output.shape))
    for x in (images(1), images(5), torch.randn(3, 3, 40, 36)):
        x = x.to(memory_format=layout)
        with torch.no_grad():
            assert torch.allclose(other(x), model(x), rtol=1e-5, atol=1e-6)
    assert noted == [(1, 8, 12, 10), (5, 8, 12, 10), (3, 8, 20, 18)]
    assert not other.wide.weight.numel() and model.wide.weight.numel()


def test_what_is_no_plain_convolution_stays_as_it_is() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3)),
        nn.ConvTranspose2d(4, 4, 3),
    )
    assert pack(model, images()) == 0
    assert pack(Net().double(), images().double()) == 0


class Net2(nn.Module):
    """A BatchNorm to fold, and a weight of a convolution that may be used otherwise as well."""

    def __init__(self, also: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.also = also
        self.first = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.second = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.second(self.first(x)).mean((2, 3))
        return logits + self.second.weight.mean() if self.also else logits


@pytest.mark.parametrize("also", [False, True])
def test_a_model_that_needs_its_weights_as_they_were_is_folded_and_not_packed(also: bool) -> None:
    found = folded(Net2(also).eval(), images(1))
    assert found is not None
    kept = [bool(m.weight.numel()) for m in found.model.modules() if isinstance(m, nn.Conv2d)]
    assert kept == [also, also]


def test_a_residual_network_is_packed_and_its_layers_are_seen() -> None:
    torch.manual_seed(0)
    model = resnet18(num_classes=3).eval()
    found = folded(model, torch.rand(1, 3, 64, 64))
    assert found is not None
    assert not [m for m in found.model.modules() if isinstance(m, nn.Conv2d) and m.weight.numel()]
    x, seen = torch.rand(17, 3, 64, 64), []
    with torch.no_grad():
        for each in (model, found.model):
            handle = each.get_submodule("layer3").register_forward_hook(
                lambda module, inputs, output: seen.append(output)
            )
            each(x)
            handle.remove()
    assert torch.allclose(seen[0], seen[1], rtol=1e-4, atol=1e-5)
