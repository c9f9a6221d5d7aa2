"""A worker: computes a part of a run that another process concludes. It reads the folder alone."""

from __future__ import annotations

from pathlib import Path

from melaudit.audit.conclude.assembly import Clock
from melaudit.audit.edits.laboratory import Held
from melaudit.audit.engines.plan import Plan, awaited
from melaudit.audit.prepare.reader import reading
from melaudit.audit.runner import equipped, looked_at, opened, tried
from melaudit.errors import StoreError
from melaudit.observer import Observer

WAIT = 600.0
"""Seconds to wait for a run to begin. Chosen: a round figure, not measured."""


def work(out: Path, observer: Observer, *, factory: str | None = None, wait: float = WAIT) -> None:
    """Compute what is left of the run in the output folder, beside others, until all is there.

    A run that others finish while this process still loads, or looks for what to do, is no error.
    `factory` allows a run that builds its model with code to do so. Raises StoreError where no run
    begins within `wait` seconds, ConfigurationError for a run that this process cannot join, and
    what a run raises.
    """
    plan = awaited(out, wait)
    plan.refuse_other_versions()
    try:
        _join(plan, out, observer, factory)
    except StoreError:
        if not plan.finished(out):
            raise
        observer.note("the run is finished: others computed what was left of it")


def _join(plan: Plan, out: Path, observer: Observer, factory: str | None) -> None:
    configuration = plan.here(out, factory)
    with reading(configuration.workers) as read:
        everything = opened(configuration, observer, None, read)
        everything, detectors = equipped(everything, configuration)
        parts = plan.agreed(everything, out)
        pictures: Held = {}
        with plan.leases(out) as turns:
            for each, seen in looked_at(
                configuration, parts, detectors, Clock.start(), observer, turns
            ):
                with tried(each, seen, detectors, pictures, observer, turns):
                    observer.note("all that processes share is there")
