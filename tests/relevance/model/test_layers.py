"""The concept layer is the last map that every path to the logits passes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from melaudit.errors import RelevanceError
from melaudit.relevance.model.layers import channel_sums, channels, concept_layer, find_layer


def conv(a: int, b: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(a, b, size, padding=size // 2)


class Block(nn.Module):
    """A residual block with an in-place ReLU used twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(width, width), conv(width, width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.relu(self.conv1(x)))
        out += x
        return self.relu(out)  # type: ignore[no-any-return]


class ResidualNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.stage = nn.Sequential(Block(8), Block(8))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.stage(self.stem(x))).flatten(1))  # type: ignore[no-any-return]


class Dense(nn.Module):
    """Every layer sees all before it, and a skip goes from the stem right to the head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = conv(3, 4), conv(4, 4), conv(8, 4)
        self.mix = conv(12, 6, 1)
        self.side = conv(6, 6)
        self.head = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = torch.cat([x, self.one(x).relu()], 1)
        y = torch.cat([y, self.two(y).relu()], 1)
        z = self.mix(y)
        z = z + self.side(z)
        pooled = torch.cat([z, x], 1).mean((2, 3))
        return self.head(pooled)  # type: ignore[no-any-return]


class Split(nn.Module):
    """One tensor is split; half of it goes round the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.part, self.last = conv(3, 8), conv(4, 4), conv(8, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.stem(x).relu().chunk(2, 1)
        x = torch.cat([a, self.part(b)], 1)
        x = self.last(x).relu()
        return self.head(x.amax((2, 3)))  # type: ignore[no-any-return]


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.block(tokens).mean(1))  # type: ignore[no-any-return]


class ChannelsLast(nn.Module):
    """As windowed transformers do: maps as (N, h, w, D), turned round again at the end or not."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16)
        self.turn = nn.Identity()
        self.turned = turned
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.patches(x).permute(0, 2, 3, 1))
        if self.turned:
            return self.head(self.turn(x.permute(0, 3, 1, 2)).mean((2, 3)))  # type: ignore[no-any-return]
        return self.head(x.mean((1, 2)))  # type: ignore[no-any-return]


def image(size: int = 16) -> Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def is_gate(model: nn.Module, name: str) -> bool:
    """Tell, as an oracle, whether cutting off the layer's output cuts off logits from the image."""
    handle = find_layer(model, name).register_forward_hook(lambda m, i, o: o.detach())
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    logits = model(image().requires_grad_())
    handle.remove()
    return not logits.requires_grad


@pytest.mark.parametrize(
    ("model", "layer"), [(ResidualNet(), "stage"), (Dense(), "stem"), (Split(), "last")]
)
def test_the_layer_is_the_last_one_that_cuts_all_paths(model: nn.Module, layer: str) -> None:
    assert concept_layer(model, image()) == layer
    assert is_gate(model, layer)
    called: list[str] = []
    for name, module in model.named_modules():
        module.register_forward_hook(lambda m, i, o, name=name: called.append(name))
    model(image())
    later = called[called.index(layer) + 1 :]
    maps = [n for n in later if n and isinstance(find_layer(model, n), nn.Conv2d)]
    assert not any(is_gate(model, name) for name in maps)


def test_a_block_is_taken_after_its_sum_and_not_the_convolution_inside() -> None:
    assert not is_gate(ResidualNet(), "stage.1.conv2")
    assert concept_layer(ResidualNet(), image()) == "stage"


def test_a_pooling_is_no_concept_layer_but_what_it_pools_is() -> None:
    model = nn.Sequential(
        nn.Sequential(conv(3, 8), nn.ReLU(inplace=True)),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(128, 2),
    )
    assert concept_layer(model, image()) == "0"


def test_class_maps_are_no_concepts() -> None:
    body = nn.Sequential(conv(3, 8), nn.ReLU())
    head = nn.Sequential(conv(8, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert concept_layer(nn.Sequential(body, head), image()) == "0"


def test_an_inplace_relu_outside_the_module_does_not_hide_it() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.head = conv(3, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = functional.relu(self.features(x), inplace=True)
            return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]

    assert concept_layer(Net(), image()) == "features"


@pytest.mark.parametrize(
    ("model", "layer"), [(Tokens(), "block"), (ChannelsLast(turned=False), "norm")]
)
def test_tokens_are_a_layer_with_their_last_dimension_for_channels(
    model: nn.Module, layer: str
) -> None:
    assert concept_layer(model, image()) == layer
    assert channels(model, image(), layer) == 16


class OfClassToken(nn.Module):
    """Blocks of which only the first token is read, as in most transformers of images."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True) for _ in range(blocks))
        )
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.blocks(tokens)[:, 0])  # type: ignore[no-any-return]


def test_the_layer_of_tokens_is_before_the_last_block_where_one_token_alone_is_read() -> None:
    model = OfClassToken(3)
    assert concept_layer(model, image()) == "blocks.1"
    nn.init.zeros_(model.head.weight)  # as torchvision's transformers are before training
    assert concept_layer(model, image()) == "blocks.1"


def test_tokens_of_which_one_alone_is_read_are_refused_with_what_to_do() -> None:
    with pytest.raises(RelevanceError, match=r"tokens \(1, .*--layer"):
        concept_layer(OfClassToken(1), image())


def test_maps_turned_back_from_channels_last_are_found() -> None:
    assert concept_layer(ChannelsLast(turned=True), image()) == "turn"


def test_a_network_without_maps_is_refused() -> None:
    model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(768, 4), nn.Linear(4, 2))
    with pytest.raises(RelevanceError, match=r"no layer gives a feature map .*--layer"):
        concept_layer(model, image())


def test_known_architectures_get_the_layer_their_users_would_name() -> None:
    expected = {
        "resnet18": "layer4",
        "mobilenet_v3_small": "features",
        "shufflenet_v2_x0_5": "conv5",
    }
    found = {name: concept_layer(models.get_model(name), image(64)) for name in expected}
    assert found == expected


def test_the_attention_model_has_its_layer_before_the_attention(shared: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "attention_model", shared / "models" / "resnet18_attention.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert concept_layer(module.build(), image(128)) == "backbone.layer4"


def test_looking_leaves_the_model_as_it_was() -> None:
    model = ResidualNet().train()
    model.stage.eval()
    model.stem.weight.requires_grad_(False)
    concept_layer(model, image())
    assert model.training and not model.stage.training
    assert not model.stem.weight.requires_grad and model.head.weight.requires_grad
    assert all(not m._forward_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_channels_are_counted_where_there_are_any() -> None:
    assert channels(ResidualNet(), image(), "stage.0") == 8
    assert channels(ResidualNet(), image(), "head") == 2
    volumes = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Flatten(), nn.Linear(768, 2))
    with pytest.raises(RelevanceError, match="need channels"):
        channels(volumes, image(), "0")


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(RelevanceError, match=r"'stage.2'; did you mean stage"):
        find_layer(ResidualNet(), "stage.2")
    with pytest.raises(RelevanceError, match="no layer ''"):
        find_layer(ResidualNet(), "")


def test_channel_sums_are_over_space() -> None:
    relevance = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert channel_sums(relevance, "a").tolist() == [[66.0, 210.0]]
    assert channel_sums(relevance[0, 0], "a").shape == (3, 4)
    tokens = relevance[0].mT  # two images of four tokens, three channels
    assert channel_sums(tokens, "a").tolist() == [[6.0, 22.0, 38.0], [54.0, 70.0, 86.0]]
    with pytest.raises(RelevanceError, match=r"layer a gives \(1, 1, 2, 3, 4\)"):
        channel_sums(relevance[None], "a")
