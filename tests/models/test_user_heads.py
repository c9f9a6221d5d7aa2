"""Heads of the user's own and what lies beside the weights: rebuilt, left out, or refused."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from melaudit.models.architectures import load_model
from tests.models.made_up_models import assert_same_function, built, refusal, resnet18, saved, state


def with_head(name: str, place: str, head: nn.Module) -> nn.Module:
    model = copy.deepcopy(resnet18()) if name == "resnet18" else built(name)
    owner, _, last = place.rpartition(".")
    setattr(model.get_submodule(owner), last, head)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "place", "head"),
    [
        ("resnet18", "fc", nn.Sequential(nn.Dropout(), nn.Linear(512, 2))),
        ("resnet18", "fc", nn.Sequential(nn.Linear(512, 2))),
        ("resnet18", "fc", nn.Linear(512, 2, bias=False)),
        ("resnet18", "fc", nn.Sequential(nn.Sequential(nn.Dropout(), nn.Linear(512, 2)))),
        ("mobilenet_v2", "classifier", nn.Linear(1280, 2)),
        ("mobilenet_v2", "classifier.1", nn.Sequential(nn.Dropout(), nn.Linear(1280, 2))),
        ("mobilenet_v3_small", "classifier", nn.Sequential(nn.Dropout(), nn.Linear(576, 2))),
    ],
)
def test_a_head_of_one_linear_layer_is_recognised(
    tmp_path: Path, name: str, place: str, head: nn.Module
) -> None:
    model = with_head(name, place, head)
    loaded = load_model(saved(tmp_path, model.state_dict()))
    assert (loaded.architecture, loaded.outputs) == (f"torchvision {name}", 2)
    assert any("head" in note for note in loaded.notes)
    assert_same_function(loaded.model, model)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ((nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 2)), "Linear, ReLU, Linear"),
        (
            (nn.Dropout(), nn.Linear(512, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 2)),
            "Linear, ReLU, Linear",
        ),
        (
            (nn.Linear(512, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 2)),
            "Linear, BatchNorm1d, ReLU, Linear",
        ),
        (
            (nn.Linear(512, 64), nn.ReLU(), nn.LayerNorm(64), nn.Linear(64, 2, bias=False)),
            "Linear, ReLU, LayerNorm, Linear",
        ),
        ((nn.Linear(512, 64), nn.Linear(64, 2)), "Linear, Linear"),
    ],
)
def test_a_head_of_several_layers_is_rebuilt_and_what_was_assumed_is_said(
    tmp_path: Path, head: tuple[nn.Module, ...], said: str
) -> None:
    model = with_head("resnet18", "fc", nn.Sequential(*head))
    loaded = load_model(saved(tmp_path, model.state_dict()))
    assert any(f"taken to be {said}. " in n and "--factory" in n for n in loaded.notes)
    assert_same_function(loaded.model, model)


def test_a_head_that_names_do_not_tell_is_refused(tmp_path: Path) -> None:
    head = nn.ModuleDict({"hidden": nn.Linear(512, 64), "last": nn.Linear(64, 2)})
    message = refusal(saved(tmp_path, with_head("resnet18", "fc", head).state_dict()))
    assert "closest is torchvision resnet18" in message
    assert "fc.last.weight" in message
    assert "--factory" in message


def test_states_of_metrics_and_normalisation_beside_the_weights_are_left_out(
    tmp_path: Path,
) -> None:
    model = resnet18()
    inner = {f"model.{k}": v for k, v in state(model).items()}
    beside = {
        "val_auroc.thresholds": torch.linspace(0, 1, 5),
        "train_acc.tp": torch.zeros(2),
        "model.class_weights": torch.ones(3),
        "mean": torch.full((1, 3, 1, 1), 0.5),
        "std": torch.full((1, 3, 1, 1), 0.25),
    }
    factory = "tests.models.test_user_heads:resnet18"
    path = saved(tmp_path, {"state_dict": {**inner, **beside}})
    for given in (None, factory):
        loaded = load_model(path, factory=given)
        assert_same_function(loaded.model, model)
        said = " ".join(loaded.notes)
        assert "val_auroc.thresholds, train_acc.tp" in said
        assert "--mean 0.5,0.5,0.5 --std 0.25,0.25,0.25" in said


class Weighted(nn.Module):
    """A model that holds the class weights of its loss, and normalises its images itself."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4, 2)
        self.register_buffer("class_weights", torch.tensor([1.0, 3.0]))
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.net(x - self.get_buffer("mean")))  # type: ignore[no-any-return]


def test_buffers_that_the_model_has_itself_are_loaded_or_kept(tmp_path: Path) -> None:
    model = Weighted()
    factory = "tests.models.test_user_heads:Weighted"
    model.get_buffer("mean").fill_(0.25)
    loaded = load_model(saved(tmp_path, state(model)), factory=factory)
    assert_same_function(loaded.model, model)
    assert loaded.notes == ()
    tensors = {k: v for k, v in state(model).items() if k != "class_weights"}
    (note,) = load_model(saved(tmp_path, tensors), factory=factory).notes
    assert "class_weights" in note and "kept" in note


def test_a_head_that_cannot_run_is_refused(tmp_path: Path) -> None:
    model = with_head("convnext_tiny", "classifier", nn.Sequential(nn.Flatten(), nn.Linear(768, 2)))
    assert "cannot be rebuilt" in refusal(saved(tmp_path, model.state_dict()))


def test_a_feature_extractor_is_no_classifier(tmp_path: Path) -> None:
    tensors = {k: v for k, v in state(resnet18()).items() if not k.startswith("fc.")}
    message = refusal(saved(tmp_path, tensors))
    assert "2 tensors are missing (fc.weight, fc.bias)" in message


def test_a_head_of_zeros_is_noted(tmp_path: Path) -> None:
    tensors = {k: v * (not k.startswith("fc.")) for k, v in state(resnet18()).items()}
    loaded = load_model(saved(tmp_path, tensors))
    assert any("all zero" in note for note in loaded.notes)
