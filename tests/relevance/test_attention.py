"""Attention over channels is found where a model has it, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from melaudit.errors import RelevanceError
from melaudit.relevance import Explainer
from melaudit.relevance.attention import attention, choose_channels

CHANNELS = 6


def images(n: int = 3) -> Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """Convolutions, something with their map, and a head on the mean."""

    def __init__(self, middle: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1), nn.ReLU())
        self.middle = middle or nn.Identity()
        self.tail = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.fc = nn.Linear(CHANNELS, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.middle(self.features(x))
        logits: Tensor = self.fc(self.tail(x).mean((2, 3)))
        return logits


class Gated(Net):
    """Gated attention over channels, weights returned beside the logits."""

    def __init__(self, shape: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.score = nn.Linear(64, 1)
        self.shape = shape

    def forward(self, x: Tensor) -> object:  # type: ignore[override]
        features = self.features(x).flatten(2)
        weights = torch.softmax(torch.tanh(self.score(features)), 1)  # (N, C, 1)
        pooled = (weights * features).sum(2)
        return self.fc(pooled), self.shape(weights)


class Squeeze(nn.Module):
    """Squeeze-and-excitation: a gate for each channel, in one of the ways people write it."""

    def __init__(self, way: str = "sigmoid") -> None:
        super().__init__()
        self.fc = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.way = way
        self.gate = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.fc(x.mean((2, 3), keepdim=True))
        if self.way == "hard":
            gate = functional.hardsigmoid(scores)
        elif self.way == "relu6":
            gate = functional.relu6(scores + 3.0) / 6.0
        elif self.way == "view":
            gate = torch.sigmoid(scores.flatten(1)).view(len(x), CHANNELS, 1, 1)
        else:
            gate = torch.sigmoid(scores)
        self.gate = gate.detach().flatten(1)
        if self.way == "expand":
            return x * gate.expand_as(x)
        if self.way == "reversed":
            return gate * x
        if self.way == "in place":
            x *= gate
            return x
        return x * gate


@pytest.mark.parametrize(
    "shape",
    [
        lambda w: w,
        lambda w: w.flatten(1),
        lambda w: w[..., None],
        lambda w: {"weights": w.detach()},
    ],
    ids=["N C 1", "N C", "N C 1 1", "in a mapping, detached"],
)
def test_softmax_weights_beside_the_logits_are_found(shape: Callable[[Tensor], object]) -> None:
    model, x = Gated(shape), images()
    found = attention(model, x, "features", 2)
    assert found is not None and found.weights.shape == (3, CHANNELS)
    features = model.features(x).flatten(2)
    expected = torch.softmax(torch.tanh(model.score(features)), 1).flatten(1)
    assert torch.allclose(found.weights, expected)
    assert found.where == f"returned beside the logits: weights that sum to 1, {CHANNELS} channels"
    assert not found.weights.requires_grad


def test_the_same_weights_are_found_at_work_when_they_are_not_returned() -> None:
    class Quiet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Gated(lambda w: w)

        def forward(self, x: Tensor) -> object:
            logits, _ = self.net(x)
            return logits

    model, x = Quiet(), images()
    found, told = attention(model, x, "net.features", 2), attention(model.net, x, "features", 2)
    assert found is not None and told is not None
    assert torch.equal(found.weights, told.weights)
    assert found.where == f"a gate in net, behind the output of net.features: {CHANNELS} channels"


@pytest.mark.parametrize(
    "way", ["sigmoid", "hard", "relu6", "view", "expand", "reversed", "in place"]
)
def test_a_squeeze_and_excitation_gate_is_found_however_it_is_written(way: str) -> None:
    squeeze = Squeeze(way)
    found = attention(Net(squeeze), images(), "tail", 2)
    assert found is not None
    assert torch.equal(found.weights, squeeze.gate)
    assert found.where == f"a gate in middle, before the output of tail: {CHANNELS} channels"


def test_of_many_gates_the_one_on_the_layer_or_the_last_before_it_counts() -> None:
    first, second = Squeeze(), Squeeze()
    model, x = Net(nn.Sequential(first, nn.ReLU(), second, nn.ReLU())), images()
    for layer, gate in (("tail", second), ("features", first), ("middle.1", second)):
        found = attention(model, x, layer, 2)
        assert found is not None and torch.equal(found.weights, gate.gate), layer
    found = attention(model, x, "middle.0", 2)
    assert found is not None and torch.equal(found.weights, first.gate)


def test_plain_resnets_and_look_alikes_have_no_attention() -> None:
    class Scale(nn.Module):
        """A learned scale in 0..1: it is the same for every image."""

        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.full((1, CHANNELS, 1, 1), 0.5))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gamma.sigmoid()

    class Spatial(nn.Module):
        """Attention over places, not over channels."""

        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean(1, keepdim=True).sigmoid()

    class Normalised(nn.Module):
        """Divides each channel by its size, which makes a factor in 0..1 for each image."""

        def forward(self, x: Tensor) -> Tensor:
            return x * (1 + x.square().mean((2, 3), keepdim=True)).rsqrt()

    class Features(Net):
        """Returns its features too, which lie in 0..1 by chance."""

        def forward(self, x: Tensor) -> object:  # type: ignore[override]
            features = self.features(x).mean((2, 3))
            return self.fc(features), features / features.max() * 0.9

    one = images(1)  # a single image makes (1, C, 1, 1) look like a gate
    plain = (Net(), *map(Net, (Scale(), Spatial(), Normalised(), nn.SiLU())))
    for model in (*plain, Features()):
        assert attention(model, one, "features", 2) is None
        if not isinstance(model, Features):
            assert attention(model, one, "tail", 2) is None
    resnet = torchvision.models.resnet18(weights=None, num_classes=2)
    assert attention(resnet, torch.randn(1, 3, 64, 64), "layer4", 2) is None


def test_gates_on_another_number_of_channels_are_not_taken() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, CHANNELS, 1),
        Squeeze(),
        nn.Conv2d(CHANNELS, 4, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    assert attention(model, images(), "2", 4) is None
    assert attention(model, images(), "0", 4) is not None


def test_the_model_is_left_as_it_was_and_the_explainer_gives_the_same_under_any_engine() -> None:
    model, x = Net(Squeeze()).train(), images()
    plain = attention(model, x, "tail", 2)
    assert plain is not None and model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())
    with Explainer(model, engine="zennit") as explainer:
        explainer.lrp(x)
        for found in (explainer.attention(x, "tail"), explainer.attention(x)):
            assert found is not None and torch.allclose(found.weights, plain.weights)


def test_channels_are_chosen_by_relevance_times_attention() -> None:
    relevance = torch.tensor([0.5, -0.9, 0.1, 0.0])
    assert choose_channels(relevance, None, 2) == [1, 0]
    weights = torch.tensor([0.6, 0.1, 0.9, 1.0])
    assert choose_channels(relevance, weights, 9) == [0, 1, 2, 3]  # .3, .09, .09, 0
    assert choose_channels(relevance, torch.tensor([0.1, 0.1, 0.8, 0.0]), 1) == [1]
    with pytest.raises(RelevanceError, match="one weight per channel"):
        choose_channels(relevance, weights[:3], 2)


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(RelevanceError, match="no layer 'tial'; did you mean tail"):
        attention(Net(), images(), "tial", 2)


@pytest.mark.parametrize("engine", ["dataflow", "zennit", "gradient_x_input", "occlusion"])
@pytest.mark.parametrize("kind", ["returned", "gate"])
def test_attention_is_taken_from_the_pass_that_explains(engine: str, kind: str) -> None:
    net = Gated(lambda w: w) if kind == "returned" else Net(Squeeze())
    x = images()
    with Explainer(net, engine=engine) as explainer:
        apart = explainer.attention(x, "features")
        assert apart is not None
        together = explainer.attribute(x, None, ["features"], attention="features")
        assert together.attention is not None
        assert torch.allclose(together.attention, apart.weights, atol=1e-5)
        plain = explainer.attribute(x, None, ["features"])
    assert plain.attention is None and torch.equal(plain.maps, together.maps)


def test_taking_attention_from_a_pass_costs_no_further_forward_pass_and_leaves_no_hooks() -> None:
    net, seen = Gated(lambda w: w), []
    with Explainer(net) as explainer:
        explainer.attribute(images(), None, ["features"], attention="features")
        handle = net.register_forward_hook(lambda m, i, o: seen.append(len(i[0])))
        found = explainer.attribute(images(), None, ["features"], attention="features")
        handle.remove()
    assert found.attention is not None and seen == [3]
    assert not net._forward_hooks and not net._forward_pre_hooks


def test_a_model_without_attention_has_none_in_its_pass_either() -> None:
    with Explainer(Net()) as explainer:
        assert explainer.attribute(images(), None, [], attention="features").attention is None


def test_a_pass_that_fails_leaves_nothing_behind() -> None:
    net = Gated(lambda w: w)
    with Explainer(net) as explainer:
        explainer.attribute(images(), None, [], attention="features")
        with pytest.raises(Exception, match=r"shapes cannot|mat1"):
            explainer.attribute(torch.randn(1, 3, 9, 9), None, [], attention="features")
        again = explainer.attribute(images(), None, [], attention="features")
    assert again.attention is not None
    assert not torch.overrides._get_current_function_mode_stack()
