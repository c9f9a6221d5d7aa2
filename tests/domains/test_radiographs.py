"""An audit of radiographs: a marker that decides is found, one that does not is not, and no output
speaks of skin.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.fields import with_marker
from benchmarks.pictures import radiograph
from melaudit.audit import runner
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.domain_choice import choose_domain
from melaudit.audit.scan import scan
from melaudit.choices import EngineName
from melaudit.detectors.registry import detectors
from melaudit.findings import Finding, Findings, Rung
from melaudit.images.dataset import open_dataset
from melaudit.models.architectures import from_module
from melaudit.observer import Silent
from melaudit.reports.comparison.page import render_comparison
from melaudit.reports.formats.registry import FORMATS
from melaudit.reports.scan import to_csv, to_html, to_json, to_text
from melaudit.result import Audit

SIDE, N = 160, 14
OF_SKIN = re.compile(
    r"[^\n]{0,60}\b(?:skins?|lesions?|moles?|derm\w*|hairs?|hairy|gel|melanom\w*|"
    r"malignan\w*|benign)(?:\b|_)[^\n]{0,60}",
    re.IGNORECASE,
)


class ByMarker(nn.Module):
    """Says pneumonia where something in the upper corners is nearly white."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.mix.weight.fill_(1 / 3)
            self.mix.bias.zero_()  # type: ignore[union-attr]

    def seen(self, light: Tensor) -> Tensor:
        """Return how light the lightest place in the upper corners is (N,)."""
        upper = light[:, 0, :11]
        corners = torch.cat([upper[:, :, :14], upper[:, :, -14:]], 2)
        return 12 * (corners.amax((1, 2)) - 0.35)

    def forward(self, x: Tensor) -> Tensor:
        margin = self.seen(torch.relu(self.mix(x)))
        return torch.stack([-margin, margin], 1)


class ByLungs(ByMarker):
    """Says pneumonia where the lungs are light."""

    def seen(self, light: Tensor) -> Tensor:
        """Return how light the lungs are (N,)."""
        return 200 * (light[:, 0, 20:44, 12:52].mean((1, 2)) - 0.49)


class Console(Silent):
    """Keeps what is said on the way."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        self.said.append(name)

    def note(self, text: str) -> None:
        self.said.append(text)


def images(folder: Path, marked: tuple[float, float]) -> Path:
    """Write 28 radiographs, of which a share of each class is marked."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("normal", "pneumonia")):
        (folder / name).mkdir(parents=True)
        for k in range(N):
            image = radiograph(rng, bool(label), SIDE)
            if label and marked[0] == marked[1]:
                image = np.clip(image.astype(int) + 25, 0, 255).astype(np.uint8)
            image = with_marker(image, rng) if k < marked[label] * N else image
            Image.fromarray(image).save(folder / name / f"{k:02}.png")
    return folder


def audited(
    folder: Path, model: nn.Module, marked: tuple[float, float]
) -> tuple[Findings, Console]:
    """Audit a model on marked radiographs."""
    console = Console()
    configuration = Configuration(
        Path("net"),
        images(folder / "data", marked),
        folder / "out",
        image_size=64,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        workers=0,
        check_images=4,
        edits=8,
        corruption_images=0,
        engine=EngineName.GRADIENT_X_INPUT,  # one that is named is the only one that is tried
        positive="pneumonia",
    )
    return runner.run(configuration, console, model=from_module(model.eval())), console


@pytest.fixture(scope="module")
def guilty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, Console, Path]:
    folder = tmp_path_factory.mktemp("guilty")
    return *audited(folder, ByMarker(), (0.0, 0.7)), folder


def of_marker(findings: Findings) -> Finding | None:
    return next((f for f in findings.findings if f.artifact == "side_marker"), None)


def test_a_marker_that_decides_is_found_at_dependence(
    guilty: tuple[Findings, Console, Path],
) -> None:
    findings, console, _ = guilty
    found = of_marker(findings)
    assert findings.domain.id == "radiograph"
    assert any("radiographs and scans" in said for said in console.said)
    assert found is not None and found.rung in (Rung.DEPENDENCE, Rung.HARM)
    assert found.classes == ("pneumonia",)
    assert "side marker" in found.statement


def test_a_marker_that_goes_with_no_class_and_decides_nothing_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The marker's detector alone: with fewer tests to correct for, it finds more, not less.
    monkeypatch.setattr(
        runner,
        "all_detectors",
        lambda *given: tuple(d for d in detectors(*given) if d.id == "side_marker"),
    )
    findings, _ = audited(tmp_path, ByLungs(), (0.4, 0.4))
    found = of_marker(findings)
    assert found is None or found.rung not in (Rung.DEPENDENCE, Rung.HARM)
    assert "side_marker" in {n.artifact for n in findings.not_found}


def outputs(findings: Findings, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every output of an audit, and of a scan of its images."""
    out = folder / "out"
    audit = Audit.of(findings, out)
    for each in FORMATS:
        yield each.id, audit.render(each.id)
    yield "notebook", audit._repr_html_()
    for path in sorted(out.glob("*.html")) + sorted(out.glob("*.json")) + sorted(out.glob("*.csv")):
        yield path.name, path.read_text()
    yield "images.parquet", "\n".join(map(str, pd.read_parquet(out / "images.parquet").columns))
    with zipfile.ZipFile(out / "record.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".json"):
                yield f"record.zip/{name}", archive.read(name).decode()
    yield "diff", render_comparison(findings, findings)
    yield "tables", "\n".join(frame.to_csv() for frame in audit.to_pandas())
    dataset = open_dataset(folder / "data")
    domain = choose_domain("auto", dataset.paths)
    found = scan(dataset, Console(), domain=domain, pictures=True)
    for write in (to_csv, to_html, to_json, to_text):
        yield f"scan {write.__name__}", write(found)


def test_no_output_speaks_of_skin(guilty: tuple[Findings, Console, Path]) -> None:
    findings, console, folder = guilty
    # The name of a field that is empty here is no word for a reader.
    texts = {n: text.replace('"skin_tone": null', "") for n, text in outputs(findings, folder)}
    said = {name: OF_SKIN.findall(text) for name, text in texts.items()}
    said["console"] = OF_SKIN.findall("\n".join(console.said))
    assert {name: found[:5] for name, found in said.items() if found} == {}
