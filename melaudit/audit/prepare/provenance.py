"""What a run is made of: hashes and versions that tell one run from another."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from melaudit.images.dataset import Dataset

PACKAGES = ("torch", "torchvision", "zennit", "zennit-crp", "numpy", "scikit-learn", "pillow")


def versions() -> dict[str, str]:
    """Return the versions that can change a figure, melaudit's own first."""
    found = {"melaudit": _version("melaudit"), "python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


@functools.cache
def code_fingerprint() -> str:
    """Hash melaudit's own source: another version of the code never resumes a run of this one."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def run_id(
    model_sha256: str, dataset: Dataset, settings: Mapping[str, Any], detectors: Sequence[str]
) -> str:
    """Name a run by all that decides its measurements; equal names mean equal shards."""
    contents = b"" if dataset.contents is None else dataset.contents.tobytes()
    data = [dataset.fingerprint, hashlib.sha256(contents).hexdigest()]
    facts = [model_sha256, data, settings, list(detectors), versions(), code_fingerprint()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
