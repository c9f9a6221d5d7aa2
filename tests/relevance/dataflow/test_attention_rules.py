"""Attention under both rules: all spellings agree, the books close, and parameters have lines."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from melaudit.relevance import Explainer
from melaudit.relevance.dataflow.engine import DataflowEngine
from melaudit.relevance.engines.composites import EVERY_GAMMA, NAMES, find_composite
from melaudit.relevance.interface import Attribution, TransformerPart

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v)


def by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1) @ v


def by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("bhqk,bhkd->bhqd", functional.softmax(scores, -1), v)


def masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    mask = torch.zeros(q.shape[-2], k.shape[-2]).masked_fill(torch.eye(q.shape[-2]) > 0, -torch.inf)
    return functional.scaled_dot_product_attention(q, k, v, mask)


class Small(nn.Module):
    """A transformer of one block on 2 x 2 patches, with a class token and positions."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attend = attend
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        self.pos_embed = nn.Parameter(torch.randn(1, 5, 8))
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], 1) + self.pos_embed
        parts = self.qkv(self.norm(tokens)).reshape(len(x), 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
        mixed = self.attend(*parts.unbind(0)).transpose(1, 2).flatten(2)
        return self.head((tokens + self.out(mixed)).mean(1))  # type: ignore[no-any-return]


def pictures() -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def explained(model: nn.Module, composite: str) -> Attribution:
    with DataflowEngine(model.double().eval(), find_composite(composite), 3) as engine:
        return engine.attribute(pictures(), torch.tensor([0, 2]), [])


@pytest.mark.parametrize("composite", ["gamma_0.25", "gamma_0.25_attnlrp"])
@pytest.mark.parametrize("spelling", [by_hand, by_einsum])
def test_attention_has_the_same_relevance_however_it_is_written(
    composite: str, spelling: Attend
) -> None:
    expected, found = explained(Small(fused), composite), explained(Small(spelling), composite)
    assert torch.allclose(found.maps, expected.maps, rtol=1e-6)


@pytest.mark.parametrize("composite", EVERY_GAMMA)
@pytest.mark.parametrize("attend", [fused, masked])
def test_the_books_close_and_outputs_are_the_models_own(composite: str, attend: Attend) -> None:
    model = Small(attend).double()
    found = explained(model, composite)
    assert found.absorbed is not None and found.unknown == ()
    assert torch.allclose(found.maps.sum((1, 2)) + found.absorbed, found.start, rtol=1e-9)
    assert torch.allclose(found.logits, model(pictures()).detach())


def test_the_rules_differ_by_what_passes_queries_and_keys() -> None:
    """AttnLRP as its authors write it: gradient x input through the softmax, halves of products."""
    generator = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(1, 1, 3, 2, generator=generator).double() for _ in range(3))

    class Bare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return fused(*x.unsqueeze(2).unbind(1)).sum((2, 3))

    x = torch.cat([q, k, v], 1)
    with DataflowEngine(Bare(), find_composite("gamma_0.25_attnlrp"), 1) as engine:
        found = engine.attribute(x, torch.tensor([1]), []).maps
    # By hand, from the output down: R_A = A R / 2, through the softmax, then halves again.
    scores = q @ k.mT / math.sqrt(2)
    weights = scores.softmax(-1)
    of_weights = weights * v.sum(-1)[..., None, :] / 2
    of_scores = scores * (of_weights - weights * of_weights.sum(-1, keepdim=True))
    split = of_scores / scores / math.sqrt(2) / 2
    of_q, of_k = q * (split @ k), k * (split.mT @ q)
    of_v = v * weights.sum(-2)[..., None] / 2
    assert torch.allclose(found, (of_q + of_k + of_v)[:, 0], rtol=1e-5)


def test_positions_and_class_tokens_have_lines_of_their_own_in_the_ledger() -> None:
    found = explained(Small(fused), "gamma_0.25")
    assert {"pos_embed", "cls_token"} <= set(found.absorbed_by)
    assert found.absorbed_by["pos_embed"].abs().min() > 0


class Weighed(nn.Module):
    """Attention over channels, but no self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x).flatten(2)
        weights = features.mean(2).softmax(1)[:, None]
        return self.head((weights.mT * features).mean(2))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("model", "attention"),
    [(Small(fused), True), (Small(by_hand), True), (Small(by_einsum), True), (Weighed(), False)],
)
def test_attention_is_met_however_it_is_written(model: nn.Module, attention: bool) -> None:
    with Explainer(model.float()) as explainer:
        parts = explainer.transformer_parts(pictures().float())
    assert (TransformerPart.ATTENTION in parts) is attention


def test_a_channel_of_tokens_has_a_map_of_its_own_that_holds_its_relevance() -> None:
    x = pictures().float()
    target = torch.tensor([0, 2])
    with Explainer(Small(fused).float(), composite="gamma_0.25") as explainer:
        found = explainer.attribute(x, target, ["norm"])
        maps = explainer.crp(x, target, "patches", list(range(8)))
        whole = explainer.lrp(x, target)
    assert found.concepts["norm"].shape == (2, 8)
    assert maps.shape == (2, 8, 8, 8)
    alike = functional.cosine_similarity(maps[:, 0].flatten(1), maps[:, 1].flatten(1))
    assert alike.abs().max() < 0.99
    assert torch.allclose(maps.sum(1), whole, rtol=1e-3, atol=1e-5)


def test_there_is_a_composite_for_each_gamma_and_rule() -> None:
    assert len(EVERY_GAMMA) == 6 and set(EVERY_GAMMA) <= set(NAMES)
