"""Leases: which process computes which unit of a run, told by files in the folder that all share.

A unit is a piece of work whose result is a file: a shard, the visual words, the edits of an
artifact. A process takes a lease on a unit before it computes it, so that no other begins it too. A
lease is no lock: results are published whole and are the same whoever computes them, so two holders
of one lease cost time and nothing else.

A lease is given up by its holder, or taken from one that has ended: at once where that can be seen
(the same machine, no such process), else after it gave no sign of life for `SILENT` seconds of the
observer's own stopwatch. Signs of life are changes of the file's time, whatever time they show, so
clocks may differ between machines and may step.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from melaudit.errors import StoreError

BEAT = 20.0
"""Seconds between two signs of life. Chosen: a round figure, not measured."""
SILENT = 120.0
"""Seconds without a sign of life after which a holder counts as gone: twice what NFS may keep a
file's times back by default (acregmax, 60 s)."""
MAX_LOST = 3
"""Holders that one unit may cost in one run. Chosen: one may be preempted, and another."""
_PAUSE = 0.2
_MAX_PAUSE = 2.0
"""Seconds between two looks at what others have finished, at first and at most. Chosen: round
figures, not measured."""

U = TypeVar("U")


class Turns(Protocol):
    """Who says whether a unit may be computed by this process now."""

    def take(self, unit: str) -> bool:
        """Take a unit; False when another process has it."""
        ...

    def release(self, unit: str) -> None:
        """Give a unit back, computed or not."""
        ...

    def wait(self) -> None:
        """Let others work for a moment."""
        ...


class Alone:
    """The turns of a process that shares its folder with nobody: it may compute everything."""

    def take(self, unit: str) -> bool:
        """Return True."""
        return True

    def release(self, unit: str) -> None:
        """Need nothing."""

    def wait(self) -> None:
        """Never be needed: everything can be taken."""


ALONE = Alone()


@dataclass(frozen=True)
class _Holder:
    """The process that holds a lease, as its file says."""

    host: str
    machine: str
    """Tells machines and their namespaces of processes apart, and one start from the next."""
    pid: int
    born: str
    """When the process began, by the machine's own count: numbers of processes come again."""
    run: str
    lost: int
    """Holders that this unit has cost the run before."""
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def here(cls, run: str, lost: int) -> _Holder:
        pid = os.getpid()
        return cls(platform.node(), _machine(), pid, _born(pid), run, lost)

    @classmethod
    def read(cls, text: str) -> _Holder | None:
        """Read what a lease says; None for one that is not written yet, or not ours."""
        try:
            told = json.loads(text)
            return cls(**told)
        except (ValueError, TypeError):
            return None

    def ended(self) -> bool:
        """Tell whether this process can see that the holder is no more."""
        if not self.machine or self.machine != _machine():
            return False
        return _born(self.pid) != self.born


@dataclass(frozen=True)
class _Sign:
    """The last sign of life of a lease, and when this process first saw it."""

    changed: int
    seen: float


