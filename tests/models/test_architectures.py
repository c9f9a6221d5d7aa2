"""Loading models: recognised, and every weight in its place; or refused, and why."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from melaudit.errors import CheckpointError
from melaudit.models.architectures import LoadedModel, load_model
from melaudit.models.builders import Builder, candidates, resized
from melaudit.models.fitting import fit
from melaudit.models.libraries import torchvision
from melaudit.models.libraries.torchvision import torchvision_names
from melaudit.models.weightless import PLACEHOLDER_CLASSES
from tests.models.made_up_models import assert_same_function, built, refusal, resnet18, saved, state

# --- recognition -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5"),
        *("mnasnet0_5", "efficientnet_b0", "regnet_x_400mf", "densenet121", "convnext_tiny"),
        "swin_t",
    ],
)
def test_an_architecture_is_recognised_and_computes_what_it_did(tmp_path: Path, name: str) -> None:
    model = built(name)
    loaded = load_model(saved(tmp_path, model.state_dict()))
    assert (loaded.architecture, loaded.outputs) == (f"torchvision {name}", 3)
    assert loaded.num_classes == 3
    assert loaded.name == "ckpt.pt"
    assert loaded.notes == ()
    assert not loaded.model.training
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert_same_function(loaded.model, model)


@pytest.mark.parametrize("name", torchvision_names())
def test_every_classifier_of_torchvision_fits_itself_and_no_other(name: str) -> None:
    expected = Builder("torchvision", name).signature().shapes
    shapes = {
        key: (7, *s[1:]) if s[:1] == (PLACEHOLDER_CLASSES,) else s for key, s in expected.items()
    }
    fits = {b.name: fit(b, shapes) for b in candidates("torchvision", shapes)}
    assert [name for name, each in fits.items() if each.fits] == [name]
    head = fits[name].head
    assert head is not None
    assert head.outputs == 7


def test_building_leaves_the_random_state_alone(tmp_path: Path) -> None:
    path = saved(tmp_path, state(resnet18()))
    torch.manual_seed(5)
    load_model(path)
    found = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(found, torch.rand(3))


def test_one_logit_tells_two_classes_apart(tmp_path: Path) -> None:
    loaded = load_model(saved(tmp_path, state(built("mobilenet_v3_small", 1))))
    assert (loaded.outputs, loaded.num_classes) == (1, 2)


def test_vision_transformers_are_bound_to_the_size_of_their_embedding() -> None:
    shapes = Builder("torchvision", "vit_b_16", (("image_size", 96),)).signature().shapes
    assert shapes["encoder.pos_embedding"] == (1, 37, 768)
    plain = Builder("torchvision", "vit_b_16")
    assert plain.bound_size() == 224
    assert not fit(plain, shapes).fits
    found = resized(plain, shapes)
    assert found.bound_size() == 96
    assert fit(found, shapes).fits


def test_auxiliary_heads_do_not_matter(tmp_path: Path) -> None:
    model = built("googlenet", aux_logits=True, init_weights=False)
    loaded = load_model(saved(tmp_path, model.state_dict()))
    assert loaded.architecture == "torchvision googlenet"
    assert any("auxiliary" in note for note in loaded.notes)
    assert any("transform_input" in note for note in loaded.notes)
    without = {k: v for k, v in state(model).items() if not k.startswith("aux")}
    again = load_model(saved(tmp_path, without))
    assert not any("auxiliary" in note for note in again.notes)
    vars(model)["transform_input"] = True
    assert_same_function(again.model, model)
    assert_same_function(loaded.model, model)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.backbone.", "cnn."]
)
def test_prefixes_that_all_names_carry_are_taken_off(tmp_path: Path, prefix: str) -> None:
    tensors = {prefix + key: value for key, value in state(resnet18()).items()}
    loaded = load_model(saved(tmp_path, {"state_dict": tensors}))
    assert loaded.architecture == "torchvision resnet18"
    assert any(prefix in note for note in loaded.notes)
    assert_same_function(loaded.model, resnet18())


def test_counters_of_batches_may_be_missing(tmp_path: Path) -> None:
    tensors = {k: v for k, v in state(resnet18()).items() if "num_batches" not in k}
    loaded = load_model(saved(tmp_path, tensors))
    assert any("num_batches_tracked" in note for note in loaded.notes)
    assert_same_function(loaded.model, resnet18())


def test_what_fits_several_architectures_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = torchvision_names()
    monkeypatch.setattr(torchvision, "torchvision_names", lambda: ("resnet34", "resnet18", *known))
    loaded = load_model(saved(tmp_path, state(resnet18())))
    assert loaded.architecture == "torchvision resnet18"
    assert any("fit several architectures" in note for note in loaded.notes)


# --- what does not fit -----------------------------------------------------------------------


def test_a_wrong_architecture_is_refused_with_the_right_one(tmp_path: Path) -> None:
    message = refusal(saved(tmp_path, state(resnet18())), arch="resnet34")
    assert "does not fit torchvision resnet34" in message
    assert "missing (layer1.2.conv1.weight" in message
    assert "--arch resnet18, which fits" in message


@pytest.mark.parametrize("change", ["missing", "unexpected", "misshapen"])
def test_a_single_difference_is_refused_and_named(tmp_path: Path, change: str) -> None:
    tensors = state(resnet18())
    if change == "missing":
        del tensors["layer2.0.bn1.bias"]
    elif change == "unexpected":
        tensors["layer2.0.bn9.bias"] = torch.zeros(1)
    else:
        tensors["layer2.0.bn1.bias"] = torch.zeros(7)
    message = refusal(saved(tmp_path, tensors))
    assert "closest is torchvision resnet18" in message
    assert ("layer2.0.bn9.bias" if change == "unexpected" else "layer2.0.bn1.bias") in message


def test_images_of_other_channels_are_refused_clearly(tmp_path: Path) -> None:
    tensors = {**state(resnet18()), "conv1.weight": torch.ones(64, 4, 7, 7)}
    for options in ({}, {"arch": "resnet18"}):
        message = refusal(saved(tmp_path, tensors), **options)
        assert "4 channels; expected 3" in message and "--factory" in message


@pytest.mark.parametrize("arch", [None, "resnet18"])
def test_a_grey_architecture_is_recognised_by_its_first_layer(
    tmp_path: Path, arch: str | None
) -> None:
    model = copy.deepcopy(resnet18())
    model.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    loaded = load_model(saved(tmp_path, model.state_dict()), arch=arch)
    assert (loaded.architecture, loaded.channels) == ("torchvision resnet18", 1)
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.model(images), model(images))


def test_unknown_weights_are_refused_with_what_to_do(tmp_path: Path) -> None:
    message = refusal(saved(tmp_path, {"stuff.weight": torch.ones(2, 2)}))
    assert "stuff.weight" in message
    assert "--factory" in message


@pytest.mark.parametrize(
    ("arch", "said"),
    [
        ("resnet81", "resnet18"),
        ("resnet-5O", "resnet50"),
        ("keras:resnet50", "unknown library 'keras'"),
        ("timm:vit_tinny_patch16_224", "vit_tiny_patch16_224"),
        ("fasterrcnn_resnet50_fpn", "no classifier"),
        ("hf-hub:timm/resnet18.a1_in1k", "unknown library"),
        ("", "no classifier"),
    ],
)
def test_an_unknown_name_is_refused_with_close_ones(tmp_path: Path, arch: str, said: str) -> None:
    if arch.startswith("timm"):
        pytest.importorskip("timm")
    path = saved(tmp_path, {"a.weight": torch.ones(1)})
    with pytest.raises(CheckpointError, match=said):
        load_model(path, arch=arch or " ")


def test_architecture_and_factory_exclude_each_other(tmp_path: Path) -> None:
    assert "both" in refusal(tmp_path / "none.pt", arch="resnet18", factory="a:b")


@pytest.mark.parametrize("arch", ["resnet18", "torchvision:resnet18", "ResNet18", " resnet18 "])
def test_a_named_architecture_is_used(tmp_path: Path, arch: str) -> None:
    loaded = load_model(saved(tmp_path, state(resnet18())), arch=arch)
    assert loaded.architecture == "torchvision resnet18"


# --- timm and folders ------------------------------------------------------------------------


def timm_model(name: str, **options: Any) -> nn.Module:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(name, pretrained=False, **options)
    return model.eval()


def test_a_model_of_timm_is_recognised(tmp_path: Path) -> None:
    model = timm_model("mobilenetv3_small_050", num_classes=2)
    loaded = load_model(saved(tmp_path, model.state_dict()))
    assert loaded.architecture == "timm mobilenetv3_small_050"
    assert_same_function(loaded.model, model)
    assert loaded.input_size is None


def test_a_transformer_of_timm_is_bound_to_its_size(tmp_path: Path) -> None:
    model = timm_model("vit_tiny_patch16_224", num_classes=2, img_size=128)
    path = saved(tmp_path, model.state_dict())
    loaded = load_model(path, arch="timm:vit_tiny_patch16_224")
    assert (loaded.architecture, loaded.input_size) == ("timm vit_tiny_patch16_224", 128)
    assert_same_function(loaded.model, model, 128)


def hub_folder(path: Path, model: nn.Module, **config: Any) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    save_file(state(model), path / "model.safetensors")
    return path


def test_a_folder_of_timm_is_loaded_with_its_preset_and_class_names(tmp_path: Path) -> None:
    model = timm_model("resnet18", num_classes=2)
    folder = hub_folder(
        tmp_path / "hub",
        model,
        architecture="resnet18",
        num_classes=2,
        label_names=["benign", "malignant"],
        pretrained_cfg={
            "input_size": [3, 96, 96],
            "mean": [0.5, 0.4, 0.3],
            "std": [0.2, 0.2, 0.2],
            "crop_pct": 0.75,
            "interpolation": "bilinear",
        },
    )
    loaded = load_model(folder)
    assert (loaded.architecture, loaded.name) == ("timm resnet18", "hub")
    assert loaded.class_names == ("benign", "malignant")
    assert loaded.preset is not None
    assert (loaded.preset.input_size, loaded.preset.mean) == (96, (0.5, 0.4, 0.3))
    assert_same_function(loaded.model, model)


def test_class_names_that_do_not_fit_are_noted_and_not_used(tmp_path: Path) -> None:
    model = timm_model("resnet18", num_classes=2)
    labels = {"0": "a", "1": "b", "2": "c"}
    folder = hub_folder(tmp_path / "hub", model, architecture="resnet18", id2label=labels)
    loaded = load_model(folder)
    assert loaded.class_names is None
    assert any("3 class names" in note for note in loaded.notes)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architectures": ["ViTForImageClassification"]}, "transformers model"),
        ({"architecture": "hf-hub:evil/model"}, "does not know"),
        ({"architecture": "local-dir:/etc"}, "does not know"),
        ({}, "no architecture"),
        ({"architecture": "resnet18", "model_args": {"norm_layer": {"a": 1}}}, "a mapping"),
    ],
)
def test_a_config_of_another_kind_is_refused(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    pytest.importorskip("timm")
    assert said in refusal(hub_folder(tmp_path / "hub", nn.Linear(2, 2), **config))


def test_a_config_cannot_make_timm_read_other_files(tmp_path: Path) -> None:
    model = timm_model("resnet18", num_classes=2)
    arguments = {"checkpoint_path": str(tmp_path / "evil.pt"), "pretrained": True}
    folder = hub_folder(tmp_path / "hub", model, architecture="resnet18", model_args=arguments)
    assert_same_function(load_model(folder).model, model)


# --- real models -----------------------------------------------------------------------------


def test_real_models_are_recognised(shared: Path) -> None:
    for file, name in (("resnet50_rings.pt", "resnet50"), ("resnet18_clean.pt", "resnet18")):
        loaded = load_model(shared / "models" / file)
        assert isinstance(loaded, LoadedModel)
        assert (loaded.architecture, loaded.outputs) == (f"torchvision {name}", 2)
        assert (loaded.input_size, loaded.preset, loaded.notes) == (None, None, ())


def test_a_real_model_that_returns_a_tuple_is_loaded_by_its_factory(shared: Path) -> None:
    folder = shared / "models"
    path = folder / "resnet18_attention_rings.pt"
    loaded = load_model(path, factory=f"{folder / 'resnet18_attention.py'}:build")
    assert (loaded.outputs, loaded.input_size) == (2, 128)
    assert "closest is torchvision resnet18 under 'backbone.'" in refusal(path)
