"""Zennit's engine against the rules written out slowly; and the model is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from crp.attribution import CondAttribution
from torch import Tensor, nn
from torchvision import models
from torchvision.models import ResNet
from torchvision.models.resnet import BasicBlock
from zennit.core import Composite

from melaudit.errors import ConfigurationError, RelevanceError
from melaudit.relevance.engines.composites import find_composite
from melaudit.relevance.engines.zennit import ZennitEngine

SIZE = 6
EPSILON = 1e-6


def small_net(outputs: int = 3) -> nn.Sequential:
    """Conv, ReLU, conv, ReLU, pooling, linear; in float64, biases of both signs."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3, stride=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(5, outputs),
    ).double()


def images(n: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 2, SIZE, SIZE, generator=generator, dtype=torch.float64)


def matrix(layer: nn.Module, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Return a layer as (weights (inputs, outputs), bias (outputs)), found by probing."""
    n = shape.numel()
    zero = layer(torch.zeros(1, *shape, dtype=torch.float64)).flatten()
    units = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
    return (layer(units).flatten(1) - zero).detach(), zero.detach()


def stable(z: Tensor) -> Tensor:
    return z + torch.where(z >= 0, EPSILON, -EPSILON)


def epsilon(weight: Tensor, bias: Tensor, a: Tensor, relevance: Tensor) -> Tensor:
    z = stable(a @ weight + bias)
    return torch.stack([
        sum((a[i] * weight[i, j] / z[j] * relevance[j] for j in range(len(z))), torch.zeros(()))
        for i in range(len(a))
    ])  # fmt: skip


def z_plus(weight: Tensor, bias: Tensor, a: Tensor, relevance: Tensor) -> Tensor:
    """Share out by the positive contributions a_i w_ij > 0; a positive bias takes its part."""
    contributions = (a[:, None] * weight).clamp(min=0)
    z = contributions.sum(0) + bias.clamp(min=0)
    return (contributions / stable(z) * relevance).sum(1)


def flat(weight: Tensor, bias: Tensor, a: Tensor, relevance: Tensor) -> Tensor:
    """Share out evenly among the inputs a neuron is connected to."""
    connected = (weight != 0).double()
    return (connected / stable(connected.sum(0)) * relevance).sum(1)


Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def by_hand(
    model: nn.Sequential, x: Tensor, target: int, first: Rule, channel: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the map (H, W) of one image and the relevance after the first ReLU, by dense algebra.

    With `channel`, only that channel of the first ReLU is followed further down.
    """
    rules: list[Rule | None] = [first, None, z_plus, None, epsilon, None, epsilon]
    activations = [x]
    for layer in model:
        activations.append(layer(activations[-1][None])[0].detach())
    logits = activations[-1]
    relevance = torch.zeros_like(logits)
    relevance[target] = logits[target]
    hidden = torch.zeros(())
    for layer, rule, a in zip(reversed(model), reversed(rules), reversed(activations[:-1]),
                              strict=True):  # fmt: skip
        if rule is not None:
            weight, bias = matrix(layer, a.shape)
            relevance = rule(weight, bias, a.flatten(), relevance.flatten()).reshape(a.shape)
        else:
            relevance = relevance.reshape(a.shape)
        if layer is model[2]:
            hidden = relevance
            if channel is not None:
                relevance = torch.zeros_like(hidden)
                relevance[channel] = hidden[channel]
    return relevance.sum(0), hidden


@pytest.mark.parametrize(
    ("composite", "first"), [("epsilon_plus", z_plus), ("epsilon_plus_flat", flat)]
)
def test_maps_and_concepts_are_those_of_the_rules_written_out(composite: str, first: Rule) -> None:
    model, x = small_net(), images()
    target = torch.tensor([0, 2, 1])
    with ZennitEngine(model, find_composite(composite)) as engine:
        a = engine.attribute(x, target, ["1", "2"])
    model = small_net()
    for i in range(len(x)):
        expected, hidden = by_hand(model, x[i], int(target[i]), first)
        assert torch.allclose(a.maps[i], expected, rtol=1e-8, atol=1e-12)
        assert torch.allclose(a.concepts["1"][i], hidden.sum((1, 2)), rtol=1e-8, atol=1e-12)
        assert torch.allclose(a.start[i], model(x[i : i + 1])[0, target[i]])
    assert a.absorbed is None and a.unknown == ()


def test_conditional_maps_are_those_of_the_rules_written_out() -> None:
    model, x, target = small_net(), images(2), torch.tensor([1, 0])
    with ZennitEngine(model, find_composite("epsilon_plus")) as engine:
        maps = engine.conditional(x, target, "1", [3, 0])
        whole = engine.attribute(x, target, ["1"])
        every = engine.conditional(x, target, "1", range(4))
    assert maps.shape == (2, 2, SIZE, SIZE)
    for i in range(2):
        for k, channel in enumerate((3, 0)):
            expected, _ = by_hand(model, x[i], int(target[i]), z_plus, channel)
            assert torch.allclose(maps[i, k], expected, rtol=1e-8, atol=1e-12)
    # The layer is passed by every path, so its channels make up the whole map.
    assert torch.allclose(every.sum(1), whole.maps, rtol=1e-8)


def test_maps_do_not_depend_on_the_batch_they_were_in() -> None:
    torch.manual_seed(0)
    # In double precision: in single, the last bit depends on how many threads share a batch.
    model, x = models.resnet18(num_classes=2).eval().double(), torch.randn(8, 3, 64, 64).double()
    with ZennitEngine(model, find_composite("epsilon_plus_flat")) as engine:
        together = engine.attribute(x, None, ["layer4"])
        alone = [engine.attribute(x[i : i + 1], None, ["layer4"]) for i in range(8)]
    for i, one in enumerate(alone):
        scale = one.maps.abs().max()
        assert torch.allclose(together.maps[i], one.maps[0], rtol=0, atol=1e-5 * float(scale))


def test_without_a_target_the_predicted_class_is_explained() -> None:
    with ZennitEngine(small_net(), find_composite("epsilon_plus")) as engine:
        free = engine.attribute(images(), None, [])
        assert free.target is not None
        assert torch.equal(free.target, free.logits.argmax(1))
        assert torch.equal(free.maps, engine.attribute(images(), free.target, []).maps)


def test_one_logit_is_explained_as_itself_for_class_1_and_negated_for_class_0() -> None:
    with ZennitEngine(small_net(1), find_composite("epsilon_plus")) as engine:
        one = engine.attribute(images(), torch.ones(3, dtype=torch.long), [])
        zero = engine.attribute(images(), torch.zeros(3, dtype=torch.long), [])
        strip = engine.conditional(images()[:1], torch.zeros(1, dtype=torch.long), "1", range(4))
    assert torch.equal(one.start, one.logits[:, 0])
    assert torch.equal(zero.start, -one.start)
    assert torch.allclose(zero.maps, -one.maps)
    assert torch.allclose(strip.sum(1), zero.maps[:1], rtol=1e-8)


class Tupled(nn.Module):
    """A model that returns more than its logits, the logits last."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small_net()

    def forward(self, x: Tensor) -> dict[str, Any]:
        features = self.net[:5](x).flatten(1)
        return {"features": features, "logits": self.net[6](features)}


def test_a_model_that_returns_more_than_logits_is_explained_by_its_logits() -> None:
    target = torch.tensor([1])
    with ZennitEngine(small_net(), find_composite("epsilon_plus")) as plain:
        expected = plain.attribute(images(1), target, []).maps
        strips = plain.conditional(images(1), target, "1", [2])
    with ZennitEngine(Tupled(), find_composite("epsilon_plus")) as engine:
        assert torch.allclose(engine.attribute(images(1), target, []).maps, expected)
        assert torch.allclose(engine.conditional(images(1), target, "net.1", [2]), strips)


def test_what_is_not_finite_comes_out_as_it_is() -> None:
    x = images()
    x[1, 0, 2, 2] = float("nan")
    with ZennitEngine(small_net(), find_composite("epsilon_plus")) as engine:
        a = engine.attribute(x, torch.tensor([0, 0, 0]), ["1"])
    assert a.maps[1].isnan().any() and a.concepts["1"][1].isnan().any()
    assert a.maps[0].isfinite().all() and a.maps[2].isfinite().all()


def small_resnet() -> ResNet:
    torch.manual_seed(0)
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2)
    with torch.no_grad():
        for _ in range(5):
            model(torch.randn(4, 3, 64, 64))
    return model


def test_the_model_is_afterwards_what_it_was() -> None:
    model = small_resnet().train()
    model.layer1.eval()
    model.fc.weight.requires_grad_(False)
    gradient = torch.ones_like(model.fc.bias)
    model.fc.bias.grad = gradient
    model.fc.register_forward_hook(lambda m, i, o: None)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    identities = {name: id(p) for name, p in model.named_parameters()}
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    x = torch.randn(2, 3, 64, 64)
    with ZennitEngine(model, find_composite("epsilon_plus_flat")) as engine:
        a = engine.attribute(x, None, ["layer4"])
        assert a.target is not None
        engine.conditional(x, a.target, "layer4", [0, 1])
        assert not model.training
    assert model.training and not model.layer1.training and model.layer2.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert {name: id(p) for name, p in model.named_parameters()} == identities
    assert not model.fc.weight.requires_grad and model.conv1.weight.requires_grad
    assert model.fc.bias.grad is gradient
    assert hooks == [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    assert not any("forward" in m.__dict__ for m in model.modules())
    assert not any("canonizer_sum" in m._modules for m in model.modules())


def test_the_model_is_what_it_was_when_a_pass_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = small_resnet().eval(), torch.randn(1, 3, 64, 64)
    expected = model(x)
    with ZennitEngine(model, find_composite("epsilon_plus_flat")) as engine:
        hooks = [len(m._forward_hooks) for m in model.modules()]
        with pytest.raises(RelevanceError, match="cannot pass relevance"):
            engine.conditional(x, torch.zeros(1, dtype=torch.long), "layer4", [99999])
        assert hooks == [len(m._forward_hooks) for m in model.modules()]
    assert torch.equal(model(x), expected)

    def failing(self: Composite, module: nn.Module) -> None:
        raise OSError("stopped half-way")

    monkeypatch.setattr(Composite, "register", failing)
    with pytest.raises(OSError), ZennitEngine(model, find_composite("epsilon_plus_flat")):
        pass
    assert torch.equal(model(x), expected)
    assert not any("canonizer_sum" in m._modules for m in model.modules())


def test_hooks_and_canonizers_go_on_once_for_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[nn.Module] = []
    register = Composite.register

    def counted(self: Composite, module: nn.Module) -> None:
        if getattr(self, "layer_map", None):
            registered.append(module)
        register(self, module)

    monkeypatch.setattr(Composite, "register", counted)
    x, target = torch.randn(2, 3, 64, 64), torch.tensor([0, 1])
    with ZennitEngine(small_resnet(), find_composite("epsilon_plus_flat")) as engine:
        for _ in range(3):
            engine.attribute(x, target, ["layer4"])
            engine.conditional(x, target, "layer4", [0])
    assert len(registered) == 1


@pytest.mark.parametrize(
    ("model", "canonizer"),
    [
        (models.resnet18(), "ResNetCanonizer"),
        (models.vgg11_bn(), "SequentialMergeBatchNorm"),
        (models.alexnet(), "no canonizer"),
        (models.densenet121(), "no canonizer"),  # there, registration order misleads
    ],
    ids=["resnet", "vgg", "alexnet", "densenet"],
)
def test_the_canonizer_is_chosen_by_what_the_model_is(model: nn.Module, canonizer: str) -> None:
    assert ZennitEngine(model, find_composite("epsilon_plus")).name.endswith(canonizer)


def test_a_canonizer_that_cannot_fit_or_does_not_exist_is_refused() -> None:
    rules = find_composite("epsilon_plus")
    with pytest.raises(RelevanceError, match=r"norm\d has"):
        ZennitEngine(models.densenet121(), rules, "sequential")
    with pytest.raises(ConfigurationError, match="auto, none, resnet, sequential"):
        ZennitEngine(small_net(), rules, "magic")


def test_canonizers_of_the_users_own_composite_are_used_alone() -> None:
    from zennit.composites import EpsilonPlus
    from zennit.torchvision import ResNetCanonizer

    own = EpsilonPlus(canonizers=[ResNetCanonizer()])
    model, x = small_resnet(), torch.randn(1, 3, 64, 64)
    with ZennitEngine(model, find_composite("epsilon_plus")) as engine:
        expected = engine.attribute(x, None, []).maps
    with ZennitEngine(model, own) as engine:
        assert torch.equal(engine.attribute(x, None, []).maps, expected)
        assert "ResNetCanonizer" in engine.name
    with pytest.raises(ConfigurationError, match="canonizers of its own"):
        ZennitEngine(model, own, "resnet")


def test_a_layer_that_no_relevance_passes_is_an_error() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.aside = small_net(), nn.Conv2d(2, 2, 1).double()

        def forward(self, x: Tensor) -> Tensor:
            self.aside(x)
            return self.net(x)  # type: ignore[no-any-return]

    with ZennitEngine(Aside(), find_composite("epsilon_plus")) as engine:
        with pytest.raises(RelevanceError, match="no relevance passes aside"):
            engine.attribute(images(), None, ["aside"])
        with pytest.raises(RelevanceError, match=r"no layer 'net.11'.*net.1"):
            engine.attribute(images(), None, ["net.11"])


def test_a_model_cut_off_from_its_input_is_an_error() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small_net()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x.detach())  # type: ignore[no-any-return]

    engine = ZennitEngine(Cut(), find_composite("epsilon_plus"))
    with engine, pytest.raises(RelevanceError, match="use --engine dataflow"):
        engine.attribute(images(), None, [])


def test_without_a_canonizer_every_residual_sum_doubles_relevance() -> None:
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ratios = []
    for canonizer in ("auto", "none"):
        with ZennitEngine(small_resnet(), find_composite("epsilon_plus"), canonizer) as engine:
            a = engine.attribute(x, None, [])
            ratios.append((a.maps.sum((1, 2)) / a.start).abs())
    assert bool((ratios[1] > 4 * ratios[0]).all())


def round_the_layer(generate: Callable[..., object]) -> Callable[..., object]:
    """Let zennit-crp's relevance go round the conditioned layer, as it does when asked to."""

    def leaking(*args: object, **kwargs: object) -> object:
        return generate(*args, **{**kwargs, "exclude_parallel": False})

    return leaking


def test_on_a_trained_resnet50_conditional_maps_are_less_than_the_whole(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.resnet50(num_classes=2)
    weights = torch.load(shared / "models" / "resnet50_rings.pt", weights_only=True)
    model.load_state_dict(weights)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with ZennitEngine(model, find_composite("epsilon_plus_flat")) as engine:
        a = engine.attribute(x, None, ["layer4"])
        relevance = a.concepts["layer4"][0]
        assert a.target is not None
        channel = int(relevance.abs().argmax())
        (strip,) = engine.conditional(x, a.target, "layer4", [channel])[0]
        monkeypatch.setattr(CondAttribution, "generate", round_the_layer(CondAttribution.generate))
        (leak,) = engine.conditional(x, a.target, "layer4.2.conv3", [channel])[0]
    assert abs(float(strip.sum())) < 0.2 * abs(float(a.maps.sum()))
    assert abs(float(leak.sum())) > 0.8 * abs(float(a.maps.sum()))