class Leases:
    """The leases of one process in `folder`, on units of the run that `run` names; a context.

    `may_compute` is asked whenever this process looks for what to do next. Raises StoreError, when
    a lease is taken, for a folder that cannot be written, and for a unit that cost `MAX_LOST`
    processes.
    """

    def __init__(
        self,
        folder: Path,
        run: str,
        may_compute: Callable[[], bool] = lambda: True,
        *,
        beat: float = BEAT,
        silent: float = SILENT,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._run, self._may_compute = folder, run, may_compute
        self._beat, self._silent, self._stopwatch = beat, silent, stopwatch
        self._held: dict[str, Path] = {}
        self._signs: dict[str, _Sign] = {}
        self._pause = _PAUSE
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._live, name="leases", daemon=True)

    def __enter__(self) -> Leases:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for unit in list(self._held):
            self.release(unit)

    def take(self, unit: str) -> bool:
        """Take a unit; False when another process has it, or this one may not compute."""
        path = self._folder / _file_name(unit)
        if not self._may_compute():
            return False
        if self._created(path, 0) or self._inherited(unit, path):
            self._held[unit] = path
            self._signs.pop(unit, None)
            self._pause = _PAUSE
            return True
        return False

    def release(self, unit: str) -> None:
        """Give a unit back, computed or not."""
        path = self._held.pop(unit, None)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def wait(self) -> None:
        """Let others work for a moment, a longer one each time until a unit can be taken."""
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _MAX_PAUSE)

    def _created(self, path: Path, lost: int) -> bool:
        """Make the file of a lease, if there is none."""
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            os.write(handle, json.dumps(asdict(_Holder.here(self._run, lost))).encode())
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _unwritable(path, error) from error
        finally:
            os.close(handle)
        return True

    def _inherited(self, unit: str, path: Path) -> bool:
        """Take a unit from a holder that is gone."""
        try:
            with path.open(encoding="utf-8") as file:  # opened: a network's file system looks anew
                changed = os.fstat(file.fileno()).st_mtime_ns
                text = file.read()
        except OSError:  # given back just now
            return False
        holder = _Holder.read(text)
        now = self._stopwatch()
        sign = self._signs.get(unit)
        if sign is None or sign.changed != changed:
            sign = self._signs[unit] = _Sign(changed, now)
        if not (holder is not None and holder.ended()) and now - sign.seen < self._silent:
            return False
        other_run = holder is not None and holder.run != self._run
        lost = 0 if other_run else 1 if holder is None else holder.lost + 1
        if lost >= MAX_LOST:
            where = "" if holder is None else f", the last one on {holder.host}"
            raise StoreError(
                f"{unit} ended {lost} processes one after another{where}. Usually memory ran out: "
                "run the same command again with a smaller --batch-size, fewer --workers or fewer "
                "--processes; what is finished is kept"
            )
        return self._removed(path, text) and self._created(path, lost)

    def _removed(self, path: Path, text: str) -> bool:
        """Take a lease away that says `text`; one of several that try succeeds."""
        aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            path.rename(aside)
            mine = aside.read_text("utf-8") == text
            if mine:
                aside.unlink(missing_ok=True)
            else:  # another was quicker, and this is its lease
                aside.rename(path)
        except OSError:
            return False
        return mine

    def _live(self) -> None:
        """Give signs of life until the end."""
        while not self._over.wait(self._beat):
            for path in list(self._held.values()):
                with contextlib.suppress(OSError):
                    os.utime(path)


class Units(Generic[U]):
    """Units of one kind, until all are there: computed by this process or by others.

    Iterating yields those that this process is to compute, one after another, and ends when all
    are there. A unit that is not there after its turn has failed here, and is not tried again by
    this process.
    """

    def __init__(
        self,
        units: Iterable[U],
        turns: Turns,
        name: Callable[[U], str],
        there: Callable[[U], bool],
        came: Callable[[U], None] = lambda unit: None,
    ) -> None:
        """Take the units of a stage.

        `name` gives a unit's name in the folder. `there` tells whether the result of a unit has
        been published. `came` is called with each unit that another process computed.
        """
        self._left = list(units)
        self._turns, self._name, self._there, self._came = turns, name, there, came

    def __iter__(self) -> Iterator[U]:
        while self._left:
            worked = False
            for unit in self.free():
                worked = True
                try:
                    yield unit
                finally:
                    self.release(unit)
            if not worked:
                self.wait()

    def free(self) -> Iterator[U]:
        """Yield, in one round, each unit that this process now holds; `release` gives it back."""
        for unit in list(self._left):
            if self._there(unit):
                self._left.remove(unit)
                self._came(unit)
            elif self._turns.take(self._name(unit)):
                self._left.remove(unit)
                if self._there(unit):  # published between the two looks
                    self._came(unit)
                    self.release(unit)
                else:
                    yield unit

    def release(self, unit: U) -> None:
        """Let others have a unit that this process held."""
        self._turns.release(self._name(unit))

    @property
    def left(self) -> bool:
        """Whether there are units that are not there, or not known to be."""
        return bool(self._left)

    def wait(self) -> None:
        """Let others work for a moment, if there is anything left to wait for."""
        if self._left:
            self._turns.wait()


def _file_name(unit: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", unit) + ".lease"


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error.strerror or error}; "
        "name a folder that can be written and has space with --out"
    )


def _machine() -> str:
    """Return what names the numbers of processes here; "" where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - it names no file
    except OSError:
        return ""


def _born(pid: int) -> str:
    """Return when a process began; "" for one that is no more."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    after = status.rpartition(")")[2].split()  # a name may hold spaces and brackets
    return "" if after[0] in "ZX" else after[19]
