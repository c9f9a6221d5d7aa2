"""The only times that a run leaves behind."""

from __future__ import annotations

import time

import pytest

from melaudit.audit.conclude.assembly import Clock


def test_a_given_time_stays_however_long_a_run_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    clock = Clock.start()
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    assert clock.seconds() == clock.again(7.0).seconds() == 0
    assert clock.again(7.0).started.timestamp() == 1


def test_a_clock_goes_on_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    clock = Clock.start().again(7.0)
    monkeypatch.setattr(time, "monotonic", lambda: 103.0)
    assert clock.seconds() == 10
