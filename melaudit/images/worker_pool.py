"""Processes that do jobs of many items, and are replaced when an item kills or holds them up.

Every wait has an end. A process that gives no sign of life for so long is killed by the signal that
nothing withstands, not even a stopped process.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import pickle
import signal
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Generic, Protocol, TypeVar

from melaudit.errors import DatasetError, MelauditError
from melaudit.images.limits import be_a_worker

MAX_WAIT = 60.0
"""Seconds for one item, waiting for the disk included. Chosen: three times the processor time that
decoding one image may take (`limits.MAX_SECONDS`)."""
_MAX_START = 300.0
"""Seconds for a process to start and import. Chosen: a round figure, not measured."""
_MAX_END = 2.0
"""Seconds for idle processes to end by themselves. Chosen: a round figure, not measured."""
_AHEAD = 2
"""Jobs that a process has at a time: one in work and one to go on with, as in torch's DataLoader.
"""
_MAX_TRIES = 2
"""Processes that an item may cost: the first may have been killed for another reason."""
_MAX_LOSSES = 20
"""Processes that may be lost without a finished job between. Chosen: a round figure, not
measured."""

_NUMBER = struct.Struct("q")
_STARTED = -1

J = TypeVar("J")
R = TypeVar("R")
J_contra = TypeVar("J_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

Announce = Callable[[int], None]
"""Called with the number of an item within its job before anything is done with the item."""
Lost = Mapping[int, str]
"""Number of an item within its job -> why it was given up: decoder_died or decoder_hangs."""


class Work(Protocol[J_contra, R_co]):
    """What a process does with a job. It can be pickled."""

    def prepare(self) -> None:
        """Make the process ready for its first job."""
        ...

    def __call__(self, job: J_contra, lost: Lost, announce: Announce) -> R_co:
        """Return the result; items that are lost are not touched."""
        ...


class WorkerPool(Generic[J, R]):
    """`count` processes that do `work`; a context, at whose end they are gone."""

    def __init__(self, work: Work[J, R], count: int, wait: float = MAX_WAIT) -> None:
        self._workers = [_Worker(work, wait) for _ in range(count)]

    def __enter__(self) -> WorkerPool[J, R]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.dismiss()
        end = time.monotonic() + _MAX_END
        for worker in self._workers:
            worker.end(max(0.0, end - time.monotonic()))

    def map(self, jobs: Iterable[J]) -> Iterator[R]:
        """Yield the result of every job, in order; `jobs` is consumed earlier than this yields.

        Raises DatasetError if no process can be started, if many are lost one after another, or if
        the work itself fails.
        """
        due: deque[_Worker[J, R]] = deque()
        for job, worker in zip(jobs, itertools.cycle(self._workers), strict=False):
            worker.give(job)
            due.append(worker)
            if len(due) == _AHEAD * len(self._workers):
                yield due.popleft().result()
        while due:
            yield due.popleft().result()


def results(work: Work[J, R], jobs: Iterable[J], workers: int) -> Generator[R, None, None]:
    """Yield the result of every job, in order: by so many processes, or with 0 in this one.

    Processes start with the first job, and are gone when the generator is closed. Raises as
    `WorkerPool.map`.
    """
    jobs = iter(jobs)
    if not workers:
        for job in jobs:
            yield work(job, {}, lambda _: None)
        return
    first = tuple(itertools.islice(jobs, workers))
    with WorkerPool(work, len(first)) as pool:  # none that would have nothing to do
        yield from pool.map(itertools.chain(first, jobs))


@dataclass(frozen=True)
class _Failure:
    """An exception that the work raised."""

    text: str
    complete: bool
    """Whether it says itself what to do."""


class _Worker(Generic[J, R]):
    """One process at a time, and the jobs that it owes."""

    def __init__(self, work: Work[J, R], wait: float) -> None:
        self._work, self._wait = work, wait
        self._jobs: deque[J] = deque()
        self._tries: Counter[int] = Counter()
        """Number of an item of the first job -> processes it has cost."""
        self._lost: dict[int, str] = {}
        self._losses = 0
        self._start()

    def _start(self) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(self._work, theirs), daemon=True
        )
        with uninterrupted():
            self._process.start()
        theirs.close()
        self._limited = _limit_waits(self._connection, self._wait)
        self._started = False
        self._item: int | None = None

    def give(self, job: J) -> None:
        """Send a job."""
        self._jobs.append(job)
        self._send(job, {})

    def _send(self, job: J, lost: Lost) -> None:
        try:
            self._connection.send((job, dict(lost)))
        except OSError:  # noticed when the result is waited for
            self._process.kill()

    def result(self) -> R:
        """Return the result of the oldest job."""
        while True:
            try:
                done, result = self._receive()
            except TimeoutError:
                self._replace("decoder_hangs")
            except (EOFError, OSError):
                self._replace("decoder_died")
            else:
                if done:
                    break
        if isinstance(result, _Failure):
            if result.complete:
                raise DatasetError(result.text)
            raise DatasetError(
                f"a process that reads images failed: {result.text}. Usually memory ran out: run "
                "with fewer --workers or a smaller --batch-size"
            )
        self._jobs.popleft()
        self._tries.clear()
        self._lost.clear()
        self._losses, self._item = 0, None
        return result  # type: ignore[return-value]  # done, so it is no sign of life: None may be R

    def _receive(self) -> tuple[bool, R | _Failure | None]:
        """Return the next result; (False, None) for a sign of life."""
        asks = not (self._limited and self._started)  # it costs more than a sign of life
        if asks and not self._connection.poll(self._wait if self._started else _MAX_START):
            raise TimeoutError
        try:
            message = self._connection.recv_bytes()
        except BlockingIOError as error:  # no sign, or not the whole of one
            raise TimeoutError from error
        if len(message) == _NUMBER.size:
            (number,) = _NUMBER.unpack(message)
            self._started, self._item = True, None if number == _STARTED else number
            return False, None
        # A tensor is fetched from the process, which may stop in the middle of it.
        with _killed_after(self._wait, self._process.kill):
            return True, pickle.loads(message)  # noqa: S301 - from our own process

    def _replace(self, reason: str) -> None:
        """Go on with another process, without an item that has cost too many."""
        self._process.kill()
        self._process.join()
        self._connection.close()
        if not self._started:
            raise DatasetError(
                "no process that reads images can be started. A script that calls melaudit with "
                'workers must do so under `if __name__ == "__main__":`; --workers 0 needs none'
            )
        self._losses += 1
        if self._losses > _MAX_LOSSES:
            raise DatasetError(
                f"{self._losses} processes that read images were lost one after another, the last "
                f"one because it {'hung' if reason == 'decoder_hangs' else 'died'}. Usually memory "
                "ran out or the disk is stalled. Run again, with fewer --workers: what is finished "
                "is kept"
            )
        if self._item is not None:
            self._tries[self._item] += 1
            if self._tries[self._item] >= _MAX_TRIES:
                self._lost[self._item] = reason
        self._start()
        for i, job in enumerate(self._jobs):
            self._send(job, self._lost if i == 0 else {})

    def dismiss(self) -> None:
        """Let the process end by itself when it has nothing to do."""
        self._connection.close()

    def end(self, seconds: float) -> None:
        """End the process, which may take so long to do it by itself."""
        self._process.join(seconds)
        self._process.kill()
        self._process.join()


def _limit_waits(connection: Connection, seconds: float) -> bool:
    """Let sending and receiving end with an error after so long; tell whether that can be."""
    limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))  # a timeval
    try:
        with socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as side:
            side.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    except (AttributeError, OSError):  # Windows, where a pipe is no socket
        return False
    return True


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold interrupts back; a process that is started meanwhile never gets any.

    Else Ctrl-C, which goes to all processes of a terminal, would end it in its imports, with a
    traceback of its own, before `_serve` can ignore it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _killed_after(seconds: float, kill: Callable[[], None]) -> Iterator[None]:
    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _serve(work: Work[J, R], connection: Connection) -> None:
    """Do jobs until there is nobody to send any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # interrupts are the parent process's
    be_a_worker()
    work.prepare()

    def announce(number: int) -> None:
        connection.send_bytes(_NUMBER.pack(number))

    with contextlib.suppress(EOFError, OSError):
        announce(_STARTED)
        while True:
            job, lost = connection.recv()
            try:
                result: R | _Failure = work(job, lost, announce)
            except MelauditError as error:
                result = _Failure(str(error), complete=True)
            except Exception as error:
                result = _Failure(f"{type(error).__name__}: {error}", complete=False)
            connection.send(result)
