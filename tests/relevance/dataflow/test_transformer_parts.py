"""Which models have parts of a transformer, so that their composite is chosen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm.models
import torch
from torch import Tensor, nn
from torchvision.models import ConvNeXt, DenseNet, EfficientNet, ResNet, SwinTransformer
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.resnet import Bottleneck

from melaudit.relevance import Explainer
from melaudit.relevance.engines.composites import DEFAULT_COMPOSITE, candidates
from melaudit.relevance.interface import TransformerPart

BOTH = tuple(TransformerPart)
POSITIONS = (TransformerPart.LINEAR_ON_POSITIONS,)
NEITHER: tuple[TransformerPart, ...] = ()


class Squeezed(nn.Module):
    """Channels are weighed by linear layers, of which each sees the picture's means alone."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.weigh = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.features(x).permute(0, 2, 3, 1)
        gate = self.weigh(maps.mean((1, 2), keepdim=True)).sigmoid()
        return self.head((maps * gate).mean((1, 2)))  # type: ignore[no-any-return]


class WeighsChannels(nn.Module):
    """Channels are weighed by linear layers that see all positions of one channel."""

    def __init__(self, gated: bool) -> None:
        super().__init__()
        self.features, self.gated = nn.Conv2d(3, 4, 3), gated
        self.hidden, self.weigh, self.head = nn.Linear(900, 5), nn.Linear(5, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.features(x).flatten(2)
        hidden = self.hidden(maps)
        hidden = hidden.tanh() if self.gated else hidden.relu()
        return self.head((self.weigh(hidden).softmax(1) * maps).mean(2))  # type: ignore[no-any-return]


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[TransformerPart, ...]]] = {
    "resnet": (lambda: ResNet(Bottleneck, [1, 1, 1, 1], 3), NEITHER),
    "densenet": (lambda: DenseNet(4, (1, 1), 8, num_classes=3), NEITHER),
    "efficientnet": (
        lambda: EfficientNet([MBConvConfig(4, 3, 2, 8, 8, 1, 1.0, 1.0)], 0.0, num_classes=3),
        NEITHER,
    ),
    "squeezed by linear layers": (Squeezed, NEITHER),
    "channels weighed, gated": (lambda: WeighsChannels(True), NEITHER),
    "channels weighed": (lambda: WeighsChannels(False), NEITHER),
    "convnext": (lambda: ConvNeXt([CNBlockConfig(8, None, 2)], num_classes=3), POSITIONS),
    "convnext by convolutions": (
        lambda: timm.models.ConvNeXt(
            num_classes=3, depths=(1, 1, 1, 1), dims=(8, 8, 8, 8), conv_mlp=True
        ),
        POSITIONS,
    ),
    "resnet with GroupNorm": (
        lambda: ResNet(Bottleneck, [1, 1, 1, 1], 3, norm_layer=lambda c: nn.GroupNorm(2, c)),
        NEITHER,
    ),
    "mixer": (
        lambda: timm.models.MlpMixer(3, 32, patch_size=8, num_blocks=1, embed_dim=8),
        POSITIONS,
    ),
    "swin": (
        lambda: SwinTransformer([4, 4], 8, [1, 1], [1, 2], [4, 4], num_classes=3),
        BOTH,
    ),
    "deit": (
        lambda: timm.models.VisionTransformer(32, 8, embed_dim=8, depth=1, num_heads=2),
        BOTH,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_parts_of_a_transformer_are_met_where_they_are(name: str) -> None:
    make, parts = MODELS[name]
    torch.manual_seed(0)
    with Explainer(make().eval()) as explainer:
        assert explainer.transformer_parts(torch.randn(2, 3, 32, 32)) == parts


def test_an_engine_that_does_not_look_meets_nothing() -> None:
    with Explainer(Squeezed(), engine="gradient_x_input") as explainer:
        assert explainer.transformer_parts(torch.randn(1, 3, 32, 32)) == ()


def test_the_rule_of_attention_is_chosen_only_where_there_is_attention() -> None:
    without, with_it = candidates(attention=False), candidates(attention=True)
    assert without == ("gamma_0.05", "gamma_0.25", "gamma_1", DEFAULT_COMPOSITE)
    assert set(with_it) - set(without) == {f"gamma_{g}_attnlrp" for g in ("0.05", "0.25", "1")}
