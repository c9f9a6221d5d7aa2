"""One face for every engine: what it accepts, what it refuses, and how it looks after the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from zennit.composites import EpsilonPlus

from melaudit.errors import ConfigurationError, RelevanceError
from melaudit.relevance import Attribution, Explainer
from melaudit.relevance import explainer as explainer_module
from melaudit.relevance.batches import Chunks, join
from melaudit.relevance.engines.choice import choose_engine
from melaudit.relevance.engines.composites import NAMES, find_composite


def small_net(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, outputs),
    )


def images(n: int = 4) -> Tensor:
    return torch.randn(8, 3, 10, 10, generator=torch.Generator().manual_seed(1))[:n]


def explainer(model: nn.Module | None = None, **kwargs: object) -> Explainer:
    return Explainer(small_net() if model is None else model, engine="zennit", **kwargs)  # type: ignore[arg-type]


def test_one_pass_gives_logits_maps_and_concepts() -> None:
    model, x = small_net(), images()
    with explainer(model) as e:
        a = e.attribute(x, None, ["0", "2"])
    assert torch.allclose(a.logits, model(x), atol=1e-6)
    assert a.maps.shape == (4, 10, 10) and a.maps.dtype == torch.float32
    assert {k: v.shape for k, v in a.concepts.items()} == {"0": (4, 6), "2": (4, 8)}
    assert not any(t.requires_grad for t in (a.logits, a.start, a.maps, *a.concepts.values()))


def test_the_short_forms_agree_with_the_pass() -> None:
    x, target = images(), torch.tensor([2, 0, 1, 1])
    with explainer() as e:
        a = e.attribute(x, target, ["2"])
        assert torch.equal(e.lrp(x, target), a.maps)
        assert torch.equal(e.concepts(x, target, ["2"])["2"], a.concepts["2"])
        predicted = a.logits.argmax(1)
        assert torch.equal(e.lrp(x), e.lrp(x, predicted))
        strips = e.crp(x, target, "2", [1, 5, 7])
        assert strips.shape == (4, 3, 10, 10) and not strips.requires_grad
        assert torch.allclose(e.crp(x, None, "2", [5]), e.crp(x, predicted, "2", [5]))
        assert e.crp(x, target, "2", []).shape == (4, 0, 10, 10)


@pytest.mark.parametrize("engine", ["dataflow", "zennit", "gradient_x_input"])
def test_each_image_may_be_asked_for_channels_of_its_own(engine: str) -> None:
    x, target = images(), torch.tensor([2, 0, 1, 1])
    own = torch.tensor([[3, 0], [1, 7], [5, 5], [0, 2]])
    with Explainer(small_net(), engine=engine) as e:
        found = e.crp(x, target, "2", own)
        for i, channels in enumerate(own.tolist()):
            one = slice(i, i + 1)
            expected = e.crp(x[one], target[one], "2", channels)
            assert torch.allclose(found[one], expected, rtol=1e-4, atol=1e-6)
        e._chunks.fits = 1  # memory for one at a time
        assert torch.allclose(e.crp(x, target, "2", own), found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("engine", ["dataflow", "gradient_x_input"])
@pytest.mark.parametrize("fits", [None, 3])
def test_maps_and_places_may_be_asked_for_together(engine: str, fits: int | None) -> None:
    x, target, mask = images(), torch.tensor([2, 0, 1, 1]), torch.rand(10, 10)
    own = torch.tensor([[3], [1], [5], [0]])
    with Explainer(small_net(), engine=engine) as e:
        alone, places = e.crp(x, target, "2", own), e.places(x, target, "2", mask)
        e._chunks.fits = fits
        maps, together = e.looks(x, target, "2", own, mask)
    assert torch.allclose(maps, alone, rtol=1e-4, atol=1e-6)
    assert torch.allclose(together.inside, places.inside, rtol=1e-4, atol=1e-6)
    assert torch.allclose(together.outside, places.outside, rtol=1e-4, atol=1e-6)
    assert not maps.requires_grad and not together.inside.requires_grad


def test_the_start_is_the_logit_so_positive_relevance_is_evidence_for_the_target() -> None:
    x, model = images(), small_net()
    logits = model(x)
    with explainer(model) as e:
        for target in range(3):
            a = e.attribute(x, torch.full((4,), target), [])
            assert torch.allclose(a.start, logits[:, target], atol=1e-6)


def test_it_works_without_with_and_again_after_closing() -> None:
    model = small_net().train()
    e = explainer(model)
    modes = [model.training]
    first = e.lrp(images())
    modes.append(model.training)
    e.close()
    e.close()
    modes.append(model.training)
    assert modes == [True, False, True]
    assert all(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.equal(e.lrp(images()), first)
    e.close()


def test_hooks_a_user_adds_meanwhile_stay() -> None:
    model, seen = small_net(), []
    with explainer(model) as e:
        e.lrp(images())
        model[2].register_forward_hook(lambda m, i, o: seen.append(o.shape))
    model(images())
    assert seen == [(4, 8, 10, 10)]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_inside_no_grad_and_inference_mode(mode: type[torch.no_grad]) -> None:
    with explainer() as e:
        expected = e.lrp(images())
    with explainer() as e, mode():
        assert torch.equal(e.lrp(images() * 1), expected)


def test_autocast_does_not_reach_the_relevance() -> None:
    with explainer() as e:
        expected = e.lrp(images())
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(e.lrp(images()), expected)


def test_images_of_other_types_are_computed_in_the_models_precision() -> None:
    with explainer() as e:
        half = images().half()
        assert torch.equal(e.lrp(half), e.lrp(half.float()))
    with explainer(small_net().double()) as e:
        assert e.lrp(images()).dtype == torch.float64


def test_the_concept_layer_is_found_by_a_dry_run() -> None:
    assert explainer().choose_layer(images()) == "2"
    with explainer() as e:
        e.lrp(images())
        assert e.choose_layer(images()) == "2"


def test_the_description_names_everything_and_does_not_change() -> None:
    e = explainer(composite="epsilon_plus")
    before = e.describe()
    e.lrp(images())
    assert e.describe() == before
    assert all(part in before for part in ("epsilon_plus", "zennit 0.4", "no canonizer", "logit"))
    assert "\n" not in before
    assert "EpsilonPlus by" in explainer(composite=EpsilonPlus()).describe()
    e.close()


@pytest.mark.parametrize("name", NAMES)
def test_every_composite_that_is_named_works(name: str) -> None:
    with explainer(composite=name) as e:
        assert e.lrp(images()).isfinite().all()


def test_names_that_do_not_exist_are_answered_with_those_that_do() -> None:
    with pytest.raises(ConfigurationError, match=", ".join(NAMES)):
        explainer(composite="epsilon_minus")
    with pytest.raises(ConfigurationError, match="auto, none, resnet"):
        explainer(canonizer="magic")
    with pytest.raises(ConfigurationError, match="auto, dataflow, zennit"):
        Explainer(small_net(), engine="captum")


def test_naming_a_canonizer_chooses_the_engine_that_has_them() -> None:
    assert choose_engine("auto", "none") == "zennit"
    assert choose_engine("auto", "resnet") == "zennit"
    assert choose_engine("dataflow", "none") == "dataflow"
    assert choose_engine("zennit") == "zennit"


def test_the_box_rule_keeps_to_the_bounds_it_is_given() -> None:
    x, wide, narrow = images().clamp(-1, 1), (-3.0, 3.0), (-1.0, 1.0)
    maps = []
    for bounds in (wide, narrow):
        with explainer(composite="epsilon_gamma_box", bounds=bounds) as e:
            maps.append(e.lrp(x))
    assert not torch.allclose(maps[0], maps[1])
    assert find_composite(own := EpsilonPlus()) is own


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 10, 10), r"\(3, 10, 10\); expected a tensor \(N, C, H, W\)"),
        (torch.zeros(0, 3, 10, 10), r"\(0, 3, 10, 10\)"),
        ("image.png", "images are str"),
        (torch.zeros(1, 4, 10, 10), r"the model fails on an input of shape \(1, 4, 10, 10\)"),
    ],
)
def test_images_that_make_no_sense_are_refused(x: Tensor, message: str) -> None:
    model = small_net().train()
    with explainer(model) as e, pytest.raises(RelevanceError, match=message):
        e.lrp(x)
    assert model.training


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (torch.tensor([0, 1]), r"shape \(2,\) for 4 images"),
        (torch.tensor([0, 1, 2, 3]), "expected 0 to 2"),
        (torch.tensor([0, 1, 2, -1]), "expected 0 to 2"),
        (torch.zeros(4), "float32"),
    ],
)
def test_targets_that_make_no_sense_are_refused(target: Tensor, message: str) -> None:
    with explainer() as e, pytest.raises(RelevanceError, match=message):
        e.lrp(images(), target)


def test_channels_and_layers_that_do_not_exist_are_refused() -> None:
    with explainer() as e:
        with pytest.raises(RelevanceError, match="channels 0 to 7, not 8"):
            e.crp(images(), None, "2", [3, 8])
        with pytest.raises(RelevanceError, match="channels 0 to 7, not -1"):
            e.crp(images(), None, "2", [-1])
        with pytest.raises(RelevanceError, match="channels of 3 images for 4 images"):
            e.crp(images(), None, "2", torch.zeros(3, 1, dtype=torch.int64))
        with pytest.raises(RelevanceError, match="no layer 'layer4'"):
            e.attribute(images(), None, ["layer4"])


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_models_that_cannot_be_explained_are_refused_with_what_to_do() -> None:
    with pytest.raises(RelevanceError, match=r"float16.*model.float\(\)"):
        explainer(small_net().half())
    with pytest.raises(RelevanceError, match="TorchScript"):
        explainer(torch.jit.trace(small_net(), images()))
    with pytest.raises(RelevanceError, match=r"expected a torch.nn.Module"):
        Explainer("model.pt", engine="zennit")  # type: ignore[arg-type]
    with torch.inference_mode():
        unfollowable = small_net()
    with pytest.raises(RelevanceError, match="inference_mode"):
        explainer(unfollowable)
    squeezing = nn.Sequential(small_net(2), nn.Flatten(0))
    with explainer(squeezing) as e, pytest.raises(RelevanceError, match="squeezed away"):
        e.lrp(images())


def test_the_inside_of_a_compiled_model_is_explained() -> None:
    model = small_net()
    with explainer(model) as e:
        expected = e.lrp(images())
    with explainer(torch.compile(model)) as e:  # type: ignore[arg-type]
        assert torch.equal(e.lrp(images()), expected)


class Misleading(nn.Module):
    """BatchNorms registered in another order than they are used."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv2d(3, 6, 3)
        self.bn2 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3)
        self.bn1 = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 2)
        for norm in (self.bn1, self.bn2):
            assert norm.running_mean is not None
            nn.init.uniform_(norm.running_mean, -2, 2)
            nn.init.uniform_(norm.weight, 0.5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        return self.head(self.bn2(self.conv2(x)).relu().mean((2, 3)))  # type: ignore[no-any-return]


def test_a_canonizer_that_changes_the_model_is_noticed_and_undone() -> None:
    model = Misleading().eval()
    expected = model(images())
    with explainer(model) as e, pytest.raises(RelevanceError, match="another model"):
        e.lrp(images())
    assert torch.equal(model(images()), expected)
    with explainer(model, canonizer="none") as e:
        e.lrp(images())


class Scarce:
    """An engine that runs out of memory beyond two images."""

    name = "scarce"
    conserves = False

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __enter__(self) -> Scarce:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def attribute(self, x: Tensor, target: Tensor | None, layers: Sequence[str]) -> Attribution:
        self.sizes.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError("too much")
        means = x.mean((1, 2, 3))
        return Attribution(
            logits=small_net()(x).detach(),
            start=means,
            maps=x.sum(1),
            concepts=dict.fromkeys(layers, means[:, None]),
            unknown=("erfinv",) if len(self.sizes) % 2 else (),
            target=target,
        )

    def conditional(self, x: Tensor, target: Tensor, layer: str, channels: Sequence[int]) -> Tensor:
        if len(x) > 2:
            torch.empty(2**45)  # what is said on the CPU
        return x[:, :1].expand(-1, len(channels), -1, -1) * target[:, None, None, None]

    def within(self, x: Tensor, target: Tensor, layer: str, masks: Tensor) -> Tensor:
        return x.new_zeros(len(x), len(masks), 1)

    def operations(self, x: Tensor) -> tuple[tuple[str, str, int], ...]:
        return ()


def test_a_batch_that_does_not_fit_is_taken_in_chunks_and_so_are_those_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, x = Scarce(), images(7)
    monkeypatch.setattr(explainer_module, "build_engine", lambda *_: engine)
    e = explainer()
    target = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    with e:
        a = e.attribute(x, target, ["2"])
        assert torch.equal(a.maps, x.sum(1)) and a.target is not None
        assert torch.equal(a.target, target)
        assert a.concepts["2"].shape == (7, 1) and a.unknown == ("erfinv",)
        assert a.absorbed is None
        engine.sizes.clear()
        e.attribute(x, None, [])
        assert max(engine.sizes) <= 2
        strips = e.crp(x, target, "2", [0, 1])
        assert torch.equal(strips[:, 0], x[:, 0] * target[:, None, None])


def test_one_image_that_does_not_fit_is_an_error() -> None:
    def never(x: Tensor, target: Tensor | None) -> Tensor:
        return torch.empty(2**45)

    def broken(x: Tensor, target: Tensor | None) -> Tensor:
        raise RuntimeError("another fault")

    with pytest.raises(torch.OutOfMemoryError, match="you tried to allocate"):
        Chunks()(images(), None, never)
    with pytest.raises(RuntimeError, match="another fault"):
        Chunks()(images(), None, broken)


def test_joined_chunks_keep_what_was_absorbed() -> None:
    a = Attribution(
        torch.ones(1, 2), torch.ones(1), torch.ones(1, 4, 4), {"a": torch.ones(1, 3)},
        absorbed=torch.tensor([0.5]), unknown=("x",), peaks={"a": torch.tensor([2.0])},
        absorbed_by={"a": torch.tensor([0.5])},
    )  # fmt: skip
    own = {"b": torch.tensor([0.25])}
    b = replace(a, absorbed=torch.tensor([0.25]), unknown=("y", "x"), absorbed_by=own)
    both = join([a, b])
    assert both.absorbed is not None and both.absorbed.tolist() == [0.5, 0.25]
    assert both.unknown == ("x", "y") and both.peaks["a"].tolist() == [2.0, 2.0]
    assert {k: v.tolist() for k, v in both.absorbed_by.items()} == {"a": [0.5, 0], "b": [0, 0.25]}
    assert both.target is None
    unknown = join([a, replace(b, absorbed=None, absorbed_by={})])
    assert unknown.absorbed is None and unknown.absorbed_by == {}
