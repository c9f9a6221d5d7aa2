"""Settings reach detectors from the command line, the settings file and Python, and count."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import melaudit
from melaudit.cli import main
from melaudit.detectors import registry
from melaudit.detectors.interface import Batch, Result
from melaudit.detectors.measures.signatures import SIDE, signature
from melaudit.detectors.settings import DetectorSettings
from melaudit.errors import ConfigurationError
from melaudit.findings import NotFound, Skipped
from melaudit.measurements import Array, Measurements

NET = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
"""
QUICK: dict[str, Any] = {"image_size": 24, "edits": 0, "check_images": 1, "workers": 0}
QUICK |= {"engine": "dataflow"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a model and ten images, two of which share much of their detail."""
    rng = np.random.default_rng(0)
    own = rng.normal(size=(10, SIDE, SIDE))
    own[7] = 0.9 * own[2] + 0.19**0.5 * own[7]
    images = np.repeat(np.repeat(np.clip(128 + 30 * own, 0, 255), 4, 1), 4, 2).astype(np.uint8)
    images = np.repeat(images[..., None], 3, 3)
    (tmp_path / "data").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "data" / f"{i}.png")
    alike = np.corrcoef(signature(images[2]), signature(images[7]))[0, 1]
    assert 0.8 < alike < 0.93
    (tmp_path / "net.py").write_text(NET)
    torch.manual_seed(0)
    torch.save(module(tmp_path).state_dict(), tmp_path / "net.pt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def module(place: Path) -> torch.nn.Module:
    spec = importlib.util.spec_from_file_location("net_of_a_test", place / "net.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    net: torch.nn.Module = loaded.build()
    return net


def by_command(*options: str) -> dict[str, Any]:
    quick = [f"--{k.replace('_', '-')}={v}" for k, v in QUICK.items()]
    given = ["--model", "net.pt", "--data", "data", "--factory", "net.py:build"]
    given += ["--out", "audit", "--quiet"]
    assert main(["run", *given, *quick, *options]) in (0, 1, 3)
    found: dict[str, Any] = json.loads(Path("audit/findings.json").read_text())
    return found


def copies(findings: Mapping[str, Any]) -> bool:
    return "near_duplicates" in {finding["id"] for finding in findings["findings"]}


def run_id() -> str:
    name: str = json.loads(Path("audit/manifest.json").read_text())["run"]
    return name


def test_a_setting_changes_what_a_detector_says_wherever_it_is_given(place: Path) -> None:
    assert not copies(by_command())
    usual = run_id()
    assert copies(by_command("--duplicate-correlation", "0.75"))
    assert run_id() != usual, "another setting of a detector is another run"
    (place / "melaudit.toml").write_text("duplicate-correlation = 0.75")
    assert copies(by_command())
    assert not copies(by_command("--duplicate-correlation", "0.93"))
    found = melaudit.audit(
        module(place), "data", duplicate_correlation=0.75, progress=False, out="audit", **QUICK
    )
    assert copies(found.to_dict())
    assert found.provenance.config["duplicate_correlation"] == 0.75


def test_one_out_of_bounds_is_refused_before_anything_is_loaded(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--model", "none.pt", "--data", "d", "--duplicate-correlation=2"]) == 2
    said = "options: duplicate_correlation is 2.0; it must be 0.5 to 1"
    assert said in capsys.readouterr().err


class Watermark:
    """Another package's detector, which says what limit it was given and counts its measuring."""

    id, title = "watermark", "Watermarks"
    measured = 0

    def __init__(self, settings: DetectorSettings) -> None:
        self.limit = settings.table("mark").get("limit", 1)

    def measure(self, batch: Batch) -> dict[str, Array]:
        type(self).measured += len(batch.ids)
        return {"score": np.full(len(batch.ids), self.limit)}

    def conclude(self, measurements: Measurements) -> list[Result]:
        (score,) = set(measurements["watermark.score"].tolist())
        return [NotFound(self.id, 10, None, "", f"nothing above {score}"), Skipped(self.id, "")]


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> type[Watermark]:
    monkeypatch.setattr(Watermark, "measured", 0)
    entry = EntryPoint("mark", "mine:Watermark", "melaudit.detectors")
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    monkeypatch.setattr(EntryPoint, "load", lambda _: Watermark)
    return Watermark


def said(findings: Mapping[str, Any]) -> str:
    (found,) = [n for n in findings["not_found"] if n["artifact"] == "watermark"]
    return str(found["statement"])


def test_another_packages_detector_gets_its_table_and_is_measured_anew_when_that_changes(
    place: Path, plug_in: type[Watermark]
) -> None:
    assert said(by_command()) == "nothing above 1"
    assert said(by_command()) == "nothing above 1"
    assert plug_in.measured == 10, "the same settings resume the run"
    (place / "melaudit.toml").write_text("[detectors.mark]\nlimit = 4")
    assert said(by_command()) == "nothing above 4"
    assert plug_in.measured == 20, "other settings do not"
    tables = {"mark": {"limit": 5}}
    found = melaudit.audit(module(place), "data", detectors=tables, progress=False, **QUICK)
    assert said(found.to_dict()) == "nothing above 5"
    assert found.provenance.config["detectors"] == tables


def test_a_table_for_nobody_is_refused(place: Path, plug_in: type[Watermark]) -> None:
    tables = {"marc": {"limit": 5}}
    with pytest.raises(ConfigurationError, match="did you mean 'mark'"):
        melaudit.audit(module(place), "data", detectors=tables, progress=False, **QUICK)


def test_detectors_are_listed_with_the_settings_of_the_working_folder(
    place: Path, plug_in: type[Watermark], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detectors"]) == 0
    assert re.search(r"^watermark +audits the model +Watermarks$", capsys.readouterr().out, re.M)
    (place / "melaudit.toml").write_text("[detectors.marc]\nlimit = 4")
    assert main(["detectors"]) == 2
    assert "did you mean 'mark'" in capsys.readouterr().err
