"""Workers on this machine: one process for each GPU, or some that share the processor's cores."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from melaudit.audit.engines.interface import Ended, command
from melaudit.audit.engines.plan import FOLDER
from melaudit.errors import StoreError

_GRACE = 10.0
"""Seconds that workers have to end when they are asked to."""


@dataclass
class Local:
    """Processes of this machine."""

    workers: dict[str, tuple[subprocess.Popen[bytes], Path]]
    """Name -> process, and the file with what it says."""
    count: int
    computes_here = True

    def ended(self) -> Sequence[Ended]:
        """Return the workers that ended since the last call."""
        over = []
        for name, (process, log) in list(self.workers.items()):
            code = process.poll()
            if code is not None:
                del self.workers[name]
                over.append(Ended(name, code, last_line(log)))
        return over


@contextlib.contextmanager
def local(out: Path, processes: int, factory: str | None) -> Iterator[Local]:
    """Have so many processes compute the run in `out`, this one among them.

    On a GPU each has its own, as far as there are; else they share the cores that there are.
    """
    workers: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
    started: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as stack:
        stack.callback(_end, started)
        stack.enter_context(_threads(processes))
        environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
        for number in range(1, processes):
            log = out / FOLDER / f"worker-{number}.log"
            try:
                said = stack.enter_context(log.open("wb"))
                process = subprocess.Popen(  # noqa: S603 - our own command, as a list
                    command(out, factory),
                    stdin=subprocess.PIPE,
                    stdout=said,
                    stderr=said,
                    env={**environment, "LOCAL_RANK": str(number)},
                    start_new_session=True,  # an interrupt is this process's to pass on
                )
            except OSError as error:
                raise StoreError(
                    f"process {number + 1} of {processes} cannot be started: {error.strerror}; "
                    "ask for fewer --processes"
                ) from error
            started.append(process)
            workers[f"process {number + 1}"] = process, log
        yield Local(workers, len(workers))


@contextlib.contextmanager
def _threads(processes: int) -> Iterator[None]:
    """Give this process its share of the threads that it would have alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // processes))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    end = time.monotonic() + _GRACE
    for process in processes:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def last_line(log: Path) -> str:
    """Return the last line of what a worker said; "" where there is none."""
    try:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
