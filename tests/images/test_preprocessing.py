"""Preprocessing equals torchvision's pipeline on Pillow images, and is settled as the user says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import v2

from melaudit.choices import Resize
from melaudit.errors import PreprocessingError
from melaudit.images.preprocessing import Preprocessing, resolve
from melaudit.images.presets import Preset, preset_from_config, torchvision_preset

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PRESET = Preset("a preset", 256, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), "bicubic", crop=224)


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def preprocessing(
    size: tuple[int, int], crop: int | None = None, interpolation: str = "bilinear"
) -> Preprocessing:
    return Preprocessing(size, MEAN, STD, interpolation, crop, "a test")


def torchvision_pipeline(p: Preprocessing) -> v2.Compose:
    how = v2.InterpolationMode(p.interpolation)  # a name alone is not enough to older versions
    geometry: list[Any] = [v2.Resize(p.image_size, how, antialias=True)]
    if p.crop is not None:
        geometry = [v2.Resize(p.image_size[0], how), v2.CenterCrop(p.crop)]
    normalise = v2.Normalize(p.mean, p.std)
    return v2.Compose([*geometry, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), normalise])


@pytest.mark.parametrize("shape", [(300, 300), (450, 600), (601, 449), (64, 64), (17, 5)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "lanczos", "box"])
@pytest.mark.parametrize(("size", "crop"), [((64, 64), None), ((48, 72), None), ((73, 73), 64)])
def test_pixels_are_those_of_torchvision_on_pillow_images(
    shape: tuple[int, int], interpolation: str, size: tuple[int, int], crop: int | None
) -> None:
    p = preprocessing(size, crop, interpolation)
    image = picture(*shape)
    expected = torchvision_pipeline(p)(Image.fromarray(image))
    assert torch.equal(p.apply(image), torch.Tensor(expected))


def test_a_real_image_is_preprocessed_as_in_training(shared: Path) -> None:
    p = preprocessing((128, 128))
    with Image.open(shared / "data/artifacts/ham/ISIC_0024338.jpg") as opened:
        photo = opened.convert("RGB")
    assert torch.equal(p.apply(np.array(photo)), torch.Tensor(torchvision_pipeline(p)(photo)))


@pytest.mark.parametrize(("size", "crop"), [((64, 64), None), ((80, 80), 64)])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
def test_a_mask_moves_as_the_pixels_do(
    size: tuple[int, int], crop: int | None, interpolation: str
) -> None:
    mask = np.zeros((150, 220), bool)
    mask[40:90, 60:150] = True
    p = Preprocessing(size, (0.0,) * 3, (1.0,) * 3, interpolation, crop, "a test")
    painted = np.repeat(mask[:, :, None], 3, axis=2).astype(np.uint8) * 255
    coverage = p.project(mask)
    assert coverage.dtype == np.float32
    assert coverage.shape == (64, 64)
    assert 0 <= coverage.min() < coverage.max() <= 1
    # Bicubic pixels overshoot at edges, coverage does not; elsewhere they are the same.
    tolerance = 0.15 if interpolation == "bicubic" else 2 / 255
    assert np.abs(coverage - p.apply(painted)[0].numpy()).max() < tolerance


def test_coverage_is_the_share_of_the_area() -> None:
    mask = np.zeros((64, 64), bool)
    mask[:, :16] = True
    assert preprocessing((8, 8)).project(mask).mean() == pytest.approx(0.25, abs=0.01)


def test_a_mask_of_a_shrunk_view_lands_where_the_image_does() -> None:
    p = preprocessing((96, 96), crop=64)
    image = np.zeros((301, 443, 3), np.uint8)
    image[100:200, 150:300] = 255
    view = np.array(Image.fromarray(image).resize((222, 151), Image.Resampling.BOX))[:, :, 0] > 127
    moved = p.project(view, size=(301, 443))
    assert np.abs(moved - p.project(image[:, :, 0] > 127)).mean() < 0.02


def test_a_crop_hides_the_border_and_no_crop_shows_it() -> None:
    ring = np.ones((100, 100), bool)
    ring[5:95, 5:95] = False
    assert preprocessing((64, 64)).project(ring).max() == 1
    assert preprocessing((80, 80), crop=64).project(ring).max() == 0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_what_is_no_rgb_image_is_refused(image: NDArray[Any]) -> None:
    with pytest.raises(PreprocessingError, match="expected"):
        preprocessing((8, 8)).apply(image)


def test_a_strip_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(PreprocessingError, match="too elongated"):
        preprocessing((256, 256), crop=224).apply(np.zeros((1, 100_000, 3), np.uint8))
    assert preprocessing((16, 16)).apply(np.zeros((1, 100_000, 3), np.uint8)).shape == (3, 16, 16)


def test_without_anything_the_default_size_is_assumed_and_said() -> None:
    p = resolve(None)
    assert (p.image_size, p.crop, p.mean, p.std) == ((224, 224), None, MEAN, STD)
    assert "224 x 224" in p.warnings[0]
    assert "assumed" in p.describe()


def test_a_given_size_needs_no_warning() -> None:
    p = resolve(None, image_size=128)
    assert p.input_size == (128, 128)
    assert p.warnings == ()


def test_auto_shows_the_whole_image_where_the_weights_would_crop_it() -> None:
    p = resolve(PRESET)
    assert (p.image_size, p.crop, p.interpolation) == ((224, 224), None, "bicubic")
    assert (p.mean, p.std) == (PRESET.mean, PRESET.std)
    assert "crop" in p.warnings[0]


def test_the_weights_are_followed_to_the_letter_when_asked() -> None:
    p = resolve(PRESET, spec="weights")
    assert (p.image_size, p.crop, p.input_size) == ((256, 256), 224, (224, 224))
    assert p.warnings == ()
    with pytest.raises(PreprocessingError, match="declares no preprocessing"):
        resolve(None, spec="weights")


def test_explicit_options_win_over_every_source() -> None:
    p = resolve(PRESET, image_size=320, crop=300, mean=[0.1], std=[0.2, 0.3, 0.4], spec="weights")
    assert (p.image_size, p.crop) == ((320, 320), 300)
    assert (p.mean, p.std) == ((0.1,) * 3, (0.2, 0.3, 0.4))
    assert resolve(PRESET, image_size=320, spec="weights").crop is None
    assert resolve(PRESET, crop=200).image_size == (256, 256)
    assert resolve(None, crop=200).image_size == (200, 200)


def test_imagenet_ignores_the_weights_and_is_no_assumption() -> None:
    p = resolve(PRESET, image_size=96, spec="imagenet")
    assert (p.mean, p.std, p.image_size, p.interpolation) == (MEAN, STD, (96, 96), "bilinear")
    assert "assumed" not in p.origin


def test_a_size_the_model_is_bound_to_is_used_or_defended() -> None:
    assert resolve(None, bound_size=384).image_size == (384, 384)
    assert resolve(None, bound_size=384).warnings == ()
    p = resolve(PRESET, bound_size=384)
    assert (p.image_size, p.mean) == ((384, 384), PRESET.mean)
    assert "384" in p.warnings[0]
    for contradiction in ({"image_size": 256}, {"crop": 192}, {"spec": "weights"}):
        with pytest.raises(PreprocessingError, match="384 x 384 pixels only"):
            resolve(PRESET, bound_size=384, **contradiction)


def test_torchvision_weights_are_found_by_name() -> None:
    p = resolve(None, spec="weights:ResNet50_Weights.IMAGENET1K_V2")
    assert (p.image_size, p.crop, p.mean) == ((232, 232), 224, MEAN)
    for name in ("ResNet50_Weights.NOPE", "Nope", "", "SSD300_VGG16_Weights.COCO_V1", "os.path"):
        with pytest.raises(PreprocessingError, match="image classifier"):
            torchvision_preset(name)


TIMM = {
    "architecture": "resnet50",
    "pretrained_cfg": {
        "input_size": [3, 224, 224],
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.4, 0.4, 0.4],
    },
}
HUGGING_FACE = {
    "do_normalize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.4, 0.4, 0.4],
    "resample": 3,
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TIMM, (235, 224, "bicubic")),
        (TIMM["pretrained_cfg"], (235, 224, "bicubic")),
        ({**TIMM["pretrained_cfg"], "crop_mode": "squash"}, (224, None, "bicubic")),  # type: ignore[dict-item]
        ({**HUGGING_FACE, "size": {"height": 224, "width": 224}}, (224, None, "bicubic")),
        ({**HUGGING_FACE, "size": 224}, (224, None, "bicubic")),
        (
            {
                **HUGGING_FACE,
                "size": {"shortest_edge": 256},
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            (256, 224, "bicubic"),
        ),
        (
            {**HUGGING_FACE, "size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 2},
            (256, 224, "bilinear"),
        ),
        (
            {"image_size": 96, "mean": 0.5, "std": 0.4, "interpolation": "nearest"},
            (96, None, "nearest"),
        ),
    ],
)
def test_every_dialect_of_config_is_read(
    config: dict[str, Any], expected: tuple[int, int | None, str], tmp_path: Path
) -> None:
    file = tmp_path / "preprocessing.json"
    file.write_text(json.dumps(config))
    p = resolve(None, spec=str(file))
    assert (p.image_size[0], p.crop, p.interpolation) == expected
    assert p.mean == pytest.approx((0.5,) * 3)
    assert p.std == pytest.approx((0.4,) * 3)
    assert "preprocessing.json" in p.origin


def test_a_config_on_a_scale_of_255_is_brought_to_1() -> None:
    config = {**HUGGING_FACE, "size": 224, "do_rescale": False, "image_mean": [127.5] * 3}
    preset = preset_from_config(config, "a config")
    assert preset.mean == pytest.approx((0.5,) * 3)
    assert preset.std == pytest.approx((0.4 / 255,) * 3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no JSON object"),
        ("{}", "neither a timm config"),
        ('{"hidden_size": 768, "image_size": 224}', "neither a timm config"),
        ('{"image_size": "large"}', "cannot be followed"),
        ('{"image_size": 224, "mean": [1, 2]}', "cannot be followed"),
        ('{"image_size": 224, "interpolation": "magic"}', "cannot be followed"),
        ('{"input_size": [1, 28, 28]}', "3"),
        ('{"input_size": [3, 224, 192]}', "squares"),
        ('{"input_size": 224}', "cannot be followed"),
        ('{"image_mean": null, "size": 224}', "cannot be followed"),
    ],
)
def test_a_config_that_cannot_be_followed_is_refused(
    content: str, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(PreprocessingError, match=says):
        resolve(None, spec=str(file))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"spec": "imagnet"}, "expected auto"),
        ({"spec": "missing.json"}, "cannot be read"),
        ({"image_size": 0}, "expected 1 to"),
        ({"image_size": -5}, "expected 1 to"),
        ({"image_size": 10**6}, "expected 1 to"),
        ({"image_size": 128, "crop": 200}, "black frame"),
        ({"mean": [123.7, 116.3, 103.5]}, "0.4851,0.4561,0.4059"),
        ({"std": [0.2, 0.0, 0.2]}, "above 0"),
        ({"mean": [0.5, 0.5]}, "three numbers"),
        ({"mean": []}, "three numbers"),
        ({"std": [float("nan")] * 3}, "three numbers"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(PreprocessingError, match=says):
        resolve(None, **options)


def test_the_description_names_every_setting() -> None:
    line = resolve(PRESET, spec="weights").describe()
    for part in ("256", "224 x 224", "bicubic", "0.5, 0.4, 0.3", "0.2, 0.25, 0.3", "a preset"):
        assert part in line
    assert "whole image" in resolve(None, image_size=128).describe()
    assert "\n" not in line


# --- letterbox


def squares(height: int, width: int) -> NDArray[np.uint8]:
    """Return an image (h, w, 3) whose left half is red and right half blue."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = image[:, width // 2 :, 2] = 200
    return image


