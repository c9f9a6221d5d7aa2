"""Which channels look at a part of the image: the sums of all channels' maps, without the maps."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from melaudit.errors import RelevanceError
from melaudit.relevance import Explainer, places
from melaudit.relevance.places import disk


class Residual(nn.Module):
    """Convolutions with BatchNorm, a skip, a gate and pooling: all that a block may hold."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.branch = nn.Conv2d(8, 8, 3, padding=1)
        self.body = nn.Conv2d(8, 10, 3, padding=1)
        self.fc = nn.Linear(10, 3)
        with torch.no_grad():
            self.norm.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            self.norm.bias.normal_(0, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.stem(x)))
        x = x + functional.silu(self.branch(x)) * torch.sigmoid(x.mean((2, 3), keepdim=True))
        x = self.body(functional.max_pool2d(x, 2)).relu_()
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def images(n: int = 2) -> Tensor:
    return torch.randn(n, 3, 16, 20, generator=torch.Generator().manual_seed(1))


def by_maps(explainer: Explainer, x: Tensor, mask: Tensor, channels: int = 10) -> Tensor:
    """Return (N, channels) the slow way: a map for each channel, summed where the mask is."""
    maps = explainer.crp(x, None, "body", range(channels))
    return (maps * mask).sum((2, 3))


@pytest.mark.parametrize("engine", ["dataflow", "gradient_x_input", "zennit"])
def test_the_sums_are_those_of_the_conditional_maps(engine: str) -> None:
    x, mask = images(), disk(16, 20, 0.6)
    with Explainer(Residual(), engine=engine) as explainer:
        found = explainer.places(x, None, "body", mask)
        inside, outside = by_maps(explainer, x, mask), by_maps(explainer, x, 1 - mask)
    size = inside.abs().max()
    assert (found.inside - inside).abs().max() < 1e-5 * size
    assert (found.outside - outside).abs().max() < 1e-5 * size
    assert found.layer == "body" and inside.abs().min() >= 0


@pytest.mark.parametrize("composite", ["epsilon_gamma_box", "epsilon_alpha2_beta1_flat"])
def test_every_composite_gives_sums(composite: str) -> None:
    x, mask = images(1), disk(16, 20, 0.6)
    with Explainer(Residual(), composite) as explainer:
        found = explainer.places(x, None, "body", mask).inside
        expected = by_maps(explainer, x, mask)
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))


def test_a_model_that_cannot_be_differentiated_twice_gets_a_map_for_each_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, mask = images(), disk(16, 20, 0.6)
    with Explainer(Residual()) as explainer:
        expected = explainer.places(x, None, "body", mask)
        monkeypatch.setattr(places, "MAX_CHANNELS_BY_MAP", 4)
        monkeypatch.setattr(torch.autograd, "grad", once(torch.autograd.grad))
        found = explainer.places(x, None, "body", mask)
    known = ~found.inside.isnan()
    assert known.sum(1).tolist() == [4, 4]
    assert torch.allclose(found.inside[known], expected.inside[known], atol=1e-6)
    assert set(found.strongest("outside", 4)[0].tolist()) == set(known[0].nonzero()[:, 0].tolist())


def once(grad: Callable[..., object]) -> Callable[..., object]:
    def refuse(*args: object, create_graph: bool = False, **kwargs: object) -> object:
        if create_graph:
            raise RuntimeError("derivative is not implemented")
        return grad(*args, **kwargs)

    return refuse


class Doubled(torch.autograd.Function):
    """y = x with a backward pass of which half is hidden from autograd."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, c: Tensor) -> Tensor:
        return c / 2 + c.detach() / 2


def test_a_backward_pass_that_is_hidden_from_autograd_is_noticed() -> None:
    image = images(1).requires_grad_()
    y = Doubled.apply(image * 2)
    edge = torch.autograd.graph.get_gradient_edge(y)
    masks = disk(16, 20, 0.6)[None]
    assert places.sums_within([edge], [torch.ones_like(y)], image, image.detach(), masks) is None
    plain = image * 2
    edge = torch.autograd.graph.get_gradient_edge(plain)
    found = places.sums_within([edge], [torch.ones_like(plain)], image, image.detach(), masks)
    assert found is not None
    assert torch.allclose(found[0][0], 2 * image.detach() * masks)


def test_a_channel_that_only_sees_the_border_is_the_strongest_outside() -> None:
    class Corner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 3, 1, bias=False)
            self.fc = nn.Linear(3, 2, bias=False)
            with torch.no_grad():
                self.body.weight.copy_(torch.eye(3)[..., None, None])
                self.fc.weight.fill_(1.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.body(x).relu().mean((2, 3)))  # type: ignore[no-any-return]

    x = torch.zeros(1, 3, 20, 20)
    x[0, 0, 8:12, 8:12] = 1.0  # the first channel has its evidence in the middle
    x[0, 1, :2] = 0.5  # the second one at the border
    with Explainer(Corner(), "epsilon_plus") as explainer:
        found = explainer.places(x, torch.tensor([0]), "body", disk(20, 20, 0.78))
    assert found.strongest("outside", 1).tolist() == [[1]]
    assert found.strongest("inside", 1).tolist() == [[0]]
    assert found.share("outside")[0, :2].tolist() == pytest.approx([0.0, 1.0], abs=1e-6)
    assert math.isclose(float(found.at("outside")[0, 1]), 2 * 20 * 0.5 / 400, rel_tol=1e-4)


def test_a_mask_of_another_shape_is_refused() -> None:
    with Explainer(Residual()) as explainer, pytest.raises(RelevanceError, match="one value per"):
        explainer.places(images(), None, "body", disk(16, 16, 0.5))
    with Explainer(Residual(), engine="occlusion") as explainer:
        with pytest.raises(RelevanceError, match="no conditional maps"):
            explainer.places(images(1), None, "body", disk(16, 20, 0.5))


def test_the_disk_is_measured_by_the_shorter_side() -> None:
    mask = disk(100, 140, 0.5)
    assert abs(float(mask.sum()) / (math.pi * 25**2) - 1) < 0.01
    assert mask[50, 70 + 24] == 1 and mask[50, 70 + 25] == 0
    assert torch.equal(mask, mask.flip(0)) and torch.equal(mask, mask.flip(1))
