"""Another batch size adds up in another order: the figures stay, and so does every sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import melaudit
from melaudit.audit import runner
from melaudit.detectors.interface import Detector
from melaudit.detectors.registry import detectors
from melaudit.detectors.settings import DetectorSettings
from melaudit.domains.interface import Domain

DETECTORS = ("conservation", "border_relevance", "near_duplicates", "dark_ring")
"""What says something of such images; all would take long."""
TOLERANCE = 1e-5
"""Of a figure, or of 1 if it is smaller: what docs/reliability.md promises."""


def net() -> nn.Module:
    """Return a net that reads brightness, so wide that batches of other sizes round otherwise."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 2),
    )
    head = net[6]
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
        head.weight[1].mul_(-1)
        head.bias.sub_(net(torch.full((1, 3, 32, 32), 0.1))[0])
    return net


def draw(folder: Path) -> None:
    """Draw bright and dim images, of which many of the dim ones have a black ring."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :48] - 23.5
    for name, low, rings in (("bright", 130, 2), ("dim", 90, 9)):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(low, low + 60, (48, 48, 3), dtype=np.uint8)
            if i < rings:
                pixels[np.hypot(x, y) > 22] = 3
            Image.fromarray(pixels).save(folder / name / f"{i:02d}.png")


def found(folder: Path, batch_size: int) -> Any:
    """Return what an audit with so many images at a time writes, but for its settings."""
    out = folder / f"out-{batch_size}"
    melaudit.audit(
        net(),
        folder / "data",
        out=out,
        image_size=32,
        batch_size=batch_size,
        check_images=4,
        edits=4,
        corruption_images=1,
        domain="dermoscopy",
        workers=0,
        progress=False,
    )
    document = json.loads((out / "findings.json").read_text("utf-8"))
    del document["provenance"]
    return document


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Yield where two documents differ by more than the tolerance."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        if abs(one - other) > TOLERANCE * max(1.0, abs(one)):
            yield f"{place}: {one} and {other}"
    elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{place}[{i}]")
    elif one != other:
        yield f"{place}: {one!r} and {other!r}"


def few(settings: DetectorSettings, domain: Domain) -> tuple[Detector, ...]:
    """Return the detectors that are asked."""
    return tuple(each for each in detectors(settings, domain) if each.id in DETECTORS)


def test_figures_and_sentences_are_the_same_one_image_at_a_time_and_sixteen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "all_detectors", few)
    draw(tmp_path / "data")
    one, sixteen = found(tmp_path, 1), found(tmp_path, 16)
    assert list(differences(one, sixteen)) == []
    assert one["findings"], "nothing was said that could differ"


def test_a_difference_is_seen() -> None:
    assert list(differences({"a": [1.0, "x"]}, {"a": [1.0 + 1e-6, "x"]})) == []
    assert len(list(differences({"a": [1.0, "x"]}, {"a": [1.1, "y"]}))) == 2
    assert len(list(differences({"a": [1.0]}, {"a": [1.0, 2.0]}))) == 1
