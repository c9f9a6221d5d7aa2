"""Grad-CAM against differences taken by hand, and agreement between maps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from melaudit.errors import RelevanceError
from melaudit.relevance import Explainer
from melaudit.relevance.agreement import agreement
from melaudit.relevance.gradcam import GradCam, grad_cam


def small_net(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(20, 6),
        nn.Tanh(),
        nn.Linear(6, outputs),
    ).double()


def images(n: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, 8, 12, generator=generator, dtype=torch.float64)


def by_hand(model: nn.Sequential, x: Tensor, target: int, cut: int, sign: float = 1) -> Tensor:
    """Grad-CAM of one image (3, H, W) at module `cut`, gradients by central differences."""
    step = 1e-5
    with torch.no_grad():
        features = model[: cut + 1](x[None]).clone()
        _, channels, height, width = features.shape
        total = torch.zeros(height, width, dtype=x.dtype)
        for c in range(channels):
            slopes = []
            for i in range(height):
                for j in range(width):
                    moved = []
                    for way in (step, -step):
                        changed = features.clone()
                        changed[0, c, i, j] += way
                        moved.append(sign * float(model[cut + 1 :](changed)[0, target]))
                    slopes.append((moved[0] - moved[1]) / (2 * step))
            total += sum(slopes) / len(slopes) * features[0, c]
    return total.clamp(min=0)


@pytest.mark.parametrize("cut", [0, 2])
def test_maps_are_what_differences_taken_by_hand_give(cut: int) -> None:
    # Both cuts are followed by a ReLU; the second one's overwrites the layer's output.
    model, x, target = small_net(), images(), torch.tensor([2, 0, 1])
    maps = grad_cam(model, x, target, str(cut)).maps()
    for i in range(3):
        expected = by_hand(small_net(), x[i], int(target[i]), cut)
        assert torch.allclose(maps[i], expected, atol=1e-8)
    assert maps.max() > 1e-3  # and not all of it is zero


def test_one_logit_speaks_for_class_1_and_its_negative_for_class_0() -> None:
    model, x = small_net(1), images(2)
    maps = grad_cam(model, x, torch.tensor([0, 1]), "2").maps()
    for i, sign in enumerate((-1.0, 1.0)):
        assert torch.allclose(maps[i], by_hand(small_net(1), x[i], 0, 2, sign), atol=1e-8)


def test_attention_multiplies_each_channels_contribution() -> None:
    generator = torch.Generator().manual_seed(2)
    cam = GradCam(
        torch.rand(2, 4, 3, 5, generator=generator),
        torch.randn(2, 4, generator=generator),
    )
    weights = torch.rand(2, 4, generator=generator)
    expected = torch.zeros(2, 3, 5)
    for n in range(2):
        for c in range(4):
            expected[n] += weights[n, c] * cam.importance[n, c] * cam.activations[n, c]
    assert torch.allclose(cam.maps(weights), expected.clamp(min=0), atol=1e-6)
    assert torch.allclose(cam.maps(torch.ones(2, 4)), cam.maps())
    only = torch.tensor([[0.0, 1.0, 0.0, 0.0]] * 2)
    alone = (cam.importance[:, 1, None, None] * cam.activations[:, 1]).clamp(min=0)
    assert torch.allclose(cam.maps(only), alone)
    with pytest.raises(RelevanceError, match=r"attention is \(2, 3\).*\(2, 4\)"):
        cam.maps(weights[:, :3])


def test_the_explainer_gives_the_same_whatever_engine_is_on_the_model() -> None:
    x = images()
    expected = grad_cam(small_net(), x, None, "2")
    for engine in ("zennit", "dataflow"):
        model = small_net()
        with Explainer(model, engine=engine) as explainer:
            before = explainer.lrp(x)
            cam = explainer.grad_cam(x, None, "2")
            assert torch.allclose(cam.maps(), expected.maps(), atol=1e-12), engine
            assert torch.equal(explainer.lrp(x), before), engine
        assert not any(m._forward_hooks for m in model.modules())


def test_the_model_is_left_as_it_was() -> None:
    model = small_net().train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    grad_cam(model, images(), None, "2")
    assert model.training and not any(m._forward_hooks for m in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())


def test_layers_without_a_map_or_without_influence_are_refused() -> None:
    with pytest.raises(RelevanceError, match=r"layer 6 gives \(3, 6\)"):
        grad_cam(small_net(), images(), None, "6")
    with pytest.raises(RelevanceError, match="no layer 'conv9'"):
        grad_cam(small_net(), images(), None, "conv9")

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.aside = small_net(), nn.Conv2d(3, 2, 1).double()

        def forward(self, x: Tensor) -> Tensor:
            self.aside(x)
            logits: Tensor = self.net(x)
            return logits

    with pytest.raises(RelevanceError, match="no influence"):
        grad_cam(Idle(), images(), None, "aside")

    shared = nn.Conv2d(3, 3, 1).double()
    twice = nn.Sequential(shared, nn.ReLU(), shared, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(RelevanceError, match="gave 2 tensors"):
        grad_cam(twice, images(), None, "0")


def test_equal_maps_agree_and_so_do_maps_that_rank_places_alike() -> None:
    maps = torch.rand(4, 8, 8, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(agreement(maps, maps).float(), torch.ones(4))
    assert torch.allclose(agreement(maps, 7 * maps**3).float(), torch.ones(4))
    assert torch.allclose(agreement(maps, 1 - maps).float(), -torch.ones(4))


def test_independent_maps_agree_about_nothing_on_average() -> None:
    generator = torch.Generator().manual_seed(4)
    a, b = torch.randn(2, 200, 8, 8, generator=generator)
    values = agreement(a, b)
    assert abs(float(values.mean())) < 0.03  # standard error 0.009
    assert values.min() >= -1 and values.max() <= 1


def test_agreement_is_over_positive_parts_on_the_coarser_maps_grid() -> None:
    coarse = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    fine = functional.interpolate(coarse[:, None], (8, 8), mode="nearest")[:, 0]
    fine[:, :4, :4] -= 100  # evidence against the class, where the other map has none for it
    assert float(agreement(coarse, fine)) == pytest.approx(1)
    # By hand: ranks 1 2 3 4 against 2 1 3 4, 1 - 6 * 2 / (4 * 15).
    other = torch.tensor([[[1.0, 0.5], [2.0, 9.0]]])
    assert float(agreement(coarse, other)) == pytest.approx(0.8)


def test_agreement_with_an_empty_map_is_unknown_and_other_batches_are_refused() -> None:
    maps = torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(5))
    empty = maps.clone()
    empty[0] = -empty[0]
    values = agreement(maps, empty)
    assert torch.isnan(values[0]) and float(values[1]) == pytest.approx(1)
    with pytest.raises(RelevanceError, match="of the same N"):
        agreement(maps, maps[:1])
