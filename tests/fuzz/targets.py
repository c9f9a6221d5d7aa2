"""The boundaries that are fuzzed: what each is given, and what must hold whatever that is."""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from safetensors.torch import save

from melaudit.audit.prepare.configuration import configure
from melaudit.errors import MelauditError
from melaudit.images.dataset import open_dataset
from melaudit.images.imagefile import read_image
from melaudit.models.checkpoint import load_tensors
from melaudit.policy import read_policy
from melaudit.reports import read_record, render_report
from tests.fuzz import inputs
from tests.hostile.checkpoints import archive, weights
from tests.hostile.outputs import good, ran
from tests.hostile.tables import PLAIN
from tests.images.encoded import JPEG, PNG, encoded, photo

SECONDS = 20.0
"""Processor time that one input may take."""


@dataclass(frozen=True)
class Target:
    """A boundary, and inputs for it."""

    name: str
    inputs: SearchStrategy[Any]
    give: Callable[[Any, Path], None]
    """Give it an input, in an empty folder; raises unless a sound result comes of it.

    A MelauditError is a clean refusal."""

    def run(self, content: Any) -> None:
        """Give it an input; raises AssertionError, or what the package raised, if it fails."""
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            try:
                self.give(content, Path(folder))
            except MelauditError as error:
                assert "\n" not in str(error), "a refusal of several lines"
        assert time.process_time() - start < SECONDS, "it took too long"


def _checkpoint(content: bytes, folder: Path) -> None:
    """Read in this process: a crash of the interpreter should be seen, not refused."""
    path = Path("fuzzed.pt")
    tensors, said = load_tensors([(path, content)], path)
    json.dumps(said)
    for tensor in tensors.values():
        assert tensor.layout is torch.strided
        assert tensor.device.type == "cpu"
        assert not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _table(content: bytes, folder: Path) -> None:
    for i in range(20):
        (folder / f"{i:03}.jpg").write_bytes(b"pixels")
    (folder / "table.csv").write_bytes(content)
    found = open_dataset(folder / "table.csv")
    inside = os.path.realpath(folder)
    assert all(os.path.realpath(path).startswith(inside) for path in found.paths)
    assert len(set(found.paths)) == len(found.paths)
    assert all(name.isprintable() for name in (*found.ids, *found.classes))


def _image(content: bytes, folder: Path) -> None:
    (folder / "a.png").write_bytes(content)
    found = read_image(folder / "a.png")
    assert found.status in ("ok", "flagged", "skipped")
    assert (found.status == "ok") == (not found.reasons)
    if found.image is not None:
        assert found.image.shape[2] == 3


def _findings(document: Any, folder: Path) -> None:
    (folder / "findings.json").write_text(json.dumps(document))
    for arguments in (("gate",), ("diff", str(folder), "--html", str(folder / "diff.html"))):
        outcome = ran(arguments[0], str(folder), *arguments[1:])
        assert outcome in ("used", "failed", "refused", "inconclusive"), outcome
    page = folder / "diff.html"
    assert not page.exists() or "<script>x" not in page.read_text("utf-8")


def _record(content: bytes, folder: Path) -> None:
    (folder / "findings.json").write_bytes(good()[0])
    (folder / "record.zip").write_bytes(content)
    render_report(read_record(folder))


def _policy(text: str, folder: Path) -> None:
    path = folder / "policy.toml"
    path.write_text(text, "utf-8", "surrogatepass")
    accepted = read_policy(path).performance.accuracy
    assert accepted is None or 0 <= accepted <= 1


def _settings(text: str, folder: Path) -> None:
    (folder / "melaudit.toml").write_text(text, "utf-8", "surrogatepass")
    configure({"model": folder / "a.pt"}, folder)


def _old(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@functools.cache
def targets() -> tuple[Target, ...]:
    """Return every target."""
    sound = [archive(), save(weights()), _old(weights()), pickle.dumps({"a": 1}, 2)]
    images = [JPEG, PNG, *(encoded(photo(), kind) for kind in ("GIF", "BMP", "TIFF", "WEBP"))]
    tables = ["performance", "coverage", "pass", "waiver", "detectors.x"]
    return (
        Target(
            "checkpoint",
            st.one_of(
                inputs.damaged(sound),
                inputs.PICKLES,
                inputs.PICKLES.map(archive),
                inputs.headers(),
            ),
            _checkpoint,
        ),
        Target("image", inputs.damaged(images) | st.binary(max_size=200), _image),
        Target("table", inputs.damaged([PLAIN.encode()]) | inputs.tables(), _table),
        Target("findings", inputs.changed(json.loads(good()[0])) | inputs.JSON, _findings),
        Target("record", inputs.damaged([good()[1]]), _record),
        Target("policy", inputs.toml(tables, ["min_images", "fail_on", "recall.a"]), _policy),
        Target("settings", inputs.toml(tables, ["mean", "batch_size", "preprocess"]), _settings),
    )
