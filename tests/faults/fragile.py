"""Processes that decode images, and images that kill or stop them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from melaudit.audit.prepare import reader
from melaudit.audit.prepare.reader import Decoding
from melaudit.images import image_stream, limits
from melaudit.images.image_stream import _Files
from melaudit.images.imagefile import Decoded
from melaudit.images.worker_pool import Announce, Lost, WorkerPool
from tests.faults.disturbances import AT, FIRED, put_on

FIRST = "bright/00000.png"
"""The image that is looked at before all others."""


class FragileDecoding(Decoding):
    """Decoding before the pass that kills or stops its process at the first image of all."""

    signal = 0

    def __call__(self, job: tuple[str, int], lost: Lost, announce: Announce) -> Decoded:
        """Return the image of a file."""
        announce(0)
        if job[0].endswith(FIRST) and not lost:
            os.kill(os.getpid(), self.signal)
        return super().__call__(job, lost, announce)


def before_the_pass(number: int, _: Path) -> None:
    """Let the first image kill or stop the process that decodes before the pass."""

    def decoding() -> Decoding:
        made = FragileDecoding()
        made.signal = number
        return made

    put_on(reader, "Decoding", decoding)
    put_on(WorkerPool.__init__, "__defaults__", (5.0,))  # seconds, in place of a minute


class Fragile(_Files):
    """Work that kills or stops its process at one image, once or whenever it comes to it."""

    signal, once = 0, ""

    def _load(self, path: str, lost: str | None) -> Any:
        usual = lost is not None or not limits._State.in_worker
        if path.endswith(AT) and not usual and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).mkdir()
            os.kill(os.getpid(), self.signal)
        return super()._load(path, lost)


def workers(number: int, once: bool, folder: Path) -> None:
    """Let an image kill or stop its worker; once: as if somebody else had done it."""

    def files(*arguments: Any) -> _Files:
        made = Fragile(*arguments)
        made.signal, made.once = number, str(folder / FIRED) if once else ""
        return made

    put_on(image_stream, "_Files", files)
    put_on(WorkerPool.__init__, "__defaults__", (5.0,))  # seconds, in place of a minute
