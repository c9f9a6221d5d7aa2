"""The data-flow engine: zennit is the oracle where zennit holds, the ledger everywhere."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from zennit.attribution import Gradient
from zennit.composites import EpsilonPlusFlat, LayerMapComposite
from zennit.torchvision import ResNetCanonizer, VGGCanonizer

from melaudit.errors import RelevanceError
from melaudit.relevance.dataflow.engine import DataflowEngine
from melaudit.relevance.engines.composites import NAMES, find_composite
from melaudit.relevance.interface import Attribution

PLAIN = LayerMapComposite([])
"""A composite without rules: LRP-0 everywhere."""


@pytest.fixture(scope="module", params=["resnet18", "vgg11_bn"])
def known(request: pytest.FixtureRequest) -> nn.Module:
    """Return a model that zennit's canonizers know, with BatchNorms that do something."""
    torch.manual_seed(0)
    model: nn.Module = torchvision.models.get_model(request.param, num_classes=5).eval()
    if request.param == "vgg11_bn":  # its wide head is nothing but slow
        model.classifier = nn.Sequential(nn.Linear(25088, 64), nn.ReLU(), nn.Linear(64, 5))
    randomise_norms(model)
    return model


@pytest.fixture(scope="module")
def x() -> Tensor:
    """Return three images of 64 x 64."""
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


TARGET = torch.tensor([0, 3, 1])


def randomise_norms(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)


def closure(found: Attribution) -> Tensor:
    """Return |relevance + absorbed - start| / |start|: (N,)."""
    assert found.absorbed is not None
    total = found.maps.flatten(1).sum(1) + found.absorbed
    return ((total - found.start) / found.start).abs()


@pytest.mark.parametrize("composite", NAMES)
def test_maps_are_zennits_where_zennit_knows_the_model(
    known: nn.Module, x: Tensor, composite: str
) -> None:
    canonizer = ResNetCanonizer if hasattr(known, "layer1") else VGGCanonizer
    if composite == "epsilon_gamma_box":  # where its denominators cancel it multiplies rounding
        known, x = copy.deepcopy(known).double(), x.double()
    oracle = find_composite(composite)
    oracle.canonizers = [canonizer()]
    with Gradient(known, oracle) as attributor:
        _, relevance = attributor(
            x.clone().requires_grad_(),
            lambda z: torch.zeros_like(z).scatter(
                1, TARGET[:, None], z.detach().gather(1, TARGET[:, None])
            ),
        )
    with DataflowEngine(known, find_composite(composite), 5, biased=True) as engine:
        found = engine.attribute(x, TARGET, [])
    expected = relevance.sum(1).flatten(1)
    similar = functional.cosine_similarity(found.maps.flatten(1), expected)
    assert similar.min() > 0.999
    assert closure(found).max() < 1e-3
    if composite != "epsilon_gamma_box":  # there zennit's stabilisers of sums are felt
        assert torch.allclose(found.maps.flatten(1).sum(1), expected.sum(1), rtol=5e-3)


def test_biases_that_share_their_relevance_out_leave_the_map_whole(
    known: nn.Module, x: Tensor
) -> None:
    sums = []
    for biased in (True, False):
        with DataflowEngine(known, EpsilonPlusFlat(), 5, biased=biased) as engine:
            found = engine.attribute(x, TARGET, [])
        head = sum(
            (v for k, v in found.absorbed_by.items() if k.startswith(("fc", "classifier"))),
            torch.zeros(3),
        )
        sums.append(found.maps.flatten(1).sum(1) / (found.start - head))
        assert closure(found).max() < 1e-4
    assert (sums[0] < 0.97).all()
    assert (sums[1] > 0.999).all()


def test_outputs_are_the_models_own(known: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        plain = known(x)
    with DataflowEngine(known, EpsilonPlusFlat(), 5) as engine:
        found = engine.attribute(x, TARGET, [])
    assert torch.allclose(found.logits, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))
    assert torch.equal(found.start, found.logits.gather(1, TARGET[:, None])[:, 0])


