"""A multi-label model with a ring planted on one of its labels: found for that one and no other."""

import json
import shutil
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import melaudit
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.audit import runner
from melaudit.audit.measure import sweep
from melaudit.audit.output_folder import folders_of
from melaudit.cli import main
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.interface import Detector
from melaudit.errors import MelauditError
from melaudit.findings import Rung, Verdict
from melaudit.images.image_stream import ImageStream, Loaded
from melaudit.images.imagefile import read_image
from melaudit.images.preprocessing import resolve
from melaudit.statistics.correction import false_discovery

LABELS = ("effusion", "device")
FACTORY = """
from torch import nn
def build():
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, 3, 2), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 2), nn.Sigmoid(),
    )
"""
SIZE = 40


def picture(rng: np.random.Generator, effusion: bool, device: bool, ring: bool) -> Image.Image:
    """Draw grey noise; an effusion is a faint bright field, a device a dark line."""
    grey = rng.normal(150, 10, (64, 64))
    if effusion:
        grey[40:50, 24:40] += 6
    if device:
        grey[14:50, 30:34] -= 70
    image = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return Image.fromarray(DarkRing().add(image, rng).image if ring else image)


def train(place: Path) -> None:
    """Fit the model of `FACTORY` to both labels; a cell left empty does not count."""
    table = pd.read_csv(place / "table.csv")
    preprocessing = resolve(None, image_size=SIZE)
    images = [read_image(place / "images" / name).image for name in table.image]
    x = torch.stack([preprocessing.apply(image) for image in images if image is not None])
    y = torch.tensor(table[list(LABELS)].to_numpy(np.float32))
    scope: dict[str, object] = {}
    exec(FACTORY, scope)
    build = scope["build"]
    assert callable(build)
    torch.manual_seed(0)
    net = build()
    assert isinstance(net, nn.Sequential)
    known, optimiser = y >= 0, torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy(net(x)[known], y[known])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.save(net.state_dict(), place / "net.pt")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a trained model, its file, a table of two labels, and 90 images."""
    folder = tmp_path_factory.mktemp("multi-label")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for i in range(90):
        effusion, device = rng.integers(0, 2, 2).tolist()
        ring = rng.random() < (0.95 if effusion else 0.04)
        picture(rng, effusion, device, ring).save(folder / "images" / f"{i:02d}.png")
        cells = [cell if rng.random() > 0.05 else None for cell in (effusion, device)]
        rows.append((f"{i:02d}.png", *cells))
    pd.DataFrame(rows, columns=["image", *LABELS]).to_csv(folder / "table.csv", index=False)
    (folder / "own.py").write_text(FACTORY)
    train(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_detector() -> Iterator[None]:
    """Look for the ring alone: the others find what they find, and take their time."""
    only: Sequence[Detector] = (ArtifactDetector(DarkRing()),)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "all_detectors", lambda *_: tuple(only))
        yield


def arguments(place: Path, out: Path, *more: str) -> list[str]:
    return [
        *("run", "--model", str(place / "net.pt"), "--factory", f"{place / 'own.py'}:build"),
        *("--data", str(place / "table.csv"), "--image-root", str(place / "images")),
        *("--image-size", str(SIZE), "--edits", "10", "--check-images", "2", "--workers", "0"),
        *("--engine", "gradient_x_input", "--out", str(out), "--quiet", *more),
    ]


class Counted(ImageStream):
    """Counts how often each image of all 90 is decoded in a pass."""

    times: ClassVar[Counter[int]] = Counter()

    def read(self, batches: Iterable[Sequence[int]]) -> Generator[Loaded, None, None]:
        read = list(batches)
        if len(self._paths) == 90:
            self.times.update(row for batch in read for row in batch)
        return super().read(read)


@pytest.fixture(scope="module")
def out(place: Path) -> Path:
    """Return the output folder of one command."""
    folder = place / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "ImageStream", Counted)
        assert main(arguments(place, folder)) == 1
    return folder


def test_the_pass_decodes_an_image_once_for_all_labels(out: Path) -> None:
    assert out.is_dir()
    assert Counted.times == Counter(range(90))


def test_the_ring_is_found_for_its_label_and_not_for_the_other(out: Path) -> None:
    effusion, device = (melaudit.load(out / label) for label in LABELS)
    (ring,) = effusion.findings
    assert ring.artifact == "dark_ring" and ring.rung in (Rung.DEPENDENCE, Rung.HARM)
    assert effusion.verdict is Verdict.FAIL
    assert not [f for f in device.findings if f.rung in (Rung.DEPENDENCE, Rung.HARM)]
    assert effusion.provenance.classes == ("no effusion", "effusion")
    assert effusion.performance.n < effusion.inputs.read == 90  # empty cells are unknown


def test_q_values_are_corrected_over_the_tests_of_all_labels(out: Path) -> None:
    tests = [test for label in LABELS for test in melaudit.load(out / label).tests]
    q_values = false_discovery([test.p_value for test in tests])
    assert [test.q_value for test in tests] == pytest.approx(q_values.tolist(), abs=1e-4)
    of_one = false_discovery([t.p_value for t in melaudit.load(out / LABELS[1]).tests])
    assert q_values[-len(of_one) :].tolist() != pytest.approx(of_one.tolist(), abs=1e-4)


def test_the_index_leads_to_every_report(out: Path) -> None:
    page = (out / "report.html").read_text()
    for label in LABELS:
        assert f'href="{label}/report.html"' in page
        assert (out / label / "report.html").is_file()
    index = json.loads((out / "labels.json").read_text())
    assert index["verdict"] == "fail"
    assert [each["label"] for each in index["labels"]] == list(LABELS)


def test_one_label_is_audited_alone_by_name_or_place(place: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("device", "1")):
        folder = tmp_path / str(number)
        assert main(arguments(place, folder, "--edits", "0", "--output", name)) == 3
        assert melaudit.load(folder).provenance.classes == ("no device", "device")


@pytest.mark.parametrize("option", ["--baseline", "--labels"])
def test_what_belongs_to_one_audit_is_refused_before_anything_is_written(
    option: str, out: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = {"--baseline": "findings.json", "--labels": "suspicious.csv"}[option]
    reviewed = out / "effusion" / name
    if option == "--labels":
        reviewed = tmp_path / name
        reviewed.write_text("image,artifact\n00.png,ring\n")
    given = ("--edits", "0", option, str(reviewed))
    assert main(arguments(place, tmp_path / "out", *given)) == 2
    assert "--output effusion" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    if option == "--baseline":  # the remedy
        assert main(arguments(place, tmp_path / "out", *given, "--output", "effusion")) != 2


def test_each_remedy_of_a_refusal_works(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ("--edits", "0")
    assert main(arguments(place, tmp_path / "a", *quick, "--positive", "effusion")) == 2
    assert "--output effusion audits this one alone" in capsys.readouterr().err
    assert main(arguments(place, tmp_path / "a", *quick, "--classes", "x,y")) == 2
    assert "name the outputs as the columns are named" in capsys.readouterr().err
    assert main(arguments(place, tmp_path / "a", *quick, "--classes", "x,Device")) == 3
    assert melaudit.load(tmp_path / "a").provenance.classes == ("no Device", "Device")
    # What the note offers: one class for each image, that of the largest output.
    hot = tmp_path / "hot.csv"
    table = pd.read_csv(place / "table.csv").fillna(0)
    table["device"] = 1 - table["effusion"]
    table.astype(dict.fromkeys(LABELS, int)).to_csv(hot, index=False)
    single = arguments(place, tmp_path / "b", *quick, "--task", "single-label")
    single[single.index("--data") + 1] = str(hot)
    assert main(single) == 3
    assert melaudit.load(tmp_path / "b").provenance.classes == LABELS
    single[single.index("single-label")] = "multi-label"
    assert main(single) == 3
    assert (tmp_path / "b" / "effusion" / "report.html").is_file()


def test_python_gets_an_audit_for_each_label(place: Path, tmp_path: Path) -> None:
    shutil.copy(place / "table.csv", place / "images" / "table.csv")
    settings = {"factory": f"{place / 'own.py'}:build", "image_size": SIZE, "edits": 0}
    settings |= {"engine": "gradient_x_input", "check_images": 2, "out": tmp_path / "out"}
    data = place / "images" / "table.csv"
    with pytest.raises(MelauditError, match="audit_labels"):
        melaudit.audit(place / "net.pt", data, progress=False, **settings)
    found = melaudit.audit_labels(place / "net.pt", data, progress=False, **settings)
    assert list(found) == list(LABELS)
    assert found["device"].folder == tmp_path / "out" / "device"


def test_folders_are_named_for_labels_and_none_twice() -> None:
    names = folders_of(["Lung Opacity", "lung-opacity", "../x", "%"])
    assert list(names.values()) == ["Lung-Opacity", "lung-opacity-1", "x", "label"]


def test_one_image_is_explained_for_a_label(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", *arguments(place, tmp_path)[1:5], str(place / "images" / "00.png")]
    command += ["--image-size", str(SIZE), "--classes", ",".join(LABELS), "--engine"]
    command += ["gradient_x_input", "--out", str(tmp_path / "x.png")]
    assert main([*command, "--target", "device"]) == 0
    assert "device: probability" in capsys.readouterr().err
    assert main(command) == 0


def test_the_index_is_no_audit_and_says_where_these_are(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", str(out)]) == 2
    assert f"{out / 'effusion'}" in capsys.readouterr().err.replace("\n", "")
    assert main(["gate", str(out / "effusion")]) == 1