@pytest.mark.parametrize(("height", "width"), [(50, 100), (100, 50), (8, 64), (2048, 4096)])
def test_a_letterbox_keeps_the_ratio_and_pads_the_rest(height: int, width: int) -> None:
    made = resolve(None, image_size=64, resize=Resize.LETTERBOX, pad=(114,))
    frame = made.frame(squares(height, width))
    inside = (frame != 114).any(2)
    rows, columns = (int(inside.any(axis).sum()) for axis in (1, 0))
    assert max(rows, columns) == 64
    assert rows / columns == pytest.approx(height / width, rel=0.07)
    top, left = int(inside.any(1).argmax()), int(inside.any(0).argmax())
    assert (top, left) == ((64 - rows) // 2, (64 - columns) // 2)
    assert made.apply(squares(height, width)).shape == (3, 64, 64)
    assert made.reframes and "padded with 114" in made.describe()


def test_a_mask_moves_as_the_pixels_of_a_letterbox_do() -> None:
    made = resolve(None, image_size=64, resize=Resize.LETTERBOX)
    image = np.zeros((60, 120, 3), np.uint8)
    image[20:40, 30:60] = 255
    mask = image[..., 0] > 0
    seen = made.frame(image)[..., 0] / 255
    assert np.abs(made.project(mask) - seen).max() < 0.02
    small = made.project(mask[::2, ::2], (60, 120))  # of a shrunk view of the image
    assert np.abs(small - seen).mean() < 0.02


def test_a_grey_model_gets_a_letterbox_of_the_same_grey() -> None:
    made = resolve(None, image_size=32, resize=Resize.LETTERBOX, pad=(255, 0, 0), channels=1)
    frame = made.frame(squares(10, 40))
    assert (frame[0, 0] == 76).all()  # ITU-R 601
    assert made.apply(squares(10, 40)).shape == (1, 32, 32)


def test_presets_that_keep_the_ratio_are_followed_and_the_user_may_say_otherwise() -> None:
    timm = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_mode": "border"}
    preset = preset_from_config(timm, "timm")
    assert (preset.resize, preset.pad) == (Resize.LETTERBOX, (128, 128, 128))
    assert resolve(preset).resize is Resize.LETTERBOX
    assert resolve(preset, resize=Resize.STRETCH).resize is Resize.STRETCH
    own = preset_from_config({"image_size": 32, "resize": "letterbox", "pad": 114}, "own.json")
    assert (own.resize, own.pad) == (Resize.LETTERBOX, (114,))
    with pytest.raises(PreprocessingError, match="letterbox"):
        preset_from_config({"image_size": 32, "resize": "fit"}, "own.json")


def test_each_remedy_of_a_refused_letterbox_works() -> None:
    with pytest.raises(PreprocessingError, match="give --resize or --crop"):
        resolve(None, image_size=64, crop=32, resize=Resize.LETTERBOX)
    assert resolve(None, image_size=64, crop=32).crop == 32
    with pytest.raises(PreprocessingError, match="add --resize letterbox"):
        resolve(None, image_size=64, pad=(0,))
    for colour in ((300,), (1, 2)):
        with pytest.raises(PreprocessingError, match="one or three numbers from 0 to 255"):
            resolve(None, image_size=64, resize=Resize.LETTERBOX, pad=colour)
