"""Work whose process is killed or stopped at one image, whatever the work is.

A process that does it imports this module, which therefore imports next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from melaudit.images.worker_pool import Announce, Lost, Work, WorkerPool

if TYPE_CHECKING:
    import pytest

J = TypeVar("J", str, Sequence[object])
R = TypeVar("R")

WAIT = 5.0
"""Seconds for one image, in place of a minute; on a busy machine others take some too."""


@dataclass(frozen=True)
class Fatal(Generic[J, R]):
    """Does `work` until it comes to an image, every time."""

    work: Work[J, R]
    image: str
    """How its path ends."""
    number: int
    """The signal that the process gets then."""

    def prepare(self) -> None:
        """Make the process ready."""
        self.work.prepare()

    def __call__(self, job: J, lost: Lost, announce: Announce) -> R:
        """Return the result of the job: a path, or several, perhaps each with a number."""
        paths = [path_of(item) for item in ([job] if isinstance(job, str) else job)]

        def announced(number: int) -> None:
            announce(number)
            if paths[number].endswith(self.image) and number not in lost:
                os.kill(os.getpid(), self.number)

        return self.work(job, lost, announced)


def path_of(item: object) -> str:
    """Return the path in what a job says of one image; "" where it says none."""
    parts = item if isinstance(item, tuple) else (item,)
    return next((part for part in parts if isinstance(part, str)), "")


def make_fatal(image: str, number: int, patch: pytest.MonkeyPatch) -> None:
    """Let every process of a pool get a signal whenever it comes to an image."""
    usual = WorkerPool.__init__

    def fatal(self: Any, work: Work[Any, Any], count: int) -> None:
        usual(self, Fatal(work, image, number), count, WAIT)

    patch.setattr(WorkerPool, "__init__", fatal)
