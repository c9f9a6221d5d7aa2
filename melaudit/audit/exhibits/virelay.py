"""A finished audit as a project of ViRelAy, the viewer of CoRelAy's analyses (Anders et al. 2021).

Written are project.yaml, label-map.json and three HDF5 files: the images, the maps, and for each
predicted class its groups and embeddings. The maps are those that an audit keeps of every image,
GRID cells a side, spread to the size of the images by repeating each cell. Images are shown whole;
where preprocessing crops them, a map is of the crop.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from melaudit.audit.measure.store import Store
from melaudit.errors import ConfigurationError, StoreError
from melaudit.findings import Cluster, Findings, first_clusters
from melaudit.images.dataset import open_dataset
from melaudit.images.grey_depth import white_of
from melaudit.images.imagefile import FULL_WHITE, read_image
from melaudit.measurements import GRID
from melaudit.publish import publish
from melaudit.regular_file import read_regular
from melaudit.reports import read_findings
from melaudit.reports.formats.json_file import MAX_BYTES, parse_json

SIDE = 4 * GRID
"""Side of the images and maps, in pixels."""
MAX_COMPONENTS = 8
"""Principal components in an embedding."""
MAX_TSNE = 2000
"""Images of a class up to which they are embedded by t-SNE as well (van der Maaten 2008)."""
MIN_IMAGES = 10
"""Images of a class below which it is left out. Chosen: a round figure, not measured."""
UNKNOWN = "unlabelled"
GROUPS = "melaudit"
"""Name of the clustering; its last label holds the images that are in no group."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Kept:
    """What an output folder holds of the images that were read."""

    findings: Findings
    ids: tuple[str, ...]
    labels: Rows
    """(n,) class index; the number of classes where unknown."""
    predictions: Rows
    odds: NDArray[np.float32]
    """(n, classes) probabilities."""
    store: Store


def export_virelay(folder: Path, out: Path, data: Path | None = None) -> Path:
    """Write the audit in `folder` into `out` as a project of ViRelAy; return its project.yaml.

    With `data`, the folder or table that was audited, images are drawn from there; without, from
    the tiny pictures that an audit keeps, and grey where it was asked to show none. Raises
    StoreError for a folder that is no finished audit, ConfigurationError without h5py.
    """
    h5py = _h5py()
    kept = _kept(folder)
    out.mkdir(parents=True, exist_ok=True)
    paths = None if data is None else _paths(kept.ids, data)
    with h5py.File(out / "images.h5", "w") as file:
        pictures = file.create_dataset("data", (len(kept.ids), 3, SIDE, SIDE), np.uint8, **_PACKED)
        for row, picture in enumerate(_pictures(kept, paths)):
            pictures[row] = picture.transpose(2, 0, 1)
        file["label"] = kept.labels.astype(np.uint16)
    with h5py.File(out / "maps.h5", "w") as file:
        maps = file.create_dataset(
            "attribution", (len(kept.ids), 1, SIDE, SIDE), np.float32, **_PACKED
        )
        for row, values in enumerate(_maps(kept.store)):
            maps[row, 0] = values
        file["index"] = np.arange(len(kept.ids), dtype=np.uint32)
        file["label"] = kept.predictions.astype(np.uint16)
        file["prediction"] = kept.odds
    with h5py.File(out / "groups.h5", "w") as file:
        for target in range(len(kept.findings.provenance.classes)):
            _write_class(file, target, kept)
    publish(out / "label-map.json", json.dumps(_label_map(kept.findings), indent=2).encode())
    # Every JSON document is a YAML document, and quoting is then nobody's guess.
    project = json.dumps({"project": _project(kept.findings)}, indent=2)
    publish(out / "project.yaml", project.encode())
    return out / "project.yaml"


_PACKED: dict[str, Any] = {"compression": "gzip", "shuffle": True}


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ConfigurationError(
            "ViRelAy reads HDF5 files, and h5py is not installed: pip install 'melaudit[virelay]'"
        ) from error
    return h5py


def _kept(folder: Path) -> Kept:
    findings = read_findings(folder)
    try:
        manifest = parse_json(read_regular(folder / "manifest.json", MAX_BYTES, folder))
        shards = (folder / manifest["shards"]).resolve()
        if not shards.is_relative_to(folder.resolve()):
            raise ValueError("its shards are in another folder")
        table = pd.read_parquet(folder / "images.parquet")
        store = Store(shards, manifest["run"], tuple(table["id"]))
        read = store.column("row")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"{folder} is no whole output folder ({type(error).__name__}: {error}); name one that "
            "`melaudit run` finished, with its shards"
        ) from error
    names = {name: k for k, name in enumerate(findings.provenance.classes)}
    found = table.iloc[read]
    odds = [np.asarray(found[f"probability_{name}"], np.float32) for name in names]
    return Kept(
        findings=findings,
        ids=tuple(found["id"]),
        labels=np.array([names.get(name, len(names)) for name in found["label"]], np.int64),
        predictions=np.asarray(store.column("prediction"), np.int64),
        odds=np.stack(odds, 1),
        store=store,
    )


