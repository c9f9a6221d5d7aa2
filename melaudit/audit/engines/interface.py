"""What an engine is: something that supplies processes, each of which runs `melaudit worker`.

Nothing of the run passes through it. What a worker computes is in the shared folder, and an engine
only tells how its workers ended.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from melaudit.errors import ConfigurationError
from melaudit.observer import Observer

REFUSED = 2
"""The exit code of a worker that could not go on (`MelauditError.exit_code`)."""
LOST = 75
"""Stands for the exit code of a worker that was lost with its machine, and might do well elsewhere
(EX_TEMPFAIL of sysexits.h)."""
_CANNOT = (1, REFUSED, 4, 127)
"""Exit codes of workers that would fail again: Python without melaudit, a fault, no Python."""


@dataclass(frozen=True)
class Ended:
    """How a worker ended."""

    where: str
    code: int
    """Its exit code; the number of the signal, negated, that killed it."""
    said: str
    """The last line that it wrote."""


class Engine(Protocol):
    """Supplies workers. It is a context, at whose end they are gone."""

    count: int
    """How many it supplies."""
    computes_here: bool
    """Whether the process that concludes computes beside them."""

    def ended(self) -> Sequence[Ended]:
        """Return the workers that ended since the last call."""
        ...


@dataclass
class Watch:
    """Watches the workers of an engine, and tells whoever watches the run."""

    engine: Engine
    observer: Observer
    _ended: list[Ended] = field(default_factory=list)

    def __call__(self) -> bool:
        """Tell of workers that ended early; return whether this process may compute.

        Raises ConfigurationError when all of them refused: whoever asked for many processes should
        not wait for one.
        """
        for worker in self.engine.ended():
            self._ended.append(worker)
            if worker.code:
                self.observer.note(f"{worker.where} ended: {_reason(worker)}. The others go on.")
        refused = [worker for worker in self._ended if worker.code in _CANNOT]
        if refused and len(refused) == self.engine.count:
            raise ConfigurationError(
                f"no worker could join the run; {refused[0].where} ended: {_reason(refused[0])}. "
                "What is finished is kept: run the same command again when this is mended, or "
                "without --processes and --engine-address"
            )
        return self.engine.computes_here or len(self._ended) == self.engine.count


def _reason(worker: Ended) -> str:
    said = worker.said.removeprefix("melaudit: ").rstrip(".")
    if worker.code < 0:
        return f"it was killed by signal {-worker.code}"
    return said or f"exit code {worker.code}"


def command(out: Path, factory: str | None, python: str = sys.executable) -> list[str]:
    """Return the command that runs a worker, which ends when its standard input is closed."""
    options = ["--wait", "60", "--until-stdin-closes"]
    if factory is not None:
        options += ["--factory", factory]
    return [python, "-m", "melaudit", "worker", str(out.absolute()), *options]
