"""Weights as training frameworks leave them: heads beside a trunk, MONAI, exports that are code."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import efficientnet_b0, mobilenet_v2, resnet18

from melaudit.errors import CheckpointError
from melaudit.models.architectures import load_model
from melaudit.relevance import Explainer
from tests.models.made_up_checkpoints import saved


class Wrapper(nn.Module):
    """A LightningModule's network: a trunk without its last layer, and a head of its own."""

    def __init__(self, backbone: nn.Module, place: str, head: nn.Module) -> None:
        super().__init__()
        setattr(backbone, place, nn.Identity())
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> Any:
        return self.head(self.backbone(x))


def wrapped(kind: str) -> Wrapper:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "linear":
            return Wrapper(resnet18(), "fc", nn.Linear(512, 3))
        if kind == "dropout":
            return Wrapper(
                mobilenet_v2(), "classifier", nn.Sequential(nn.Dropout(), nn.Linear(1280, 2))
            )
        layers = (nn.Linear(1280, 16), nn.ReLU(), nn.Linear(16, 2))
        return Wrapper(efficientnet_b0(), "classifier", nn.Sequential(*layers))


def images() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) - 0.5


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_model(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [("linear", "resnet18"), ("dropout", "mobilenet_v2"), ("stack", "efficientnet_b0")],
)
@pytest.mark.parametrize("outer", ["", "model."])
def test_a_head_beside_its_trunk_is_put_where_it_belongs(
    tmp_path: Path, kind: str, architecture: str, outer: str
) -> None:
    theirs = wrapped(kind).eval()
    state = {f"{outer}{key}": value for key, value in theirs.state_dict().items()}
    path = saved(tmp_path, {"state_dict": state, "pytorch-lightning_version": "2.5.0"})
    loaded = load_model(path)
    assert loaded.architecture == f"torchvision {architecture}"
    with torch.no_grad():
        assert torch.allclose(loaded.model(images()), theirs(images()), atol=1e-5)
    assert any(f"under '{outer}head'" in note for note in loaded.notes)
    assert not any("fit several" in note for note in loaded.notes)


def test_a_trunk_with_two_heads_is_refused(tmp_path: Path) -> None:
    theirs = wrapped("linear")
    theirs.second = nn.Linear(512, 5)
    assert "Give --factory" in refusal(saved(tmp_path, theirs.state_dict()))


def test_what_stands_beside_a_trunk_but_is_no_head_of_it_is_refused(tmp_path: Path) -> None:
    theirs = wrapped("linear")
    theirs.head = nn.Linear(100, 3)  # not as wide as the features of the trunk
    assert "Give --factory" in refusal(saved(tmp_path, theirs.state_dict()))


# --- MONAI -----------------------------------------------------------------------------------


def of_monai(channels: int = 3) -> nn.Module:
    nets = pytest.importorskip("monai.networks.nets")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = nets.DenseNet121(
            spatial_dims=2, in_channels=channels, out_channels=2, block_config=(6, 12, 24, 16)
        )
    return model.eval()


@pytest.mark.parametrize("channels", [3, 1])
def test_a_network_of_monai_is_recognised_and_explained(tmp_path: Path, channels: int) -> None:
    theirs = of_monai(channels)
    loaded = load_model(saved(tmp_path, theirs.state_dict()))
    assert (loaded.architecture, loaded.channels) == ("monai DenseNet121", channels)
    x = images()[:, :channels]
    with torch.no_grad():
        assert torch.allclose(loaded.model(x), theirs(x), atol=1e-5)
    with Explainer(loaded.model) as explainer:
        found = explainer.attribute(x, None, [])
        assert not found.unknown
        assert found.absorbed is not None
        assert torch.allclose(found.maps.sum((1, 2)) + found.absorbed, found.start, rtol=1e-3)


def test_without_monai_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "features.denseblock1.denselayer1.layers.norm1.weight"
    path = saved(tmp_path, {key: torch.ones(64), "class_layers.out.weight": torch.ones(2, 64)})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'melaudit[monai]'" in refusal(path)
    assert "pip install 'melaudit[monai]'" in refusal(path, arch="monai:DenseNet121")


def test_a_network_for_volumes_is_refused_as_one(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv3d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    assert "a network for volumes" in refusal(saved(tmp_path, net.state_dict()))


# --- exports that are code -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name", "said"),
    [
        ("fastai.learner", "Learner", "a fastai export, whose Learner is code"),
        ("ultralytics.nn.tasks", "ClassificationModel", "a checkpoint of Ultralytics"),
    ],
)
def test_an_export_that_is_code_is_refused_by_name_and_its_weights_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, said: str
) -> None:
    cls = type(name, (), {"__module__": module})
    made = ModuleType(module)
    setattr(made, name, cls)
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        known = made if depth == len(parts) else ModuleType(".".join(parts[:depth]))
        monkeypatch.setitem(sys.modules, ".".join(parts[:depth]), known)
    learner = cls()
    learner.model = network()
    message = refusal(saved(tmp_path, learner))
    assert said in message
    # What the message says to do.
    assert "model.state_dict()" in message
    assert "--factory" in message
    path = saved(tmp_path, learner.model.state_dict())
    loaded = load_model(path, factory=f"{__file__}:network", image_size=32)
    assert loaded.outputs == 2


class Both(nn.Module):
    """The pooling of fastai's heads."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.amax((2, 3), keepdim=True), x.mean((2, 3), keepdim=True)], 1)


def network() -> nn.Module:
    """Build a network as fastai does: a body and a head in a Sequential."""
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(body, nn.Sequential(Both(), nn.Flatten(), nn.Linear(8, 2, bias=False)))
