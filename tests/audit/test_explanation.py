"""One image explained, and the doctor's visit: on a tiny model with known evidence."""

import io
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from melaudit.audit.doctor import described, examine
from melaudit.audit.exhibits.channels import Place
from melaudit.audit.explanation import explain_image
from melaudit.audit.prepare.configuration import Configuration
from melaudit.choices import EngineName
from melaudit.errors import ConfigurationError, DatasetError
from melaudit.findings import Trust
from melaudit.reports.page.panel import Tile, panel
from tests.images.fatal import make_fatal

FACTORY = """
import torch
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2),
    )
"""

WITH_ATTENTION = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3, stride=4, padding=1), nn.ReLU())
        self.score = nn.Linear(64, 1)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        features = self.features(x)
        weights = torch.softmax(self.score(features.flatten(2)), 1)
        return self.fc((weights[..., None] * features).mean((2, 3))), weights

def build():
    return Net()
"""


WITH_HEADS = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.block(self.patches(x).flatten(2).transpose(1, 2)).mean(1))

def build():
    return Net()
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """Return settings for a model whose class 1 is fed by brightness, and nine images."""
    (tmp_path / "net.py").write_text(FACTORY)
    scope: dict[str, object] = {}
    exec(FACTORY, scope)
    build = scope["build"]
    assert callable(build)
    torch.manual_seed(0)
    net = build()
    assert isinstance(net, nn.Module)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
        net.get_parameter("6.weight")[0].mul_(-1)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    rng = np.random.default_rng(0)
    for i in range(9):
        pixels = np.full((48, 64, 3), 20, np.uint8)
        pixels[:, :32] = rng.integers(200, 256, (48, 32, 3), dtype=np.uint8)
        (tmp_path / "data" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "data" / str(i % 2) / f"{i}.png")
    return Configuration(
        tmp_path / "net.pt",
        tmp_path / "data",
        factory=f"{tmp_path / 'net.py'}:build",
        image_size=32,
        check_images=4,
        workers=0,
    )


def test_the_picture_has_a_tile_for_the_photograph_the_map_and_each_channel(
    configuration: Configuration,
) -> None:
    image = configuration.data / "0" / "0.png"
    png, notes = explain_image(configuration, image, channels=2)
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    assert picture.width > 4 * 256  # four tiles in one row
    assert any(note.startswith("class 1: probability") for note in notes)


def test_the_bright_half_is_where_the_map_is_red(configuration: Configuration) -> None:
    png, _ = explain_image(configuration, configuration.data / "0" / "0.png", channels=1)
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), float)
    tile = pixels[12 : 12 + 192, 12 + 268 : 12 + 268 + 256]  # the second tile, 256 x 192
    redness = tile[..., 0] - tile[..., 2]
    assert redness[:, :120].mean() > redness[:, 136:].mean() + 20


def test_grad_cam_stands_beside_lrp_and_says_how_far_both_agree(
    configuration: Configuration,
) -> None:
    png, notes = explain_image(configuration, configuration.data / "0" / "0.png", channels=1)
    (note,) = [n for n in notes if n.startswith("Grad-CAM")]
    found = re.search(r"agreement with LRP (-?\d\.\d\d) .* on 32 x 32 places", note)
    assert found and float(found[1]) > 0.3  # both on the bright half
    assert Image.open(io.BytesIO(png)).height < 2 * 192 + 100  # photograph, two maps, a channel
    assert not any("attention" in n for n in notes)


def test_attention_is_found_shown_and_chooses_the_channels(
    configuration: Configuration, tmp_path: Path
) -> None:
    (tmp_path / "att.py").write_text(WITH_ATTENTION)
    scope: dict[str, Any] = {}
    exec(WITH_ATTENTION, scope)
    torch.manual_seed(0)
    net = scope["build"]()
    with torch.no_grad():
        net.score.weight.abs_()
        net.fc.weight[0].zero_()
        net.fc.weight[1] = torch.tensor([1.0, 5, 1, 20, 1, 9])
    torch.save(net.state_dict(), tmp_path / "att.pt")
    asked = replace(
        configuration, model=tmp_path / "att.pt", factory=f"{tmp_path / 'att.py'}:build"
    )
    panels: list[Sequence[Tile]] = []

    def noting(photograph: NDArray[np.uint8], tiles: Sequence[Tile], columns: int = 4) -> bytes:
        panels.append(tiles)
        return panel(photograph, tiles, columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[explain_image.__module__], "panel", noting)
        _, notes = explain_image(asked, configuration.data / "0" / "0.png", channels=6)
    cams, channels = panels[0][2:4], panels[0][4:]
    assert [tile.title for tile in cams] == ["Grad-CAM", "Grad-CAM with attention"]
    assert re.fullmatch(r"agreement with Grad-CAM -?\d\.\d\d", cams[1].note)
    pairs = [re.findall(r"-?\d\S*\b", tile.note) for tile in channels]
    shares = [abs(float(share)) for share, _ in pairs]
    products = [abs(float(share)) * float(weight) for share, weight in pairs]
    assert products == sorted(products, reverse=True)
    assert shares != sorted(shares, reverse=True)
    assert any("returned beside the logits: weights that sum to 1" in n for n in notes)
    assert any("chosen by relevance times attention" in n for n in notes)


def test_channels_are_shown_by_where_they_look(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    panels: list[Sequence[Tile]] = []

    def noting(photograph: NDArray[np.uint8], tiles: Sequence[Tile], columns: int = 4) -> bytes:
        panels.append(tiles)
        return panel(photograph, tiles, columns)

    monkeypatch.setattr(sys.modules[explain_image.__module__], "panel", noting)
    image = configuration.data / "0" / "0.png"
    for side, inner in (("outside", False), ("inside", True)):
        place = Place("inside" if inner else "outside", 0.5)
        _, notes = explain_image(configuration, image, channels=3, place=place)
        channels = panels[-1][-3:]
        rows, columns = np.indices((32, 32)) + 0.5 - 16
        there = (rows**2 + columns**2 <= 8**2) == inner
        held = [
            float(tile.relevance[there].sum()) for tile in channels if tile.relevance is not None
        ]
        assert [abs(h) for h in held] == sorted((abs(h) for h in held), reverse=True)
        for tile, amount in zip(channels, held, strict=True):
            assert tile.relevance is not None
            own = abs(amount) + abs(float(tile.relevance[~there].sum()))
            said = re.search(rf"of the logit {side}, ([\d.]+) % of its own", tile.note)
            assert said is not None
            assert float(said[1]) == pytest.approx(100 * abs(amount) / own, abs=0.5)
        assert any(f"relevance {side} a disk of radius 0.5" in note for note in notes)
        assert sum(note.startswith("  channel ") for note in notes) == 3


def test_a_disk_that_is_no_part_of_an_image_is_refused() -> None:
    for radius in (0.0, -1.0, 2.0, float("nan")):
        with pytest.raises(ConfigurationError, match=r"such as 0\.78"):
            Place("outside", radius)


def test_an_image_is_explained_without_rules_too_and_says_so(configuration: Configuration) -> None:
    image = configuration.data / "0" / "0.png"
    for engine, word in (
        (EngineName.GRADIENT_X_INPUT, "gradient x input"),
        (EngineName.OCCLUSION, "occlusion"),
    ):
        _, notes = explain_image(replace(configuration, engine=engine), image, channels=1)
        assert any(note.startswith(word) for note in notes)
        assert any("no channels are shown" in note for note in notes) == (engine == "occlusion")


def test_a_class_may_be_named_or_counted_and_a_wrong_one_is_refused(
    configuration: Configuration,
) -> None:
    image = configuration.data / "0" / "0.png"
    _, notes = explain_image(configuration, image, target="0", channels=1)
    assert any(note.startswith("class 0: probability") for note in notes)
    with pytest.raises(ConfigurationError, match="choose one of class 0, class 1"):
        explain_image(configuration, image, target="melanoma")


def test_an_unreadable_image_is_an_error(configuration: Configuration, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"x\.png cannot be read"):
        explain_image(configuration, tmp_path / "x.png")


class Silence:
    """An observer that says nothing."""

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None: ...

    def advance(self, images: int, computed: bool = True) -> None: ...

    def note(self, text: str) -> None: ...


def test_the_doctor_names_the_model_judges_the_maps_and_predicts_the_cost(
    configuration: Configuration,
) -> None:
    found = examine(configuration, Silence())
    assert (found.outputs, found.images) == (2, 9)
    assert {c.id for c in found.checks} >= {"conservation"}
    assert found.trust in Trust
    assert all(stage.seconds > 0 for stage in found.stages)
    assert found.seconds == sum(stage.seconds for stage in found.stages)
    named = {stage.name for stage in found.stages}
    assert {"Measuring", "Editing images", "Discovering artifacts", "Concluding"} <= named
    assert ("Conv2d", "rule Flat()", 1) in found.operations  # the first layer's
    assert any(name == "Conv2d" and "ZPlus" in rule for name, rule, _ in found.operations)
    assert sum(calls for name, _, calls in found.operations if name == "relu") == 2
    text = "\n".join(described(found))
    assert "conservation" in text and "a full audit   9 images: about" in text
    assert "decides by     2 logits: the largest decides" in text


def test_heads_of_attention_are_listed_by_the_doctor_and_shown_where_they_are_named(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heads.py").write_text(WITH_HEADS)
    scope: dict[str, Any] = {}
    exec(WITH_HEADS, scope)
    torch.manual_seed(0)
    torch.save(scope["build"]().state_dict(), tmp_path / "heads.pt")
    model, factory = tmp_path / "heads.pt", f"{tmp_path / 'heads.py'}:build"
    asked = replace(configuration, model=model, factory=factory, composite="gamma_0.25")
    found = examine(asked, Silence())
    assert found.layer == "block" and found.heads == {"block.self_attn:heads": 2}
    lines = described(found)
    assert any(line.startswith("heads          2 in each of 1 layer: block.self") for line in lines)
    panels: list[Sequence[Tile]] = []

    def noting(photograph: NDArray[np.uint8], tiles: Sequence[Tile], columns: int = 4) -> bytes:
        panels.append(tiles)
        return panel(photograph, tiles, columns)

    monkeypatch.setattr(sys.modules[explain_image.__module__], "panel", noting)
    image = configuration.data / "0" / "0.png"
    explain_image(replace(asked, layer="block.self_attn:heads"), image, channels=6)
    titles = {tile.title for tile in panels[0]}
    assert {"head 0 of block.self_attn", "head 1 of block.self_attn"} < titles


def test_an_image_that_kills_what_decodes_it_ends_neither_doctor_nor_explanation_badly(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_fatal("/0.png", signal.SIGKILL, monkeypatch)
    configuration = replace(configuration, workers=1)
    assert examine(configuration, Silence()).images == 9
    with pytest.raises(DatasetError, match=r"0\.png cannot be read \(decoder_died"):
        explain_image(configuration, configuration.data / "0" / "0.png")
