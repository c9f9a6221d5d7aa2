"""Models that a user's own code makes: by a factory, or at hand as a module."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from melaudit.errors import CheckpointError
from melaudit.models.architectures import from_module, load_model
from tests.models.made_up_models import refusal, saved, state

# --- factories -------------------------------------------------------------------------------

FACTORY = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(4, 2)
    def forward(self, x):
        features = self.backbone(x).flatten(1)
        return features[:, None], {"logits": self.head(features), "features": features}

class Bound(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 96 * 96, 1)
    def forward(self, x):
        return self.head(x.flatten(1)).squeeze(1)

def build():
    torch.manual_seed(0)
    return Net()

def bound():
    torch.manual_seed(0)
    return Bound()

def broken():
    raise RuntimeError("no such config")

def needs(argument):
    return Net()

def nothing():
    return 3

def fetching():
    from urllib.error import URLError
    raise URLError("Name or service not known")
"""


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    (tmp_path / "my_models.py").write_text(FACTORY)
    return tmp_path / "my_models.py"


def test_a_factory_in_a_file_builds_the_model(factory: Path) -> None:
    names: dict[str, Any] = {}
    exec(FACTORY, names)
    model = names["build"]()
    with torch.no_grad():
        model.head.bias.add_(1)
    path = saved(factory.parent, state(model))
    loaded = load_model(path, factory=f"{factory}:build")
    assert loaded.architecture == "factory my_models.py:build"
    assert (loaded.outputs, loaded.input_size, loaded.notes) == (2, None, ())
    assert torch.equal(loaded.model.get_parameter("head.bias"), model.head.bias)


def test_a_name_that_looks_like_a_prefix_is_kept_if_the_model_has_it(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from torch import nn\n"
        "class Own(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.backbone = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))\n"
        "        self.backbone[1] = nn.Linear(3 * 64 * 64, 2)\n"
        "    def forward(self, x):\n"
        "        return self.backbone(x)\n"
    )
    tensors = {"backbone.1.weight": torch.ones(2, 12288), "backbone.1.bias": torch.zeros(2)}
    for prefix in ("", "module."):
        path = saved(tmp_path, {prefix + k: v for k, v in tensors.items()})
        loaded = load_model(path, factory=f"{tmp_path / 'own.py'}:Own")
        assert loaded.input_size == 64
        assert torch.equal(loaded.model.get_parameter("backbone.1.weight"), torch.ones(2, 12288))


def test_a_factory_of_a_module_is_imported_from_the_working_folder(
    factory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.rename(factory.with_name("models_for_this_test.py"))
    monkeypatch.chdir(factory.parent)
    names: dict[str, Any] = {}
    exec(FACTORY, names)
    path = saved(factory.parent, state(names["bound"]()))
    loaded = load_model(path, factory="models_for_this_test:bound")
    assert (loaded.outputs, loaded.num_classes, loaded.input_size) == (1, 2, 96)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("my_models", "malformed"),
        (":build", "malformed"),
        ("{file}:", "malformed"),
        ("{file}:not a name", "malformed"),
        ("{file}:missing", "no missing.*build"),
        ("{file}:broken", "RuntimeError: no such config"),
        ("{file}:fetching", r"URLError.*build the network without them \(pretrained=False"),
        ("{file}:needs", "called without arguments: TypeError"),
        ("{file}:nothing", "returned a int"),
        ("/nowhere/at_all.py:build", "no file"),
        ("no_such_module_anywhere:build", "ModuleNotFoundError"),
    ],
)
def test_a_wrong_factory_is_refused_clearly(factory: Path, spec: str, said: str) -> None:
    path = saved(factory.parent, {"a.weight": torch.ones(1)})
    with pytest.raises(CheckpointError, match=said):
        load_model(path, factory=spec.format(file=factory))


def test_a_factory_is_loaded_strictly(factory: Path) -> None:
    path = saved(factory.parent, {"head.weight": torch.ones(2, 4), "head.bias": torch.ones(2)})
    message = refusal(path, factory=f"{factory}:build")
    assert "2 tensors are missing (backbone.0.weight, backbone.0.bias)" in message


# --- modules at hand -------------------------------------------------------------------------


def test_a_module_at_hand_is_described_and_left_as_it_is() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    model.double().train()
    before = copy.deepcopy(model.state_dict())
    loaded = from_module(model)
    assert (loaded.outputs, loaded.input_size, loaded.name) == (5, None, "Sequential")
    assert not loaded.model.training
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_the_digest_of_a_module_is_that_of_its_numbers() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2), nn.BatchNorm1d(2))
    first, again = from_module(model).sha256, from_module(copy.deepcopy(model)).sha256
    with torch.no_grad():
        model[1].bias.add_(1)  # type: ignore[operator]
    assert first == again != from_module(model).sha256


def test_a_module_without_logits_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no logits"):
        from_module(nn.Sequential(nn.Conv2d(3, 4, 3)))


def test_a_module_that_never_runs_says_its_own_reason() -> None:
    with pytest.raises(CheckpointError, match=r"150528 and 77x4.*--image-size"):
        from_module(nn.Sequential(nn.Flatten(), nn.Linear(77, 4)))


def test_the_size_that_the_user_gives_is_tried() -> None:
    loaded = from_module(nn.Sequential(nn.Flatten(), nn.Linear(3 * 40 * 40, 4)), 40)
    assert (loaded.outputs, loaded.input_size) == (4, 40)
