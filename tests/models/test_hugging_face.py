"""Folders of Hugging Face: small random ones, made by transformers, and what is refused of them."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from melaudit.errors import CheckpointError
from melaudit.images.preprocessing import resolve
from melaudit.images.presets import preset_from_config
from melaudit.models.architectures import load_model
from melaudit.relevance import Explainer

transformers = pytest.importorskip("transformers")

CLASSES = {"0": "benign", "1": "malignant", "2": "other"}
TRANSFORMER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}
SMALL: dict[str, dict[str, Any]] = {
    "vit": TRANSFORMER,
    "deit": TRANSFORMER,
    "dinov2": TRANSFORMER,
    "swin": {
        "image_size": 32,
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 4,
    },
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
}
NAMES = {
    "vit": "ViT",
    "deit": "DeiT",
    "dinov2": "Dinov2",
    "swin": "Swin",
    "resnet": "ResNet",
    "convnext": "ConvNext",
}
LAYERED = ("resnet", "convnext")
"""Those whose features are maps, with channels for CRP."""


def made(kind: str, attention: str | None = None) -> nn.Module:
    """Return a small classifier, none of whose weights is zero."""
    names = {int(k): v for k, v in CLASSES.items()}
    config = transformers.AutoConfig.for_model(kind, **SMALL[kind], id2label=names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config._attn_implementation = attention
        model: nn.Module = getattr(transformers, f"{NAMES[kind]}ForImageClassification")(config)
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.1 * torch.rand(tensor.shape)
    return model.eval()


def folder(path: Path, kind: str = "vit", **changes: Any) -> Path:
    """Save a small model as transformers does, and change its config."""
    made(kind).save_pretrained(path)  # type: ignore[operator]
    if changes:
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, **changes}))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def images(side: int = 32) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) - 0.5


@pytest.mark.parametrize("kind", SMALL)
def test_a_folder_computes_what_it_did_and_its_relevance_is_accounted_for(
    tmp_path: Path, kind: str
) -> None:
    loaded = load_model(folder(tmp_path / "hub", kind))
    theirs = made(kind)
    assert loaded.architecture == f"transformers {type(theirs).__name__}"
    assert loaded.class_names == tuple(CLASSES.values())
    assert loaded.outputs == 3
    with torch.no_grad():
        expected = theirs(images()).logits
    assert torch.allclose(loaded.model(images()).logits, expected, atol=1e-5)
    with Explainer(loaded.model) as explainer:
        found = explainer.attribute(images(), None, [])
        assert not found.unknown
        assert found.absorbed is not None
        total = found.maps.double().sum((1, 2)) + found.absorbed.double()
        assert torch.allclose(total, found.start.double(), rtol=1e-3)
        if kind in LAYERED:
            assert "stages" in explainer.choose_layer(images())


def test_both_forms_of_attention_give_the_same_map() -> None:
    maps = []
    for form in ("eager", "sdpa"):
        with Explainer(made("vit", form)) as explainer:
            maps.append(explainer.lrp(images()).flatten(1))
            done = {name for name, _, _ in explainer.operations(images())}
            assert ("softmax" in done) == (form == "eager")
    assert torch.cosine_similarity(maps[0], maps[1]).min() > 0.9999


def test_a_side_is_bound_where_positions_are_learned(tmp_path: Path) -> None:
    assert load_model(folder(tmp_path / "vit")).input_size == 32
    assert load_model(folder(tmp_path / "resnet", "resnet")).input_size is None


def test_classes_that_nobody_named_are_no_names(tmp_path: Path) -> None:
    numbered = {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    assert load_model(folder(tmp_path / "hub", id2label=numbered)).class_names is None


def test_nothing_of_the_surroundings_is_changed(tmp_path: Path) -> None:
    path = folder(tmp_path / "hub")
    state = torch.random.get_rng_state()
    level = transformers.utils.logging.get_verbosity()
    load_model(path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert transformers.utils.logging.get_verbosity() == level
    assert transformers.utils.logging.is_progress_bar_enabled()


# --- what is refused -------------------------------------------------------------------------

CODE = {"AutoModelForImageClassification": "modeling_evil.EvilForImageClassification"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"auto_map": CODE}, "code of its own (auto_map: modeling_evil.Evil"),
        ({"vision_config": {"auto_map": CODE}}, "code of its own"),
        ({"trust_remote_code": True}, "code of its own (trust_remote_code"),
        ({"model_type": "evil", "architectures": ["Evil"]}, "'Evil', which is no image classifier"),
        ({"model_type": "bert"}, "no image classifier"),
        ({"model_type": ["vit"]}, "no image classifier"),
        ({"architectures": ["ViTModel"]}, "is a ViTModel, which does not classify images"),
        ({"quantization_config": {"bits": 4}}, "quantized"),
        ({"hidden_size": 64}, "have another shape"),
        ({"num_hidden_layers": 3}, "tensors are missing (vit.layers.2"),
        ({"num_hidden_layers": 1}, "are unexpected (vit."),
        ({"hidden_act": "evil"}, "cannot be built"),
        ({"hidden_size": "evil"}, "cannot be built"),
    ],
)
def test_a_config_that_asks_for_something_else_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    assert said in refusal(folder(tmp_path / "hub", **changes))


def test_code_in_the_folder_is_not_run(tmp_path: Path) -> None:
    path = folder(tmp_path / "hub", auto_map=CODE)
    (path / "modeling_evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    refusal(path)
    assert not (tmp_path / "ran").exists()
    assert "modeling_evil" not in sys.modules


def test_kernels_of_a_hub_are_not_asked_for(tmp_path: Path) -> None:
    loaded = load_model(folder(tmp_path / "hub", _attn_implementation="someone/attention-kernel"))
    assert loaded.architecture == "transformers ViTForImageClassification"


def test_a_model_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from melaudit.models import architectures

    monkeypatch.setattr(architectures, "_SECONDS_TO_BUILD", 1)
    message = refusal(folder(tmp_path / "hub", num_hidden_layers=10**7))
    assert "too much time or memory" in message


def test_without_transformers_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path / "hub")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'melaudit[transformers]'" in refusal(path)


# --- preprocessing ---------------------------------------------------------------------------

SQUARE = {"height": 48, "width": 48}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ViTImageProcessorPil", {"size": SQUARE}),
        (
            "ViTImageProcessorPil",
            {"size": SQUARE, "rescale_factor": 1 / 127.5},
        ),
        ("ViTImageProcessorPil", {"size": SQUARE, "do_normalize": False}),
        ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 48}}),
        ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 384}}),
        ("BitImageProcessorPil", {"size": {"shortest_edge": 56}, "crop_size": 48}),
        ("EfficientNetImageProcessorPil", {"size": SQUARE}),
    ],
)
def test_a_preset_does_what_the_image_processor_does(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    processor = getattr(transformers, name)(**options)
    processor.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "preprocessor_config.json").read_text())
    pixels = np.random.default_rng(0).integers(0, 256, (60, 76, 3), np.uint8)
    theirs = processor(Image.fromarray(pixels), return_tensors="pt")["pixel_values"][0]
    ours = resolve(preset_from_config(config, "it"), spec="weights").apply(pixels)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-4


def test_an_older_config_means_the_shorter_side_by_its_size() -> None:
    config = {"size": 224, "crop_pct": 0.875, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    preset = preset_from_config(config, "it")
    assert (preset.image_size, preset.crop) == (256, 224)


def test_preprocessing_by_a_folder_s_own_code_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    path = folder(tmp_path / "hub")
    config = {"auto_map": {"AutoImageProcessor": "evil.Evil"}, "image_mean": [0.5] * 3}
    (path / "preprocessor_config.json").write_text(json.dumps(config))
    loaded = load_model(path)
    assert loaded.preset is None
    assert any("was not used" in note and "evil.Evil" in note for note in loaded.notes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"do_flip_channel_order": True}, "BGR"),
        ({"size": {"shortest_edge": 224}}, "keeps the ratio"),
    ],
)
def test_preprocessing_that_cannot_be_followed_is_named(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = folder(tmp_path / "hub")
    config = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 32, **changes}
    (path / "preprocessor_config.json").write_text(json.dumps(config))
    assert any(said in note for note in load_model(path).notes)
