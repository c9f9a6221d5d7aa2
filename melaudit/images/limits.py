"""Limits for the decoding of one image: processor time, and in a worker process memory."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

MAX_SECONDS = 20.0
"""Processor time for one image; waiting for a slow disk does not count. Chosen: four times what the
slowest image takes that is decoded, 64 megapixels of noise in 10 scans (5 seconds)."""
MAX_MEMORY = 3 * 2**30
"""Bytes that decoding one image may take in a worker. Chosen: a round figure; 64
megapixels take about 1.2 GiB."""


class OutOfTimeError(Exception):
    """An image that takes longer to decode than any image should."""


class _State:
    """What the signal's handler and the worker's start leave behind, process by process."""

    decoding = False
    in_worker = False


def be_a_worker() -> None:
    """Note that this process does nothing but decode, so that its memory may be limited."""
    _State.in_worker = Path("/proc/self/statm").exists()


@contextlib.contextmanager
def limited(seconds: float = MAX_SECONDS) -> Iterator[None]:
    """Raise OutOfTimeError or MemoryError within, when decoding takes too much of either.

    Time is limited where signals allow it: in the main thread of a process on Unix whose SIGPROF
    nobody else uses. A decoder that never returns to Python is not interrupted; `ImageStream` ends
    the process in which it runs.
    """
    with _limited_memory(), _limited_time(seconds):
        yield


@contextlib.contextmanager
def _limited_time(seconds: float) -> Iterator[None]:
    usable = (
        hasattr(signal, "SIGPROF")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGPROF) is signal.SIG_DFL
    )
    if not usable:
        yield
        return
    signal.signal(signal.SIGPROF, _out_of_time)
    _State.decoding = True
    # It rings again every second, because decoders swallow errors of some of their steps.
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
    try:
        yield
    finally:
        _State.decoding = False  # first: a signal may be on its way
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)


def _out_of_time(_: int, __: FrameType | None) -> None:
    if _State.decoding:
        raise OutOfTimeError


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    if not _State.in_worker:
        yield
        return
    import resource  # imported here: Windows has none, and nothing to limit memory with

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    limit = pages * resource.getpagesize() + MAX_MEMORY
    if before[0] != resource.RLIM_INFINITY:
        limit = min(limit, before[0])
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
