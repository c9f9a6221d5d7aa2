"""The folder of an audit that found a ring shortcut, without the audit: quick, and known in full.

Lesions are discs, dark in malignant images. Most malignant images and hardly a benign one have a
black ring. The model averages the picture over 8 x 8 cells and has one linear layer, by hand: it
goes by the corners, and a little by the centre.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.audit.prepare.configuration import Configuration, as_plain
from melaudit.audit.prepare.places import write_places
from melaudit.audit.prepare.preparation import prepare
from melaudit.reports import write_findings
from tests.reports.made_up_findings import findings, ring_finding

SIDE = 64
FACTORY = """
from torch import nn

def build():
    return nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(3 * 64, 2))
"""


@dataclass(frozen=True)
class MadeUp:
    """The folder, and what a user has to name again."""

    folder: Path
    model: Path
    data: Path
    factory: str


def made_up_audit(
    place: Path, *, n: int = 160, corners: float = 3.0, lesions: float = 6.0
) -> MadeUp:
    """Write images, model and audit; `corners` is how much the model goes by the ring."""
    data = place / "images"
    ids, labels, present = _images(data, n)
    (place / "net.py").write_text(FACTORY)
    model, factory = place / "ckpt.pt", f"{place / 'net.py'}:build"
    torch.save({"2.weight": _weights(corners, lesions), "2.bias": torch.tensor([0.0, -3.4])}, model)
    configuration = Configuration(
        model=model,
        data=data,
        out=place / "audit",
        factory=factory,
        image_size=SIDE,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        domain="dermoscopy",
        edits=12,
        workers=0,
    )
    configuration.out.mkdir()
    _findings(configuration)
    write_places(configuration)
    classes = np.array(["benign", "malignant"], object)[labels]
    frame = pd.DataFrame(
        {
            "id": ids,
            "prediction": classes,
            "probability_benign": 1.0 - labels,
            "probability_malignant": labels.astype(float),
            "dark_ring.present": present,
            "blur.present": np.zeros(n, bool),
        }
    )
    frame.to_parquet(configuration.out / "images.parquet")
    return MadeUp(configuration.out, model, data, factory)


def _images(data: Path, n: int) -> tuple[list[str], NDArray[np.int64], NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
    ids, labels, present = [], [], []
    for label, name in enumerate(("benign", "malignant")):
        (data / name).mkdir(parents=True)
        for k in range(n // 2):
            dark = (95 if label else 60) * rng.normal(1, 0.25)
            lesion = np.exp(-((np.hypot(x, y) / 0.2) ** 2))
            skin = np.array([205, 165, 145]) + rng.normal(0, 6, 3)
            pixels = skin - dark * lesion[..., None] + rng.normal(0, 4, (SIDE, SIDE, 3))
            picture = np.clip(pixels, 0, 255).astype(np.uint8)
            ringed = k % 5 < 2 if label else k == 0
            if ringed:
                picture = DarkRing().add(picture, rng).image
            Image.fromarray(picture).save(data / name / f"{k:03d}.png")
            ids.append(f"{name}/{k:03d}.png")
            labels.append(label)
            present.append(ringed)
    return ids, np.array(labels), np.array(present)


def _weights(corners: float, lesions: float) -> torch.Tensor:
    weight = torch.zeros(2, 3, 8, 8)
    weight[1, :, [0, 0, 7, 7], [0, 7, 0, 7]] = -corners / 12
    weight[1, :, 3:5, 3:5] = -lesions / 12
    return weight.reshape(2, -1)


def _findings(configuration: Configuration) -> None:
    prepared = prepare(configuration)
    finding = dataclasses.replace(ring_finding(), id="dark_ring")
    made = findings()
    provenance = dataclasses.replace(
        made.provenance,
        model=configuration.model.name,
        model_sha256=prepared.loaded.sha256,
        data_fingerprint=prepared.dataset.fingerprint,
        classes=prepared.classes,
        config=as_plain(configuration),
    )
    whole = dataclasses.replace(made, findings=(finding, *made.findings[1:]), provenance=provenance)
    write_findings(whole, configuration.out / "findings.json")
