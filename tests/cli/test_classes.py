"""A model of two outputs and a table of seven diagnoses: each message's remedy is followed."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from melaudit.cli import main

DIAGNOSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
FACTORY = """
from torch import nn
def build():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Return a command that looks at a model of two outputs with a table of seven diagnoses."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    torch.save(net.state_dict(), tmp_path / "m.pt")
    (tmp_path / "own.py").write_text(FACTORY)
    rows = ["image,clinic,dx"]
    for i in range(14):
        picture = Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8))
        picture.save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{i}.png,{DIAGNOSES[i % 7]}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    return [
        *("doctor", "--model", str(tmp_path / "m.pt"), "--factory", f"{tmp_path}/own.py:build"),
        *("--data", str(tmp_path / "table.csv"), "--image-size", "32", "--check-images", "2"),
    ]


@pytest.mark.parametrize("classes", [(), ("--classes", "benign,malignant")])
def test_the_map_that_the_message_offers_is_followed(
    command: list[str], classes: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *classes]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    start = said.index("--class-map")
    option, value = shlex.split(said[start : said.index(" (NAME=")])
    assert value == "akiec=malignant,bcc=malignant,mel=malignant,*=benign"
    assert main([*command, *classes, option, value]) == 0
    out = capsys.readouterr().out
    assert "2 outputs: benign, malignant" in out
    assert "malignant is akiec, bcc, mel" in out
    assert "--image-column clinic" in out


def test_labels_left_out_and_a_settings_file(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "melaudit.toml").write_text('[class_map]\nmel = "mel"\nnv = "nv"\n"*" = ""\n')
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "2 outputs: mel, nv" in out
    assert "10 images of akiec, bcc, bkl, df, vasc were left out" in out
