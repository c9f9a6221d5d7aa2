"""Heads of attention as channels of a layer: which there are, what they hold, and their maps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import SwinTransformer, VisionTransformer

from melaudit.errors import RelevanceError
from melaudit.relevance import Explainer
from melaudit.relevance.dataflow.engine import DataflowEngine
from melaudit.relevance.engines.composites import find_composite
from tests.relevance.dataflow.small_models import PLAIN

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
HEADS = "mix:heads"


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v)


def by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1) / 2).softmax(-1) @ v


def by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.einsum("bhqd,bhkd->bhqk", q, k).div(2).softmax(-1)
    return torch.einsum("bhqk,bkhd->bqhd", weights, v.transpose(1, 2)).transpose(1, 2)


class Mix(nn.Module):
    """Attention of three heads of four values each, of which each has maps of its own."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend, self.num_heads = attend, 3
        self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.qkv(tokens).unflatten(2, (3, 3, 4)).permute(2, 0, 3, 1, 4)
        return self.out(self.attend(*parts.unbind(0)).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Small(nn.Module):
    """One block on 2 x 2 patches."""

    def __init__(self, attend: Attend = fused) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.norm = nn.Conv2d(3, 12, 4, 4), nn.LayerNorm(12)
        self.mix, self.head = Mix(attend), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.head((tokens + self.mix(self.norm(tokens))).mean(1))  # type: ignore[no-any-return]


def pictures(side: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, side, side, generator=generator, dtype=torch.float64)


TARGET = torch.tensor([0, 2])


def through_head(model: Small, x: Tensor, target: Tensor, head: int) -> Tensor:
    """An oracle: gradient x input along the one way that leads through a head's values.

    Attention weights and the norm's deviation are constants, all other ways are cut.
    """
    x = x.clone().requires_grad_()
    tokens = model.patches(x).flatten(2).transpose(1, 2)
    centred = tokens - tokens.mean(-1, keepdim=True)
    scale = (centred.pow(2).mean(-1, keepdim=True) + model.norm.eps).sqrt().detach()
    normed = centred / scale * model.norm.weight + model.norm.bias
    q, k, v = model.mix.qkv(normed).unflatten(2, (3, 3, 4)).permute(2, 0, 3, 1, 4).unbind(0)
    weights = (q @ k.transpose(-2, -1) / 2).softmax(-1).detach()
    mixed = weights @ v
    only = torch.stack([m if h == head else m.detach() for h, m in enumerate(mixed.unbind(1))], 1)
    added = model.mix.out(only.transpose(1, 2).flatten(2))
    logits = model.head((tokens.detach() + added).mean(1))
    (gradient,) = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), x)
    return (x * gradient).detach().sum(1)


@pytest.mark.parametrize("attend", [fused, by_hand, by_einsum])
def test_the_map_of_a_head_is_what_passes_through_its_values_and_no_others(attend: Attend) -> None:
    model = Small(attend).double()
    with DataflowEngine(model, PLAIN, 3) as engine:
        assert engine.heads(pictures()) == {HEADS: 3}
        maps = engine.conditional(pictures(), TARGET, HEADS, [0, 1, 2])
    for head in range(3):
        expected = through_head(model, pictures(), TARGET, head)
        assert torch.allclose(maps[:, head], expected, rtol=1e-6, atol=1e-12)
    alike = functional.cosine_similarity(maps[:, 0].flatten(1), maps[:, 1].flatten(1))
    assert alike.abs().max() < 0.9


