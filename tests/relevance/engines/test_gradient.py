"""Gradient x input and occlusion: what stands in where no composite can be used."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from zennit.composites import LayerMapComposite
from zennit.rules import Epsilon, Norm, Pass
from zennit.types import Activation, AvgPool, Convolution, Linear

from melaudit.errors import RelevanceError
from melaudit.relevance import Explainer
from melaudit.relevance.engines.occlusion import CELLS, cell_of_pixel


def net(bias: bool = True, outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=bias),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, padding=1, bias=bias),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, outputs, bias=bias),
    ).double()


def images(n: int = 3) -> Tensor:
    x = torch.randn(n, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    return x.double()


def explainer(model: nn.Module, engine: str = "gradient_x_input") -> Explainer:
    return Explainer(model, engine=engine)


def test_gradient_x_input_is_the_slope_along_the_input() -> None:
    model, x, target = net(), images(), torch.tensor([2, 0, 1])
    with explainer(model) as e:
        a = e.attribute(x, target, [])
    step = 1e-6  # x scaled by 1 + step moves the logit by step * sum of x dz/dx
    with torch.no_grad():
        rise = (model(x * (1 + step)) - model(x * (1 - step))) / (2 * step)
    assert torch.allclose(a.maps.sum((1, 2)), rise.gather(1, target[:, None])[:, 0], atol=1e-6)
    assert torch.allclose(a.start, model(x).gather(1, target[:, None])[:, 0])
    assert a.absorbed is None


def test_without_biases_the_maps_are_those_of_the_epsilon_rule_and_sum_to_the_logit() -> None:
    model, x = net(bias=False), images()
    epsilon = LayerMapComposite(
        [
            (Activation, Pass()),
            (AvgPool, Norm()),
            (Convolution, Epsilon(1e-12)),
            (Linear, Epsilon(1e-12)),
        ]
    )
    with explainer(model) as e:
        a = e.attribute(x, None, ["2"])
    assert torch.allclose(a.maps.sum((1, 2)), a.start)
    assert torch.allclose(a.concepts["2"].sum(1), a.start)
    with Explainer(model, composite=epsilon, engine="zennit") as oracle:
        assert torch.allclose(a.maps, oracle.lrp(x), atol=1e-6)


def test_conditional_maps_of_all_channels_sum_to_the_map_and_differ() -> None:
    x = images()
    with explainer(net()) as e:
        whole = e.lrp(x)
        parts = e.crp(x, None, "2", range(8))
        assert torch.allclose(parts.sum(1), whole)
        assert torch.allclose(e.crp(x, None, "2", [5])[:, 0], parts[:, 5])
    assert (parts[:, 0] - parts[:, 1]).abs().max() > 1e-4


def test_a_layer_that_is_overwritten_in_place_is_read_as_it_was() -> None:
    plain = net()
    plain[3] = nn.ReLU()
    with explainer(net()) as e, explainer(plain) as other:
        assert torch.equal(
            e.concepts(images(), None, ["2"])["2"], other.concepts(images(), None, ["2"])["2"]
        )


def test_one_logit_is_explained_with_its_sign() -> None:
    x = images()
    for engine in ("gradient_x_input", "occlusion"):
        with explainer(net(outputs=1), engine) as e:
            yes = e.lrp(x, torch.ones(3, dtype=torch.int64))
            no = e.lrp(x, torch.zeros(3, dtype=torch.int64))
        assert torch.allclose(yes, -no, atol=1e-12) and yes.abs().max() > 0


def test_occlusion_is_the_fall_of_the_logit_when_a_cell_is_covered() -> None:
    model, x, target = net(), images(), torch.tensor([2, 0, 1])
    with explainer(model, "occlusion") as e:
        maps = e.lrp(x, target)
    cells = cell_of_pixel(12, 12)
    for image in range(3):
        for cell in (0, 37, 99):
            covered = x[image].clone()
            for row, column in (cells == cell).nonzero().tolist():
                for channel in range(3):
                    covered[channel, row, column] = x[image, channel].mean()
            with torch.no_grad():
                fall = model(x[image][None]) - model(covered[None])
            held = maps[image][cells == cell].sum()
            assert torch.allclose(held, fall[0, target[image]])


def test_the_cells_of_occlusion_cover_every_pixel_once_and_are_contiguous() -> None:
    cells = cell_of_pixel(37, 64)
    assert cells.unique().tolist() == list(range(CELLS * CELLS))
    for cell in (0, 55, 99):
        rows, columns = (cells == cell).nonzero().T
        height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
        assert len(rows) == height * width and 3 <= height <= 4 and 6 <= width <= 7
    assert cell_of_pixel(4, 4).unique().numel() == 16


def test_maps_do_not_depend_on_the_batch() -> None:
    x = images(3)
    for engine in ("gradient_x_input", "occlusion"):
        with explainer(net(), engine) as e:
            together = e.lrp(x)
            alone = torch.cat([e.lrp(x[i : i + 1]) for i in range(3)])
        assert torch.allclose(together, alone, atol=1e-12)


def test_occlusion_takes_its_concepts_from_gradients_and_refuses_conditional_maps() -> None:
    x = images()
    with explainer(net()) as gradient, explainer(net(), "occlusion") as e:
        assert torch.allclose(
            e.concepts(x, None, ["2"])["2"], gradient.concepts(x, None, ["2"])["2"]
        )
        with pytest.raises(RelevanceError, match="no conditional maps"):
            e.crp(x, None, "2", [0])
        assert "gradient x activation" in e.describe() and "LRP" not in e.describe()
        assert e.both_engines(images()) is None and not e.conserves


def test_the_model_is_left_as_it_was() -> None:
    for engine in ("gradient_x_input", "occlusion"):
        model = net().train()
        with explainer(model, engine) as e:
            e.attribute(images(), None, ["2"])
        assert model.training and all(p.requires_grad for p in model.parameters())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
