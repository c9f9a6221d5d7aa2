"""Relevance against captum, which computes the same quantities with code of others."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from zennit.composites import LayerMapComposite
from zennit.rules import Epsilon

from melaudit.relevance import Explainer

attr = pytest.importorskip("captum.attr")
rules = pytest.importorskip("captum.attr._utils.lrp_rules")

TARGET = torch.tensor([2, 0, 1])


def net() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return (
            nn.Sequential(
                nn.Conv2d(3, 6, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(6, 8, 3, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(8, 3),
            )
            .double()
            .eval()
        )


def images() -> Tensor:
    return torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(1)).double()


def test_gradient_x_input_is_captum_s() -> None:
    with Explainer(net(), engine="gradient_x_input") as explainer:
        ours = explainer.lrp(images(), TARGET)
    theirs = attr.InputXGradient(net()).attribute(images().requires_grad_(), target=TARGET)
    assert torch.allclose(ours, theirs.sum(1).detach())


def test_concepts_of_gradient_x_input_are_captum_s_at_the_layer() -> None:
    with Explainer(net(), engine="gradient_x_input") as explainer:
        ours = explainer.concepts(images(), TARGET, ["3"])["3"]
    model = net()
    theirs = attr.LayerGradientXActivation(model, model[3]).attribute(images(), target=TARGET)
    assert torch.allclose(ours, theirs.sum((2, 3)).detach())


@pytest.mark.parametrize("layer", [0, 3])
def test_grad_cam_is_captum_s(layer: int) -> None:
    with Explainer(net()) as explainer:
        ours = explainer.grad_cam(images(), TARGET, str(layer)).maps()
    model = net()
    theirs = attr.LayerGradCam(model, model[layer]).attribute(
        images(), target=TARGET, relu_attributions=True
    )
    assert torch.allclose(ours, theirs[:, 0].detach())


def test_the_epsilon_rule_is_captum_s() -> None:
    model = net()
    for module in model:  # captum goes by the class of a layer unless it is told a rule
        if not isinstance(module, nn.ReLU):
            module.rule = rules.EpsilonRule(epsilon=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = attr.LRP(model).attribute(images(), target=TARGET)
    composite = LayerMapComposite([(nn.Conv2d, Epsilon(1e-6)), (nn.Linear, Epsilon(1e-6))])
    with Explainer(net(), composite) as explainer:
        ours = explainer.lrp(images(), TARGET)
    assert torch.allclose(ours, theirs.sum(1).detach(), atol=1e-5)