@pytest.mark.parametrize("composite", ["gamma_0.25", "gamma_0.25_attnlrp", "epsilon_plus_flat"])
def test_the_heads_hold_the_relevance_of_their_layer(composite: str) -> None:
    """What the projection behind them absorbs is in the ledger, under its own name."""
    model = Small().double()
    with DataflowEngine(model, find_composite(composite), 3) as engine:
        found = engine.attribute(pictures(), TARGET, [HEADS, "mix"])
        whole = found.concepts["mix"].sum(1)
        assert found.concepts[HEADS].shape == (2, 3)
        held = found.concepts[HEADS].sum(1) + found.absorbed_by["mix.out"]
        assert torch.allclose(held, whole, rtol=1e-6)
        maps = engine.run(pictures(), TARGET, [HEADS]).conditional(HEADS, torch.eye(3))
    assert torch.allclose(maps.relevance, found.concepts[HEADS])
    assert maps.absorbed is not None
    assert torch.allclose(maps.maps.sum((2, 3)) + maps.absorbed, maps.relevance, rtol=1e-6)


def test_heads_of_torchs_own_attention_and_of_windows_are_told_apart() -> None:
    torch.manual_seed(0)
    swin = SwinTransformer([4, 4], 8, [1, 1], [2, 4], [4, 4], num_classes=3).eval()
    x = pictures(32).float()
    with Explainer(swin, composite="gamma_0.25") as explainer:
        (first, last), numbers = zip(*explainer.heads(x).items(), strict=True)
        assert numbers == (2, 4)
        together = explainer.concepts(x, TARGET, [first, last])
        alone = [explainer.concepts(x[i : i + 1], TARGET[i : i + 1], [first]) for i in range(2)]
        maps = explainer.crp(x, TARGET, last, [0, 3])
    assert together[first].shape == (2, 2) and maps.shape == (2, 2, 32, 32)
    apart = torch.cat([each[first] for each in alone])
    assert torch.allclose(together[first], apart, rtol=1e-3, atol=1e-6)
    vit = VisionTransformer(32, 8, 2, 4, 8, 16, num_classes=3).eval()
    nn.init.normal_(vit.heads.head.weight)  # zero before training
    with Explainer(vit, composite="gamma_0.25") as explainer:
        names = explainer.heads(x)
        assert set(names.values()) == {4} and len(names) == 2
        (of_first, _) = names
        assert of_first == "encoder.layers.encoder_layer_0.self_attention:heads"
        assert explainer.attention(x, of_first) is None
        assert explainer.places(x, TARGET, of_first, torch.ones(32, 32)).inside.shape == (2, 4)


class WithImages(Mix):
    """Counts heads with the images, and blocks of tokens where others count heads."""

    def forward(self, tokens: Tensor) -> Tensor:
        n = len(tokens)
        parts = self.qkv(tokens).reshape(n, 2, 2, 3, 3, 4).permute(3, 0, 4, 1, 2, 5).flatten(1, 2)
        mixed = self.attend(*parts.unbind(0)).unflatten(0, (n, 3)).permute(0, 2, 3, 1, 4)
        return self.out(mixed.reshape(n, 4, 12))  # type: ignore[no-any-return]


def test_what_counts_something_else_is_not_taken_for_heads() -> None:
    model = Small()
    model.mix = WithImages(fused)
    with Explainer(model) as explainer:
        assert explainer.heads(pictures().float()) == {}
        with pytest.raises(RelevanceError, match="no attention whose heads can be told"):
            explainer.crp(pictures().float(), TARGET, HEADS, [0])


def test_a_name_without_heads_and_an_engine_that_sees_none_are_refused_with_a_remedy() -> None:
    x = pictures().float()
    with Explainer(Small()) as explainer:
        with pytest.raises(RelevanceError, match=r"norm has no attention.* such as mix:heads"):
            explainer.concepts(x, TARGET, ["norm:heads"])
        with pytest.raises(RelevanceError, match="did you mean"):
            explainer.concepts(x, TARGET, ["mixx:heads"])
        with pytest.raises(RelevanceError, match="channels 0 to 2, not 3"):
            explainer.crp(x, TARGET, HEADS, [3])
    with Explainer(Small(), engine="gradient_x_input") as explainer:
        assert explainer.heads(x) == {}
        with pytest.raises(RelevanceError, match="--engine dataflow"):
            explainer.concepts(x, TARGET, [HEADS])
