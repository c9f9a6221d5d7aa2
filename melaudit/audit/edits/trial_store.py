"""What the model said of edited images, kept artifact by artifact, so that a killed run goes on.

One file for each artifact, written whole or not at all, beside the shards of the same run. Its name
carries a hash of its content, and the file the stamp of the run, as a shard's do.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from melaudit.measurements import Array
from melaudit.publish import publish

STAMP = "stamp"


class TrialStore:
    """Named arrays of artifacts in `folder`; `run` names all that decides what is in them."""

    def __init__(self, folder: Path, run: str) -> None:
        self._folder, self._run = folder, run

    def read(self, artifact: str) -> dict[str, Array] | None:
        """Return the arrays of an artifact; None where none of this run are there and whole."""
        for path in sorted(self._folder.glob(f"{self.head(artifact)}-*.npz")):
            content = path.read_bytes()
            if path.name != self._name(artifact, content):
                path.unlink(missing_ok=True)  # cut short, or changed since
                continue
            try:
                with np.load(io.BytesIO(content), allow_pickle=False) as file:
                    arrays = {name: file[name] for name in file.files}
            except (ValueError, OSError, zipfile.BadZipFile):
                continue
            if str(arrays.pop(STAMP, "")) == self._run:
                return arrays
        return None

    def write(self, artifact: str, arrays: Mapping[str, Array]) -> None:
        """Keep the arrays of an artifact. Raises StoreError when the folder cannot be written."""
        buffer = io.BytesIO()
        stamped: dict[str, Array] = {STAMP: np.array(self._run), **arrays}
        np.savez(buffer, allow_pickle=False, **stamped)  # numbers hardly shrink
        content = buffer.getvalue()
        publish(self._folder / self._name(artifact, content), content)

    def _name(self, artifact: str, content: bytes) -> str:
        return f"{self.head(artifact)}-{hashlib.sha256(content).hexdigest()[:24]}.npz"

    def head(self, artifact: str) -> str:
        """Return how an artifact's files are named; ids may be anybody's, and of any kind."""
        return "edits-" + hashlib.sha256(f"{self._run}\0{artifact}".encode()).hexdigest()[:16]
