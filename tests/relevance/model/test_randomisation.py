"""Shuffling weights: what was learned goes, everything else stays."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from zennit.composites import EpsilonPlus

from melaudit.errors import RelevanceError
from melaudit.relevance import Explainer
from melaudit.relevance.model.randomisation import cascade


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def images(n: int = 3) -> Tensor:
    return torch.randn(n, 3, 10, 10, generator=torch.Generator().manual_seed(1))


def changed(a: nn.Module, b: nn.Module) -> list[str]:
    theirs = dict(b.named_parameters())
    return [name for name, p in a.named_parameters() if not torch.equal(p, theirs[name])]


def randomise(model: nn.Module, depth: float, seed: int) -> int:
    """Shuffle the weights down to one depth; return how many tensors."""
    (shuffled,) = cascade(model, (depth,), seed)
    return shuffled


@pytest.mark.parametrize(
    ("depth", "layers"), [(0.01, "7"), (0.25, "7"), (0.5, "37"), (0.75, "37"), (1.0, "037")]
)
def test_layers_are_shuffled_from_the_output_down(depth: float, layers: str) -> None:
    model = small_net()
    randomise(model, depth, seed=0)
    expected = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    # The BatchNorm was never trained: all its weights are 1, and shuffled they still are.
    assert changed(model, small_net()) == expected


def test_each_tensor_keeps_its_values_and_the_seed_decides_their_order() -> None:
    models = [small_net() for _ in range(4)]
    for model, seed in zip(models, (None, 1, 1, 2), strict=True):
        if seed is not None:
            assert randomise(model, 1.0, seed) == 8
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a.flatten().sort().values, b.flatten().sort().values)
    assert changed(models[1], models[2]) == []
    assert "0.weight" in changed(models[1], models[3])


def test_deeper_shuffles_leave_what_was_shuffled_before() -> None:
    model, steps = small_net(), []
    for shuffled in cascade(model, (0.01, 0.5, 1.0), seed=3):
        steps.append(copy.deepcopy(model))
        alone = small_net()
        assert randomise(alone, (0.01, 0.5, 1.0)[len(steps) - 1], 3) == shuffled
        assert changed(alone, model) == []
    assert changed(steps[0], steps[1]) == ["3.weight", "3.bias"]
    assert changed(steps[1], steps[2]) == ["0.weight", "0.bias"]


def test_a_weight_that_layers_share_stays_shared() -> None:
    first, second = nn.Linear(5, 5), nn.Linear(5, 5)
    second.weight = first.weight
    before = first.weight.detach().clone()
    randomise(nn.Sequential(first, second), 1.0, 0)
    assert first.weight is second.weight
    assert torch.equal(first.weight.flatten().sort().values, before.flatten().sort().values)


@pytest.mark.parametrize("depth", [0.0, -1.0, 1.5, float("nan")])
def test_impossible_depths_and_models_without_weights_are_refused(depth: float) -> None:
    with pytest.raises(RelevanceError, match="expected a share above 0"):
        randomise(small_net(), depth, 0)
    with pytest.raises(RelevanceError, match="no weights"):
        randomise(nn.ReLU(), 1.0, 0)


@pytest.mark.parametrize("engine", ["dataflow", "zennit"])
@pytest.mark.parametrize("composite", ["epsilon_plus", EpsilonPlus()])
def test_an_explainer_of_shuffled_weights_leaves_its_own_model_alone(
    engine: str, composite: str | EpsilonPlus
) -> None:
    model, x = small_net(), images()
    with Explainer(model, composite, engine) as explainer:
        before = explainer.lrp(x)
        maps = []
        for random in explainer.randomised((0.01, 1.0), 0):
            assert type(random._engine) is type(explainer._engine)
            maps.append(random.lrp(x))
            assert torch.equal(explainer.lrp(x), before)
            assert torch.equal(random.lrp(x), maps[-1])
        assert not torch.allclose(maps[0], maps[1])
        assert not any(torch.allclose(map_, before) for map_ in maps)
        # They are the maps of such a model, not of what an engine made of its weights.
        for depth, map_ in zip((0.01, 1.0), maps, strict=True):
            shuffled = small_net()
            randomise(shuffled, depth, 0)
            with Explainer(shuffled, "epsilon_plus", engine) as alone:
                assert torch.allclose(alone.lrp(x), map_, atol=1e-6)
    assert changed(model, small_net()) == []


@pytest.mark.parametrize("engine", ["dataflow", "zennit"])
def test_both_engines_explain_copies_with_the_same_rules(engine: str) -> None:
    x = images()
    with Explainer(small_net(), EpsilonPlus(), engine) as explainer:
        maps = explainer.lrp(x)
        both = explainer.both_engines(images())
        assert both is not None
        with both as (first, second):
            assert type(first._engine) is type(explainer._engine) is not type(second._engine)
            assert first.model is not second.model is not explainer.model is not first.model
            cosine = torch.cosine_similarity(first.lrp(x).flatten(1), second.lrp(x).flatten(1))
            assert cosine.min() > 0.9999
        assert torch.equal(explainer.lrp(x), maps)


def test_a_model_that_cannot_be_copied_is_an_error_that_says_so() -> None:
    class Bound(nn.Sequential):
        def __deepcopy__(self, memo: object) -> nn.Module:
            raise TypeError("holds a file")

    with Explainer(Bound(*small_net())) as explainer:
        with pytest.raises(RelevanceError, match=r"cannot be copied.*holds a file"):
            next(explainer.randomised((1.0,), 0))
        both = explainer.both_engines(images())
        assert both is not None
        with pytest.raises(RelevanceError, match="cannot be copied"):
            both.__enter__()
