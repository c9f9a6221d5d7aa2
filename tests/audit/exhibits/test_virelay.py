"""An audit as ViRelAy reads it: what its specification names is there, and says what audits say."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from melaudit.audit.exhibits.virelay import SIDE, export_virelay
from melaudit.audit.measure.store import Store
from melaudit.cli import main
from melaudit.errors import StoreError
from melaudit.findings import Cluster
from melaudit.measurements import GRID
from melaudit.reports import write_findings
from tests.reports.made_up_record import record

N = 30
HOSTILE = "<img onerror=x>\nmalignant"


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """Return what makes an output folder of 30 images, one unread, of which 12 form a group."""

    def make(sharing: str = "full") -> Path:
        folder = tmp_path / f"audit-{sharing}"
        folder.mkdir()
        ids = tuple(f"{'benign' if i % 3 else 'malignant'}/{i:02}.png" for i in range(N))
        read = np.arange(N) != 4
        rows = np.flatnonzero(read)
        rng = np.random.default_rng(0)
        maps = rng.random((len(rows), GRID, GRID)).astype(np.float16)
        predictions = np.where(rows < 18, 1, 0)
        store = Store(folder / "shards" / "a", "run", ids)
        store.write(
            0,
            {"status": np.where(read, "ok", "skipped").astype(object)},
            {
                "row": rows,
                "logits": rng.normal(size=(len(rows), 2)).astype(np.float32),
                "prediction": predictions,
                "thumbnail": rng.integers(0, 256, (len(rows), 16, 16, 3)).astype(np.uint8),
                "relevance.positive": maps,
                "relevance.negative": np.zeros_like(maps),
                "relevance.concepts": rng.random((len(rows), 20)).astype(np.float16),
            },
            read,
        )
        classes = ("benign", HOSTILE)
        labels = ["benign" if i % 3 else HOSTILE for i in range(N)]
        table = {"id": list(ids), "label": [None, *labels[1:]]}
        for k, name in enumerate(classes):
            table[f"probability_{name}"] = [0.25 + 0.5 * k] * N
        pd.DataFrame(table).to_parquet(folder / "images.parquet")
        group = Cluster(
            "malignant-1", HOSTILE, 12, 0.5, {}, (), tuple(ids[i] for i in range(13) if i != 4),
            {}, 0.0, 0.1, {}, (),
        )  # fmt: skip
        findings = record().findings
        told = dataclasses.replace(
            findings.provenance, classes=classes, config={"sharing": sharing}
        )
        findings = dataclasses.replace(findings, provenance=told, clusters=(group,))
        write_findings(findings, folder / "findings.json")
        manifest = {"run": "run", "shards": "shards/a", "files": {}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return make


def test_every_image_that_was_read_has_a_picture_a_map_and_its_labels(
    made: Callable[..., Path], tmp_path: Path
) -> None:
    project = export_virelay(made(), tmp_path / "out")
    told = json.loads(project.read_text())["project"]
    with h5py.File(project.parent / told["dataset"]["path"]) as images:
        assert images["data"].shape == (N - 1, 3, SIDE, SIDE)
        assert images["label"][0] == 2, "an image without a label is unlabelled"
        assert images["label"][:4].tolist() == [2, 0, 0, 1]
    with h5py.File(project.parent / told["attributions"]["sources"][0]) as maps:
        assert maps["attribution"].shape == (N - 1, 1, SIDE, SIDE)
        store = Store(tmp_path / "audit-full/shards/a", "run", _ids(tmp_path / "audit-full"))
        cells = store.column("relevance.positive")[5].astype(np.float32)
        shown = maps["attribution"][5, 0]
        assert np.array_equal(shown[:: SIDE // GRID, :: SIDE // GRID], cells)
        assert np.array_equal(shown[3 :: SIDE // GRID, 2 :: SIDE // GRID], cells)
        assert maps["prediction"].shape == (N - 1, 2)
        assert maps["index"][:].tolist() == list(range(N - 1))


def test_a_class_has_the_groups_of_the_audit_and_embeddings(
    made: Callable[..., Path], tmp_path: Path
) -> None:
    export_virelay(made(), tmp_path / "out")
    with h5py.File(tmp_path / "out" / "groups.h5") as file:
        assert sorted(file) == ["0", "1"]
        group = file["1"]
        assert group["index"][:].tolist() == list(range(17))  # 18 images, one of them unread
        assert group["cluster"]["melaudit"][:].tolist() == [0] * 12 + [1] * 5
        assert list(group["cluster"]["melaudit"].attrs["names"]) == ["malignant-1", "in no group"]
        places = group["embedding"]["pca"]
        assert places.shape == (17, 8) and len(places.attrs["eigenvalue"]) == 8
        assert np.var(places[:, 0], ddof=1) == pytest.approx(places.attrs["eigenvalue"][0], 1e-3)
        assert group["embedding"]["tsne"].shape == (17, 2)


def test_pictures_come_from_the_data_where_they_are_given(
    made: Callable[..., Path], tmp_path: Path
) -> None:
    folder = made()
    for i, identity in enumerate(_ids(folder)):
        path = tmp_path / "data" / identity
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (50, 40), (i, 2 * i, 3 * i)).save(path)
    export_virelay(folder, tmp_path / "out", tmp_path / "data")
    with h5py.File(tmp_path / "out" / "images.h5") as images:
        assert images["data"][9, :, 5, 5].tolist() == [10, 20, 30]  # row 4 was not read
    (tmp_path / "data" / _ids(folder)[7]).unlink()
    with pytest.raises(StoreError, match="lacks 1 of the 29 images"):
        export_virelay(folder, tmp_path / "out", tmp_path / "data")


def test_an_audit_without_photographs_gives_none_away(
    made: Callable[..., Path], tmp_path: Path
) -> None:
    export_virelay(made("no-images"), tmp_path / "out")
    with h5py.File(tmp_path / "out" / "images.h5") as images:
        assert np.unique(images["data"][:]).tolist() == [200]


def test_hostile_names_are_one_harmless_line(made: Callable[..., Path], tmp_path: Path) -> None:
    export_virelay(made(), tmp_path / "out")
    names = [entry["name"] for entry in json.loads((tmp_path / "out/label-map.json").read_text())]
    assert names == ["benign", "?img onerror=x??malignant", "unlabelled"]


def test_the_command_writes_beside_the_audit(
    made: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made()
    assert main(["export", "virelay", str(folder)]) == 0
    assert (folder / "virelay" / "project.yaml").exists()
    assert "project.yaml" in capsys.readouterr().err


def test_a_folder_that_is_no_audit_and_a_missing_library_are_said(
    made: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = made()
    (folder / "manifest.json").unlink()
    assert main(["export", "virelay", str(folder)]) == 2
    assert "no whole output folder" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert main(["export", "virelay", str(folder)]) == 2
    assert "melaudit[virelay]" in capsys.readouterr().err


def _ids(folder: Path) -> tuple[str, ...]:
    return tuple(pd.read_parquet(folder / "images.parquet")["id"])