def test_a_map_does_not_depend_on_the_batch_it_was_in(known: nn.Module, x: Tensor) -> None:
    x = x.clone()
    x[2] = x[2].abs()
    with DataflowEngine(known, EpsilonPlusFlat(), 5) as engine:
        layer = "features" if hasattr(known, "features") else "layer4"
        together = engine.attribute(x, TARGET, [layer])
        for i in range(3):
            alone = engine.attribute(x[i : i + 1], TARGET[i : i + 1], list(together.concepts))
            scale = float(together.maps[i].abs().max())
            assert torch.allclose(together.maps[i], alone.maps[0], atol=1e-5 * scale)
            for layer, concepts in together.concepts.items():
                bound = 1e-5 * float(concepts[i].abs().max())
                assert torch.allclose(concepts[i], alone.concepts[layer][0], atol=bound)


def test_without_a_target_the_predicted_class_is_explained(known: nn.Module, x: Tensor) -> None:
    with DataflowEngine(known, EpsilonPlusFlat(), 5) as engine:
        free = engine.attribute(x, None, [])
        assert free.target is not None
        asked = engine.attribute(x, free.logits.argmax(1), [])
    assert torch.equal(free.maps, asked.maps)
    assert torch.equal(free.target, free.logits.argmax(1))


def test_concepts_are_relevance_at_the_layer_and_peaks_are_noted(
    known: nn.Module, x: Tensor
) -> None:
    layers = ["layer2", "layer4"] if hasattr(known, "layer1") else ["features.7", "features"]
    with DataflowEngine(known, EpsilonPlusFlat(), 5) as engine:
        run = engine.run(x, TARGET, layers)
        found = run.attribution()
    # What is put in comes out again between layer and input, less what is absorbed there.
    assert found.absorbed_by and set(found.concepts) == set(layers) == set(found.peaks)
    for layer in layers:
        total = found.concepts[layer].sum(1)
        assert torch.isfinite(found.peaks[layer]).all()
        assert (total.abs() <= 2 * found.start.abs() + 1e-3).all()
    above = ("fc", "classifier.0", "classifier.2")
    head = [taken for layer, taken in found.absorbed_by.items() if layer in above]
    at_head = found.start - sum(head, torch.zeros(3))
    assert torch.allclose(found.concepts[layers[-1]].sum(1), at_head, rtol=1e-4, atol=1e-5)


def test_conditional_maps_sum_to_their_channels_relevance_and_differ(
    known: nn.Module, x: Tensor
) -> None:
    layer = "layer3" if hasattr(known, "layer1") else "features.20"
    with DataflowEngine(known, EpsilonPlusFlat(), 5) as engine:
        run = engine.run(x, TARGET, [layer])
        whole = run.attribution(keep=True)
        strongest = whole.concepts[layer].abs().sum(0).topk(5).indices
        weights = torch.eye(whole.concepts[layer].shape[1])[strongest]
        conditional = run.conditional(layer, weights)
        maps = engine.conditional(x, TARGET, layer, strongest.tolist())
    assert conditional.absorbed is not None
    total = conditional.maps.sum((2, 3)) + conditional.absorbed
    assert torch.allclose(conditional.relevance, whole.concepts[layer][:, strongest], atol=1e-6)
    assert torch.allclose(total, conditional.relevance, atol=1e-4 * float(total.abs().max()))
    assert torch.allclose(maps, conditional.maps, atol=1e-6)
    flat = functional.normalize(conditional.maps.flatten(2), dim=2)
    alike = (flat @ flat.mT).abs()[:, ~torch.eye(5, dtype=torch.bool)]
    assert alike.max() < 0.9999


def test_the_conditional_maps_of_all_channels_add_up_to_the_map_without_the_skip() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Flatten())
    x = torch.randn(2, 3, 6, 6)
    target = torch.tensor([1, 5])
    with DataflowEngine(model, EpsilonPlusFlat()) as engine:
        whole = engine.attribute(x, target, []).maps
        parts = engine.conditional(x, target, "1", range(6))
    assert torch.allclose(parts.sum(1), whole, atol=1e-6)


def test_mixtures_are_sums_of_conditional_maps(known: nn.Module, x: Tensor) -> None:
    layer = "layer3" if hasattr(known, "layer1") else "features.20"
    with DataflowEngine(known, EpsilonPlusFlat(), 5) as engine:
        channels = engine.run(x, TARGET, [layer]).flow.taps[layer].channels
        weights = torch.zeros(2, channels)
        weights[0, :3] = torch.tensor([1.0, -2.0, 0.5])
        weights[1, 3] = 1
        mixed = engine.run(x, TARGET, [layer]).conditional(layer, weights).maps
        single = engine.conditional(x, TARGET, layer, [0, 1, 2, 3])
    expected = single[:, 0] - 2 * single[:, 1] + 0.5 * single[:, 2]
    assert torch.allclose(mixed[:, 0], expected, atol=1e-5 * float(expected.abs().max()))
    assert torch.allclose(mixed[:, 1], single[:, 3])


