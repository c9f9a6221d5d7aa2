"""A complete audit by the command line that takes a second: what faults are injected into."""

from __future__ import annotations

import hashlib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from melaudit.audit.measure import store
from melaudit.cli.application import main
from melaudit.detectors.interface import Detector
from melaudit.detectors.registry import detectors
from melaudit.detectors.settings import DetectorSettings
from melaudit.domains.interface import Domain

IMAGES = 16
SHARD = 8
DETECTORS = ("conservation", "dark_ring", "near_duplicates")
LEFT_BEHIND = (
    *("report.html", "findings.json", "images.parquet"),
    *("record.zip", "suspicious.csv", "manifest.json"),
)
LONGEST = 3600.0
"""Seconds after which an attempt counts as hung. Chosen: where eight times more is done than there
are processors, an audit that loses two workers and waits for each took longer than 900 seconds."""
NET = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
"""

Disturb = Callable[[Path], None]
"""What is done in the process of an audit before it begins; it gets the folder. Can be pickled."""

_processes = get_context("forkserver")
_processes.set_forkserver_preload(["tests.faults.small_audit", "tests.faults.disturbances"])


def build(folder: Path, images: int = IMAGES) -> None:
    """Write bright and dark images in two class folders, and a net that tells them apart."""
    rng = np.random.default_rng(0)
    for name, low in (("bright", 150), ("dim", 60)):
        (folder / "data" / name).mkdir(parents=True)
        for i in range(images // 2):
            pixels = rng.integers(low, low + 60, (32, 36, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "data" / name / f"{i:05d}.png")
    (folder / "net.py").write_text(NET, "utf-8")
    state = {
        "0.weight": torch.full((4, 3, 3, 3), 0.04),
        "0.bias": torch.zeros(4),
        "4.weight": torch.tensor([[1.0] * 4, [-1.0] * 4]),
        "4.bias": torch.tensor([-2.0, 2.0]),
    }
    torch.save(state, folder / "net.pt")


@dataclass(frozen=True)
class Attempt:
    """How a process ended that ran the audit."""

    code: int
    """The exit code; the number of the signal, negated, that killed it; 1000 if it hung."""
    said: str
    """What it wrote to the terminal."""


def attempt(folder: Path, disturb: Disturb | None = None, *options: str) -> Attempt:
    """Run the audit of `folder` in a process of its own, disturbed in some way."""
    process = begin(folder, disturb, *options)
    process.join(LONGEST)
    return end(process, folder)


def begin(folder: Path, disturb: Disturb | None = None, *options: str) -> _processes.Process:  # type: ignore[name-defined]
    """Start the audit of `folder` in a process of its own."""
    usual = ("--model", "net.pt", "--data", "data", "--factory", "net.py:build", "--out", "out")
    quick = ("--image-size", "32", "--workers", "0", "--batch-size", "4", "--check-images", "2")
    method = ("--engine", "gradient_x_input", "--edits", "2", "--domain", "dermoscopy")
    return _begun(folder, disturb, ("run", *usual, *quick, *method, *options), "said.txt")


def begin_worker(
    folder: Path, disturb: Disturb | None = None, name: str = "worker.txt"
) -> _processes.Process:  # type: ignore[name-defined]
    """Start a worker of that audit, whose words are in the file `name`."""
    arguments = ("worker", "out", "--factory", "net.py:build", "--wait", str(LONGEST))
    return _begun(folder, disturb, arguments, name)


def _begun(
    folder: Path, disturb: Disturb | None, arguments: Sequence[str], name: str
) -> _processes.Process:  # type: ignore[name-defined]
    process = _processes.Process(target=_command, args=(folder, disturb, arguments, name))
    process.start()
    return process


def end(process: _processes.Process, folder: Path, name: str = "said.txt") -> Attempt:  # type: ignore[name-defined]
    """Return how a process ended; one that has not by now is killed."""
    hung = process.is_alive()
    process.kill()
    process.join()
    said = (folder / name).read_text("utf-8", "replace")
    return Attempt(1000 if hung else process.exitcode or 0, said)


def _command(folder: Path, disturb: Disturb | None, arguments: Sequence[str], name: str) -> None:
    os.chdir(folder)
    said = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o666)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.environ |= {"SOURCE_DATE_EPOCH": "1", "COLUMNS": "200"}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    store.SHARD = SHARD
    put("melaudit.audit.runner", "all_detectors", _few)
    if disturb is not None:
        disturb(folder)
    code = main(list(arguments))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def put(module: str, name: str, value: object) -> None:
    """Put something in the place of what a module has under a name."""
    setattr(importlib.import_module(module), name, value)


def _few(settings: DetectorSettings, field: Domain) -> tuple[Detector, ...]:
    few = tuple(d for d in detectors(settings, field) if d.id in DETECTORS)
    assert len(few) == len(DETECTORS), [d.id for d in few]
    return few


def left_behind(folder: Path) -> dict[str, str]:
    """Return the hash of each file that a finished audit leaves behind; empty if one is missing."""
    paths = [folder / "out" / name for name in LEFT_BEHIND]
    if not all(path.exists() for path in paths):
        return {}
    return {path.name: hash_of(path) for path in paths}


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