def _paths(ids: tuple[str, ...], data: Path) -> list[str]:
    dataset = open_dataset(data)
    known = dict(zip(dataset.ids, dataset.paths, strict=True))
    missing = [identity for identity in ids if identity not in known]
    if missing:
        raise StoreError(
            f"{data} lacks {len(missing)} of the {len(ids)} images that were audited, for instance "
            f"{missing[0]}; name the folder or table that was audited"
        )
    return [known[identity] for identity in ids]


def _pictures(kept: Kept, paths: list[str] | None) -> Iterator[NDArray[np.uint8]]:
    """Yield the images (SIDE, SIDE, 3) in order."""
    tiny = kept.store.column("thumbnail")
    given = kept.findings.provenance.config.get("white")
    white = FULL_WHITE if paths is None else white_of(paths, given=given)[0]
    hidden = kept.findings.provenance.config.get("sharing") == "no-images"
    for row in range(len(kept.ids)):
        read = None if paths is None else read_image(paths[row], white=white).image
        image = tiny[row] if read is None else read
        if read is None and hidden:
            image = np.full_like(image, 200)
        yield np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _maps(store: Store) -> Iterator[NDArray[np.float32]]:
    positive, negative = store.column("relevance.positive"), store.column("relevance.negative")
    for plus, minus in zip(positive, negative, strict=True):
        signed = plus.astype(np.float32) - minus.astype(np.float32)
        yield np.kron(signed, np.ones((SIDE // GRID, SIDE // GRID), np.float32))


def _write_class(file: Any, target: int, kept: Kept) -> None:
    """Write the groups and embeddings of one predicted class, named by its number."""
    rows = np.flatnonzero(kept.predictions == target)
    try:
        concepts = kept.store.column("relevance.concepts")[rows].astype(np.float64)
    except KeyError:  # a model without a concept layer
        concepts = np.array([m.ravel() for m in _maps_of(kept.store, rows)])
    usable = np.isfinite(concepts).all(1) if len(rows) else np.zeros(0, bool)
    rows, concepts = rows[usable], concepts[usable]
    if len(rows) < MIN_IMAGES:
        return
    name = kept.findings.provenance.classes[target]
    group = file.create_group(str(target))
    group["name"] = _printable(name)
    group["index"] = rows.astype(np.uint32)
    clusters = [c for c in kept.findings.clusters if c.predicted == name]
    labels = group.create_group("cluster").create_dataset(
        GROUPS, data=_members(clusters, [kept.ids[row] for row in rows]).astype(np.uint32)
    )
    labels.attrs["names"] = [_printable(c.id) for c in clusters] + ["in no group"]
    embedding = group.create_group("embedding")
    pca = PCA(min(MAX_COMPONENTS, *concepts.shape), svd_solver="randomized", random_state=0)
    places = embedding.create_dataset("pca", data=pca.fit_transform(concepts).astype(np.float32))
    places.attrs["eigenvalue"] = pca.explained_variance_.astype(np.float32)
    if len(rows) <= MAX_TSNE:
        near = TSNE(2, perplexity=min(30.0, len(rows) / 4), init="pca", random_state=0)
        embedding["tsne"] = near.fit_transform(concepts).astype(np.float32)


def _maps_of(store: Store, rows: Rows) -> NDArray[np.float32]:
    signed = store.column("relevance.positive")[rows].astype(np.float32)
    found: NDArray[np.float32] = signed - store.column("relevance.negative")[rows]
    return found


def _members(clusters: list[Cluster], ids: list[str]) -> Rows:
    """Return the number of each image's cluster, and their count for an image in none."""
    number = {cluster.id: k for k, cluster in enumerate(clusters)}
    member = first_clusters(clusters)
    return np.array([number.get(member.get(i, ""), len(clusters)) for i in ids], np.int64)


def _label_map(findings: Findings) -> list[dict[str, Any]]:
    names = [*map(_printable, findings.provenance.classes), UNKNOWN]
    return [{"index": k, "word_net_id": str(k), "name": name} for k, name in enumerate(names)]


def _project(findings: Findings) -> dict[str, Any]:
    provenance = findings.provenance
    return {
        "name": f"{_printable(provenance.model)} on {_printable(provenance.data)}",
        "model": _printable(provenance.architecture),
        "label_map": "label-map.json",
        "dataset": {
            "name": _printable(provenance.data),
            "type": "hdf5",
            "path": "images.h5",
            "input_width": SIDE,
            "input_height": SIDE,
            "down_sampling_method": "none",
            "up_sampling_method": "none",
        },
        "attributions": {
            "attribution_method": findings.explanations.engine,
            "attribution_strategy": "predicted_label",
            "sources": ["maps.h5"],
        },
        "analyses": [{"analysis_method": "Groups by channels and maps", "sources": ["groups.h5"]}],
    }


def _printable(text: str) -> str:
    """Return a name as one line that no reader can mistake for markup or an order."""
    return "".join(c if c.isprintable() and c not in "<>&" else "?" for c in text)