def test_nothing_goes_round_the_conditioned_layer() -> None:
    class Skipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.Conv2d(3, 3, 1, bias=False)
            self.head = nn.Linear(3, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head((x + self.branch(x)).mean((2, 3)))
            return y

    model = Skipped()
    x = torch.rand(1, 3, 4, 4)
    with DataflowEngine(model, PLAIN) as engine:
        run = engine.run(x, torch.tensor([1]), ["branch"])
        whole = run.attribution(keep=True)
        parts = run.conditional("branch", torch.eye(3))
    w = model.branch.weight.detach()[:, :, 0, 0]
    for channel in range(3):
        expected = model.head.weight[1, channel] * torch.einsum("c,chw->hw", w[channel], x[0]) / 16
        assert torch.allclose(parts.maps[0, channel], expected, atol=1e-6)
    skip = torch.einsum("c,chw->hw", model.head.weight[1], x[0]) / 16
    assert torch.allclose(parts.maps.sum(1)[0] + skip, whole.maps[0], atol=1e-6)


def test_of_a_linear_model_relevance_is_gradient_times_input() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 2, bias=False),
        nn.Flatten(),
        nn.Linear(16, 3, bias=False),
    ).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 2])
    (gradient,) = torch.autograd.grad(model(x)[range(2), target].sum(), x)
    with DataflowEngine(model, PLAIN) as engine:
        found = engine.attribute(x.detach(), target, [])
    assert torch.allclose(found.maps, (x * gradient).sum(1).detach(), rtol=1e-12, atol=1e-15)
    assert found.absorbed is not None and found.absorbed.abs().max() == 0
    assert torch.allclose(found.maps.sum((1, 2)), found.start, rtol=1e-12)


@pytest.mark.parametrize("name", ["resnet50_rings", "resnet18_attention_rings", "resnet18_clean"])
def test_trained_models_are_explained_whole_on_real_images(shared: Path, name: str) -> None:
    files = sorted((shared / "data" / "isic-rings").rglob("*.jpg"))[::300]
    if not files or not (shared / "models" / f"{name}.pt").exists():
        pytest.skip("needs the images and the models of the folder `shared`")
    x = torch.stack([pixels(file) for file in files])
    attention = name == "resnet18_attention_rings"
    if attention:
        scope = runpy.run_path(str(shared / "models" / "resnet18_attention.py"))
        model: nn.Module = scope["build"]()
    else:
        model = torchvision.models.get_model(name.split("_")[0], num_classes=2)
    model.load_state_dict(torch.load(shared / "models" / f"{name}.pt", weights_only=True))
    layer = "backbone.layer4" if attention else "layer4"
    with DataflowEngine(model, EpsilonPlusFlat(), 2) as engine:
        run = engine.run(x, None, [layer])
        found = run.attribution(keep=True)
        strongest = found.concepts[layer].abs().sum(0).topk(8).indices
        conditional = run.conditional(layer, torch.eye(found.concepts[layer].shape[1])[strongest])
    assert found.unknown == ()
    assert closure(found).max() < 1e-3
    sums = found.maps.sum((1, 2)) / found.start
    assert 0.95 < sums.median() < 1.05
    assert conditional.absorbed is not None
    left = conditional.maps.sum((2, 3)) + conditional.absorbed - conditional.relevance
    assert left.abs().max() < 1e-4 * conditional.relevance.abs().max()
    # The maps of different channels differ: they do not all go round the layer by the skip.
    flat = functional.normalize(conditional.maps.flatten(2), dim=2)
    alike = (flat @ flat.mT).abs()[:, ~torch.eye(8, dtype=torch.bool)]
    assert alike.mean() < 0.98


def pixels(file: Path) -> Tensor:
    """Read an image as the shared models want it."""
    image = Image.open(file).convert("RGB").resize((128, 128))
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean[:, None, None]) / std[:, None, None]


