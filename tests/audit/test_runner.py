"""The whole run on a tiny model: its files, its resumption, its refusals."""

# Long because: a run can go many ways, and all are tried on the one small model made here.

import json
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from melaudit.artifacts.interface import RGB, Found
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.audit import runner
from melaudit.audit.discovery import discovery
from melaudit.audit.exhibits.record import make_record
from melaudit.audit.measure import learn_words as vocabularies
from melaudit.audit.measure import store
from melaudit.audit.measure.visual_words import load
from melaudit.audit.output_folder import held
from melaudit.audit.prepare.configuration import Configuration
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.labelled_artifacts import LabelledArtifacts
from melaudit.detectors.outside_object import OutsideObject
from melaudit.detectors.registry import detectors as all_detectors
from melaudit.errors import DatasetError, StoreError
from melaudit.findings import NotFound, Subject, Verdict
from melaudit.measurements import Array, Measurements
from melaudit.models.architectures import LoadedModel, from_module
from melaudit.reports import Sharing, read_record, render_report, schema
from melaudit.reports.interface import Record
from melaudit.statistics.sampling import sample


class Watcher:
    """An observer that remembers, and interrupts after so many computed images."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []
        self.computed = self.resumed = 0
        self.stop_after = stop_after

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        self.stages.append(name)

    def advance(self, images: int, computed: bool = True) -> None:
        if self.stages[-1] != "Measuring":
            return
        self.computed += images if computed else 0
        self.resumed += 0 if computed else images
        if self.stop_after is not None and self.computed >= self.stop_after:
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        self.notes.append(text)


def brightness_model() -> nn.Sequential:
    """Return a small CNN whose logits follow the mean brightness: right on `folder`'s classes."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 2),
    )
    head = net[6]
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
        head.weight[1].mul_(-1)
        head.bias.sub_(net(torch.full((1, 3, 32, 32), 0.1))[0])
    return net


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SHARD", 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 images: bright ones in class `bright`, dark ones in class `dim`."""
    rng = np.random.default_rng(0)
    for name, low in (("bright", 150), ("dim", 60)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(low, low + 60, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i:02d}.png")
    return tmp_path


def configuration(folder: Path, out: str = "out", **changes: object) -> Configuration:
    settings = {"image_size": 32, "workers": 0, "batch_size": 4, "check_images": 4, **changes}
    settings = {"edits": 0, **settings}  # editing is tried in test_interventions
    return Configuration(Path("net"), folder / "data", folder / out, **settings)  # type: ignore[arg-type]


@pytest.fixture
def model() -> LoadedModel:
    return from_module(brightness_model())


def numbers(folder: Path, out: str) -> pd.DataFrame:
    return pd.read_parquet(folder / out / "images.parquet")


def test_a_run_writes_its_four_files_and_they_agree(folder: Path, model: LoadedModel) -> None:
    watcher = Watcher()
    findings = runner.run(configuration(folder), watcher, model=model)
    out = folder / "out"
    document = json.loads((out / "findings.json").read_text())
    jsonschema.validate(document, schema())
    assert document == json.loads(json.dumps(findings.to_dict()))
    assert findings.inputs.read == 40
    assert findings.performance.accuracy is not None and findings.performance.accuracy > 0.9
    table = numbers(folder, "out")
    assert len(table) == 40
    assert (table["prediction"] == table["label"]).mean() == findings.performance.accuracy
    manifest = json.loads((out / "manifest.json").read_text())
    files = {"report.html", "findings.json", "images.parquet", "record.zip"}
    assert set(manifest["files"]) == files
    assert render_report(read_record(out)) == (out / "report.html").read_text()
    assert findings.verdict.value in (out / "report.html").read_text().lower()
    assert watcher.stages[0] == "Loading" and watcher.computed == 40


def test_what_is_shared_names_no_folder_and_carries_nothing_of_the_files(
    folder: Path, model: LoadedModel
) -> None:
    secret = b"GPS of the patient's home"
    for path in (folder / "data").rglob("*.png"):
        exif = Image.Exif()
        exif[0x010E] = secret.decode()  # ImageDescription
        with Image.open(path) as image:
            image.save(path, exif=exif)
    findings = runner.run(configuration(folder, sharing=Sharing.BLUR), Watcher(), model=model)
    assert "blurred" in findings.warnings[0]
    out = folder / "out"
    with zipfile.ZipFile(out / "record.zip") as archive:
        parts = [archive.read(name) for name in archive.namelist()]
    names = ("report.html", "findings.json", "images.parquet", "manifest.json")
    for part in (*parts, *((out / name).read_bytes() for name in names)):
        assert secret not in part
        for hidden in (folder, Path.home(), Path.cwd()):
            assert str(hidden).encode() not in part


def test_the_images_of_the_strips_get_a_second_opinion(
    folder: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[Record] = []

    def keeping(*given: Any) -> Record:
        records.append(make_record(*given))
        return records[0]

    monkeypatch.setattr(runner, "make_record", keeping)
    runner.run(configuration(folder), Watcher(), model=model)
    strips, opinions = records[0].strips, records[0].opinions
    assert opinions and [o.image for o in opinions] == [s.image for s in strips]
    for opinion in opinions:
        assert opinion.grad_cam.shape == (32, 32) and opinion.attended is None
        assert 0 <= opinion.grad_cam.min() <= opinion.grad_cam.max() <= 1
        assert opinion.agreement is None or -1 <= opinion.agreement <= 1


class Attending(nn.Module):
    """A net that weighs its channels itself and returns the weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 10, 3, stride=2, padding=1), nn.ReLU())
        self.score = nn.Linear(256, 1)
        self.fc = nn.Linear(10, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.features(x)
        weights = torch.softmax(40 * self.score(features.flatten(2)), 1)
        return self.fc((weights[..., None] * features).mean((2, 3))), weights


def test_a_models_attention_is_recorded_for_each_image_and_chooses_the_channels_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[Record] = []

    def keeping(*given: Any) -> Record:
        records.append(make_record(*given))
        return records[0]

    monkeypatch.setattr(runner, "make_record", keeping)
    net = Attending()
    runner.run(configuration(folder), Watcher(), model=from_module(net))
    table = numbers(folder, "out")
    strip = records[0].strips[0]
    assert len(strip.attention) == len(strip.channels) == 8
    strength = [abs(s) * a for s, a in zip(strip.shares, strip.attention, strict=True)]
    assert strength[:6] == sorted(strength[:6], reverse=True)
    assert min(strength[:6]) >= max(strength[6:])
    weights = table[[f"attention.weights_{i}" for i in range(1, 9)]].to_numpy()
    channels = table[[f"attention.channels_{i}" for i in range(1, 9)]].to_numpy()
    assert (np.diff(weights, axis=1) <= 0).all() and weights.shape == (40, 8)
    assert all(len(set(row)) == 8 for row in channels.astype(int).tolist())
    assert table["attention.entropy"].between(0, np.log(10)).all()
    html = (folder / "out" / "report.html").read_text()
    assert "relevance times its attention" in html.replace("\n", " ")


def test_an_interrupted_run_goes_on_where_it_stopped_and_ends_the_same(
    folder: Path, model: LoadedModel
) -> None:
    with pytest.raises(KeyboardInterrupt):
        runner.run(configuration(folder), Watcher(stop_after=18), model=model)
    assert not (folder / "out" / "report.html").exists()
    second = Watcher()
    resumed = runner.run(configuration(folder), second, model=model)
    assert (second.resumed, second.computed) == (16, 24)  # two whole shards of 8 were kept
    whole = runner.run(configuration(folder, "whole"), Watcher(), model=model)
    pd.testing.assert_frame_equal(numbers(folder, "out"), numbers(folder, "whole"))
    assert (resumed.findings, resumed.clusters) == (whole.findings, whole.clusters)


def test_a_run_is_not_resumed_on_an_image_that_was_replaced_by_one_as_long(
    folder: Path, model: LoadedModel
) -> None:
    with pytest.raises(KeyboardInterrupt):
        runner.run(configuration(folder), Watcher(stop_after=30), model=model)
    image = sorted((folder / "data").rglob("*.png"))[0]
    content = bytearray(image.read_bytes())
    content[-1] ^= 1  # the file has the same length
    image.write_bytes(content)
    second = Watcher()
    resumed = runner.run(configuration(folder), second, model=model)
    assert second.resumed == 0
    whole = runner.run(configuration(folder, "whole"), Watcher(), model=model)
    assert resumed.findings == whole.findings


class Meddler(Watcher):
    """One that replaces an image when a stage begins."""

    def __init__(self, when: str, image: Path) -> None:
        super().__init__()
        self.when, self.image = when, image

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        super().stage(name, total, unit)
        if name.startswith(self.when):
            self.image.write_bytes(self.image.with_name("00.png").read_bytes())


def test_an_image_that_changes_during_the_run_ends_it(folder: Path, model: LoadedModel) -> None:
    meddler = Meddler("Editing", folder / "data" / "dim" / "12.png")
    with pytest.raises(DatasetError, match=r"dim/12\.png is no longer the file that it was"):
        runner.run(configuration(folder, edits=20), meddler, model=model)
    assert not (folder / "out" / "report.html").exists()


def test_words_are_learned_once_and_noted_for_every_image(
    folder: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        runner.run(configuration(folder), Watcher(stop_after=18), model=model)
    (kept,) = (folder / "out" / "shards").glob("*/words.npz")
    sight = load(kept)
    assert sight is not None
    (fine,) = sight.vocabularies

    def again(*_: object) -> None:
        raise AssertionError("the words were kept and must not be learned again")

    monkeypatch.setattr(vocabularies, "_learned", again)
    runner.run(configuration(folder), Watcher(), model=model)
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    ids = tuple(numbers(folder, "out")["id"])
    words = store.Store(folder / "out" / manifest["shards"], manifest["run"], ids).column(
        "words.16"
    )
    assert words.shape == (40, 16, 16) and words.dtype == np.uint8
    assert words.max() < len(fine.visual_words)
    bright = np.array([identity.startswith("bright") for identity in ids])
    assert not set(np.unique(words[bright])) & set(np.unique(words[~bright]))


def test_another_model_or_setting_never_takes_over_old_measurements(
    folder: Path, model: LoadedModel
) -> None:
    runner.run(configuration(folder), Watcher(), model=model)
    for other, change in (
        (model, {"image_size": 40}),
        (model, {"composite": "epsilon_plus"}),
        (from_module(nn.Sequential(*brightness_model(), nn.Linear(2, 2))), {}),
    ):
        watcher = Watcher()
        runner.run(configuration(folder, **change), watcher, model=other)
        assert watcher.resumed == 0
    watcher = Watcher()
    runner.run(configuration(folder, fail_on="low"), watcher, model=model)
    assert watcher.resumed == 40  # what only judges the measurements does not redo them


def test_unreadable_images_are_counted_and_make_the_verdict_inconclusive(
    folder: Path, model: LoadedModel
) -> None:
    for path in sorted((folder / "data" / "dim").iterdir())[:10]:
        path.write_bytes(path.read_bytes()[:100])
    findings = runner.run(configuration(folder), Watcher(), model=model)
    assert findings.verdict is Verdict.INCONCLUSIVE
    assert "10 of 40 images could not be used" in findings.reason
    assert (findings.inputs.read, sum(findings.inputs.skipped.values())) == (30, 10)
    table = numbers(folder, "out")
    assert (table["status"] == "skipped").sum() == 10
    assert table.loc[table["status"] == "skipped", "prediction"].isna().all()


def test_no_readable_image_is_an_error_that_says_so(folder: Path, model: LoadedModel) -> None:
    for path in (folder / "data").rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DatasetError, match="none of the 40 images"):
        runner.run(configuration(folder), Watcher(), model=model)


def test_swapped_classes_are_noticed(folder: Path, model: LoadedModel) -> None:
    findings = runner.run(configuration(folder, classes=("dim", "bright")), Watcher(), model=model)
    assert findings.verdict is Verdict.INCONCLUSIVE
    assert "--classes bright,dim" in findings.reason


def test_too_many_classes_are_refused_with_what_to_do(folder: Path, model: LoadedModel) -> None:
    (folder / "data" / "third").mkdir()
    Image.new("RGB", (32, 32)).save(folder / "data" / "third" / "x.png")
    with pytest.raises(DatasetError, match=r"2 classes apart but the data has 3.*--class-map"):
        runner.run(configuration(folder), Watcher(), model=model)


def test_two_runs_never_write_into_one_folder(folder: Path, model: LoadedModel) -> None:
    with (
        held(folder / "out"),
        pytest.raises(StoreError, match="another run writes"),
    ):
        runner.run(configuration(folder), Watcher(), model=model)


class Broken(Detector):
    """A third party's detector that fails while it measures."""

    id, title = "broken", "always fails"

    def measure(self, batch: Batch) -> dict[str, Array]:
        raise ZeroDivisionError("oh")

    def conclude(self, measurements: Measurements) -> list[Result]:
        measurements["broken.score"]
        return []


class Crooked(Broken):
    """One that gives a row too few."""

    id = "crooked"

    def measure(self, batch: Batch) -> dict[str, Array]:
        return {"score": np.zeros(len(batch.ids) - 1)}


def test_a_detector_that_fails_is_left_out_and_reported(
    folder: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = all_detectors()
    monkeypatch.setattr(runner, "all_detectors", lambda *_: (*usual, Broken(), Crooked()))
    watcher = Watcher()
    findings = runner.run(configuration(folder), watcher, model=model)
    assert {"broken", "crooked"} <= {s.detector for s in findings.skipped}
    assert any("broken failed" in note for note in watcher.notes)
    assert "broken" in {s.subject for s in findings.shortfalls}
    assert findings.inputs.read == 40


def test_a_discovery_that_fails_keeps_the_audit_from_a_pass(
    folder: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(discovery, "_found", broken)
    findings = runner.run(configuration(folder, edits=4), Watcher(), model=model)
    (lack,) = [s for s in findings.shortfalls if s.subject == "discovered"]
    assert (lack.title, lack.statement) == (
        "Artifacts that nobody named",
        "it failed: ZeroDivisionError: oh",
    )
    assert findings.verdict is not Verdict.PASS
    assert lack.settle.endswith("--discover 0.")
    left_out = configuration(folder, "without", edits=4, discover=0)
    without = runner.run(left_out, Watcher(), model=model)
    assert "discovered" not in {s.subject for s in without.shortfalls}


class Stamp(DarkRing):
    """Another package's artifact: whether an image shows it is told by one pixel."""

    id = "stamp"

    def find(self, image: RGB) -> Found:
        present = bool(image[0, 0, 0] % 2)
        return Found(float(present), present, np.zeros(image.shape[:2], np.bool_))


class Stamps(Detector):
    """Its detector, which has nothing but the contract in common with ours."""

    id, title, subject, artifact = "stamp", "Stamps", Subject.ARTIFACT, Stamp()

    def measure(self, batch: Batch) -> dict[str, Array]:
        return {"present": np.array([found.present for found in batch.find(self.artifact)])}

    def conclude(self, measurements: Measurements) -> list[Result]:
        edits = {edit.id for edit in measurements.trials["stamp"].edits}
        return [NotFound(self.id, len(measurements.ids), None, "", " ".join(sorted(edits)))]


def test_an_artifact_of_another_packages_detector_is_edited_and_named_in_the_findings(
    folder: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = all_detectors()
    monkeypatch.setattr(runner, "all_detectors", lambda *_: (*usual[:7], Stamps()))
    findings = runner.run(configuration(folder, edits=4), Watcher(), model=model)
    (told,) = [n for n in findings.not_found if n.artifact == "stamp"]
    assert {"add"} < set(told.statement.split()), "put in, and placebos"
    assert [d.id for d in findings.detectors] == [
        *(d.id for d in usual[:7]),
        "stamp",
        "clusters",
        "discovered",
    ]
    conservation, stamp = findings.detectors[0], findings.detectors[-3]
    assert conservation.subject is Subject.EXPLANATIONS and conservation.asks.endswith("?")
    assert (stamp.title, stamp.subject, stamp.asks) == ("Stamps", Subject.ARTIFACT, "")


def test_the_sample_is_even_over_labels_and_the_same_for_a_seed() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    chosen = sample(labels, 8, 3)
    assert np.bincount(labels[chosen]).tolist() == [4, 4]
    np.testing.assert_array_equal(chosen, sample(labels, 8, 3))
    assert sample(labels, 500, 0).all()


def test_a_persons_masks_and_labels_reach_the_detectors_and_make_another_run(
    folder: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = (OutsideObject(), LabelledArtifacts())
    monkeypatch.setattr(runner, "all_detectors", lambda *_: ours)
    rows = ["image,dark_corner,sticker"]
    for name in ("bright", "dim"):
        (folder / "masks" / name).mkdir(parents=True)
        for i in range(20):
            mask = np.zeros((40, 40 if i == 3 else 48), np.uint8)
            mask[10:20, 10:20] = 255
            path = folder / "masks" / name / f"{i:02d}_segmentation.png"
            Image.fromarray(mask).save(path)
            rows.append(f"{name}/{i:02d}.png,{int(name == 'dim')},{i % 2}")
    (folder / "labels.csv").write_text("\n".join(rows))
    told = configuration(
        folder,
        edits=0,
        object_masks=folder / "masks",
        artifact_labels=folder / "labels.csv",
    )
    findings = runner.run(told, Watcher(), model=model)
    assert findings.inputs.flagged["object_mask_of_other_proportions"] == 2
    assert numbers(folder, "out")["outside_object.area"].notna().sum() == 38
    assert "labelled_artifacts.sticker" in {n.artifact for n in findings.not_found}
    again, changed = Watcher(), Watcher()
    runner.run(told, again, model=model)
    assert again.resumed == 40
    (folder / "masks" / "dim" / "07_segmentation.png").unlink()
    runner.run(told, changed, model=model)
    assert changed.resumed == 0
