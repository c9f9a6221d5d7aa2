"""A hostile input, what is done with it, and a watch over what must not happen meanwhile."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from melaudit.errors import MelauditError

CANARY = "canary"
"""The folder that every payload would make, in the folder of its case."""
SECONDS = 30.0
"""Processor time that no case may exceed; on the clock, ten times as much on a busy machine."""


@dataclass(frozen=True)
class Case:
    """One hostile input and the outcomes it may have."""

    area: str
    name: str
    act: Callable[[Path], str]
    """Build the input in an empty folder, give it to the package, and return the outcome in a word:
    "used", "flagged", "skipped: why", "escaped". A MelauditError is "refused"."""
    expected: tuple[str, ...]
    """What the outcome must begin with: one of these."""


@dataclass(frozen=True)
class Result:
    """What became of a case."""

    outcome: str
    met: bool
    seconds: float


def outcome_of(case: Case, folder: Path) -> Result:
    """Run a case in an empty folder."""
    start, used = time.monotonic(), _processor_time()
    with _no_sockets() as opened:
        try:
            outcome = case.act(folder)
        except MelauditError as error:
            outcome = "refused"
            if "\n" in str(error):
                outcome = "refused in several lines"
        except Exception as error:
            outcome = f"crashed: {type(error).__name__}: {error}"[:120]
    seconds = max(_processor_time() - used, (time.monotonic() - start) / 10)
    if opened:
        outcome = f"opened a socket: {opened[0]}"
    if (folder / CANARY).exists():
        outcome = "ran code"
    if seconds > SECONDS:
        outcome = f"took {seconds:.0f} s"
    return Result(outcome, outcome.startswith(case.expected), seconds)


def _processor_time() -> float:
    """Return the seconds that this process and its ended children have used."""
    return sum(os.times()[:4])


@contextlib.contextmanager
def _no_sockets() -> Iterator[list[str]]:
    """Refuse and note every socket that is made."""
    opened: list[str] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        opened.append(repr(arguments[1:]))
        raise OSError("no network here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "__init__", refuse)
        yield opened