def test_the_model_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=5)
    randomise_norms(model)
    model.train()
    model.layer2.eval()
    model.fc.weight.requires_grad_(False)
    before = snapshot(model)
    x = torch.randn(1, 3, 32, 32)
    kept = x.clone()
    with DataflowEngine(model, EpsilonPlusFlat(), 5) as engine:
        assert not model.training
        engine.attribute(x, None, ["layer3"])
        engine.conditional(x, torch.tensor([1]), "layer3", [0])
        with pytest.raises(RelevanceError):
            engine.attribute(x, torch.tensor([7]), [])
    assert torch.equal(x, kept) and not x.requires_grad
    after = snapshot(model)
    assert before.keys() == after.keys()
    for name, (tensor, facts) in before.items():
        assert facts == after[name][1], name
        assert tensor is None or torch.equal(tensor, after[name][0]), name


def snapshot(model: nn.Module) -> dict[str, tuple[Any, Any]]:
    tensors = {
        name: (t.detach().clone(), (id(t), t.data_ptr(), t.requires_grad, t.grad is None))
        for name, t in (*model.named_parameters(), *model.named_buffers())
    }
    modules: dict[str, tuple[Any, Any]] = {}
    for name, module in model.named_modules():
        held = vars(module)
        hooks = [len(held[key]) for key in sorted(held) if isinstance(held[key], dict)]
        modules[f"module {name}"] = (None, (module.training, sorted(held), hooks))
    return {**tensors, **modules}


def test_changed_weights_are_noticed_within_a_run(x: Tensor) -> None:
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=5).eval()
    with DataflowEngine(model, EpsilonPlusFlat(), 5) as engine:
        first = engine.attribute(x, TARGET, []).maps
        with torch.no_grad():
            model.layer1[0].conv1.weight.neg_()
            model.layer2[0].bn1.weight.mul_(-0.5)
        changed = engine.attribute(x, TARGET, []).maps
    with DataflowEngine(model, EpsilonPlusFlat(), 5) as engine:
        anew = engine.attribute(x, TARGET, []).maps
    assert torch.allclose(changed, anew, atol=1e-6 * float(anew.abs().max()))
    assert not torch.allclose(changed, first, atol=1e-3 * float(anew.abs().max()))


def test_of_one_logit_class_1_is_explained_by_z_and_class_0_by_minus_z() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 1))
    x = torch.randn(1, 3, 6, 6).expand(2, -1, -1, -1)
    with DataflowEngine(model, EpsilonPlusFlat(), 2) as engine:
        found = engine.attribute(x, torch.tensor([1, 0]), [])
    assert torch.allclose(found.start, torch.tensor([1.0, -1.0]) * found.logits[:, 0])
    assert torch.allclose(found.maps[0], -found.maps[1])
    assert closure(found).max() < 1e-5


@pytest.mark.parametrize("composite", NAMES)
def test_rules_read_the_same_in_every_run(composite: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    told = []
    for _ in range(2):
        with DataflowEngine(model, find_composite(composite)) as engine:
            told.append(engine.operations(torch.randn(1, 3, 6, 6)))
    assert told[0] == told[1]
    assert not any(" at 0x" in rule for _, rule, _ in told[0])


def test_mistakes_are_named() -> None:
    torch.manual_seed(0)
    relu = nn.ReLU()
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 1), relu, nn.Flatten(), nn.Linear(64, 2)
    )
    x = torch.randn(1, 3, 6, 6)
    with DataflowEngine(model, EpsilonPlusFlat(), 2) as engine:
        with pytest.raises(RelevanceError, match="no layer 'nowhere'"):
            engine.attribute(x, None, ["nowhere"])
        with pytest.raises(RelevanceError, match="layer 1 runs 2 times"):
            engine.attribute(x, None, ["1"])
        with pytest.raises(RelevanceError, match="4 channels; asked for 9"):
            engine.conditional(x, torch.tensor([0]), "2", [9])
        with pytest.raises(RelevanceError, match=r"weights are of shape \(1, 3\)"):
            engine.run(x, torch.tensor([0]), ["2"]).conditional("2", torch.ones(1, 3))

    class Detached(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach().mean((2, 3))

    with (
        DataflowEngine(Detached(), EpsilonPlusFlat(), 3) as engine,
        pytest.raises(RelevanceError, match="do not depend on its input"),
    ):
        engine.attribute(x, None, [])
