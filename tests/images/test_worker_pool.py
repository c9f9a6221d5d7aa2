"""The pool of processes: whatever becomes of a process, every job gets its result, and in time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from melaudit.errors import DatasetError
from melaudit.images import worker_pool
from melaudit.images.worker_pool import Announce, Lost, WorkerPool

WAIT = 1.0
JOBS = [["a", "b", "c"], ["d"], ["e", "f"], ["g", "h"]]
NOTHING_LOST = [[item.upper() for item in job] for job in JOBS]

Pool = WorkerPool[list[str], list[str]]


@dataclass(frozen=True)
class Shout:
    """Returns items in capitals, and does something bad to its process at one of them."""

    fatal: str = ""
    signal: int = signal.SIGKILL
    once: str = ""
    """A file; the bad thing happens only until it exists."""

    def prepare(self) -> None:
        """Do nothing."""

    def __call__(self, job: list[str], lost: Lost, announce: Announce) -> list[str]:
        """Return the items in capitals."""
        results = []
        for number, item in enumerate(job):
            announce(number)
            if number in lost:
                results.append(lost[number])
                continue
            if item == self.fatal and not (self.once and Path(self.once).exists()):
                if self.once:
                    Path(self.once).touch()
                os.kill(os.getpid(), self.signal)
            if item == "wrong":
                raise ValueError("no such item")
            results.append(item.upper())
        return results


@dataclass(frozen=True)
class StopsInTheMiddle(Shout):
    """Its result is large, and its process stops before all of it is read."""

    def __call__(self, job: list[str], lost: Lost, announce: Announce) -> list[str]:
        """Return the items, many times if for the first time."""
        if Path(self.once).exists():
            return super().__call__(job, lost, announce)
        Path(self.once).touch()
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGSTOP)).start()
        return job * 1_000_000


@dataclass(frozen=True)
class StopsWhenFetched(Shout):
    """Its result is fetched from its process, as a tensor is, which does not answer."""

    def __call__(self, job: list[str], lost: Lost, announce: Announce) -> list[str]:
        """Return the items; what must be fetched if for the first time."""
        if Path(self.once).exists():
            return super().__call__(job, lost, announce)
        Path(self.once).touch()
        return [*job, Fetched()]


class Fetched(str):
    """Text that is not sent, but fetched."""

    def __reduce__(self) -> tuple[Callable[[int], str], tuple[int]]:
        return _fetch, (os.getpid(),)


def _fetch(process: int) -> str:
    """Wait for a process that has stopped, until it is gone."""
    os.kill(process, signal.SIGSTOP)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if ") Z" in Path(f"/proc/{process}/stat").read_text():
            raise ConnectionResetError
        time.sleep(0.05)
    return "never answered"


def of(job: list[str], **gone: str) -> list[str]:
    return [gone.get(item, item.upper()) for item in job]


@pytest.mark.parametrize("count", [1, 3])
def test_results_come_in_order_whoever_makes_them_and_the_processes_are_gone(count: int) -> None:
    with Pool(Shout(), count) as pool:
        processes = [worker._process for worker in pool._workers]
        assert list(pool.map(JOBS * 3)) == NOTHING_LOST * 3
    assert not any(process.is_alive() for process in processes)


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "decoder_died"), (signal.SIGSTOP, "decoder_hangs")]
)
def test_an_item_that_does_it_twice_is_given_up_and_no_other(number: int, reason: str) -> None:
    with Pool(Shout("b", number), 2, WAIT) as pool:
        assert list(pool.map(JOBS)) == [of(job, b=reason) for job in JOBS]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_a_process_that_others_end_or_stop_loses_nothing(number: int, tmp_path: Path) -> None:
    with Pool(Shout("b", number, str(tmp_path / "done")), 1, WAIT) as pool:
        assert list(pool.map(JOBS)) == NOTHING_LOST
        os.kill(pool._workers[0]._process.pid or 0, number)  # while it has nothing to do
        assert list(pool.map(JOBS)) == NOTHING_LOST


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
@pytest.mark.parametrize("work", [StopsInTheMiddle, StopsWhenFetched])
def test_a_process_that_stops_while_its_result_is_sent_or_fetched_is_replaced(
    work: type[Shout], tmp_path: Path
) -> None:
    with Pool(work(once=str(tmp_path / "done")), 1, WAIT) as pool:
        (worker,) = pool._workers
        worker.give(JOBS[0])
        time.sleep(1)
        assert worker.result() == NOTHING_LOST[0]


def test_a_stopped_process_does_not_hold_up_the_end() -> None:
    with Pool(Shout(), 2) as pool:
        assert next(pool.map(JOBS)) == ["A", "B", "C"]
        for worker in pool._workers:
            os.kill(worker._process.pid or 0, signal.SIGSTOP)
        start = time.monotonic()
    assert time.monotonic() - start < 10
    assert not any(worker._process.is_alive() for worker in pool._workers)


def test_processes_lost_one_after_another_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_MAX_LOSSES", 1)
    with (
        Pool(Shout("b"), 1, WAIT) as pool,
        pytest.raises(DatasetError, match=r"2 processes .* died.* fewer --workers"),
    ):
        list(pool.map(JOBS))


def test_what_the_work_raises_is_said() -> None:
    with Pool(Shout(), 1) as pool, pytest.raises(DatasetError, match="ValueError: no such item"):
        list(pool.map([["wrong"]]))


class NeverReady(Shout):
    """Work that no process can begin."""

    def prepare(self) -> None:
        """End the process."""
        raise SystemExit


def test_processes_that_cannot_start_are_an_error() -> None:
    with Pool(NeverReady(), 1) as pool, pytest.raises(DatasetError, match="__main__"):
        list(pool.map(JOBS))


def test_jobs_are_taken_only_a_little_ahead() -> None:
    taken = 0

    def jobs() -> Iterator[list[str]]:
        nonlocal taken
        for job in JOBS * 5:
            taken += 1
            yield job

    with Pool(Shout(), 2) as pool:
        next(pool.map(jobs()))
    assert taken == 4


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows")
def test_an_interrupt_does_not_reach_a_process_however_early_it_comes() -> None:
    """Ctrl-C goes to every process of a terminal, and these may still be importing."""
    with Pool(Shout(), 1) as pool:
        (worker,) = pool._workers
        for _ in range(20):
            os.kill(worker._process.pid or 0, signal.SIGINT)
            time.sleep(0.01)
        assert list(pool.map(JOBS)) == NOTHING_LOST
        assert worker._process.exitcode is None
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
