"""Leases: one holder at a time, given up or inherited, by no clock but the observer's stopwatch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from melaudit.audit.leases import ALONE, MAX_LOST, SILENT, Leases, Units
from melaudit.errors import StoreError


class Stopwatch:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("*.lease")
    return path


def elsewhere(folder: Path, **told: object) -> None:
    """Make the one lease that of a process of another machine."""
    path = file_of(folder)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"machine": "other", **told}))


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Leases]:
    with Leases(tmp_path, "run") as leases:
        yield leases


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Leases]:
    with Leases(tmp_path, "run") as leases:
        yield leases


def test_a_unit_has_one_holder_until_it_is_given_back(mine: Leases, theirs: Leases) -> None:
    assert mine.take("shard 1") and theirs.take("shard 2")
    assert not theirs.take("shard 1")
    mine.release("shard 1")
    assert theirs.take("shard 1")


def test_whoever_goes_leaves_no_lease(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Leases(tmp_path, "run") as leases:
        assert leases.take("a") and leases.take("b")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_killed_process_of_this_machine_is_inherited_at_once(
    mine: Leases, tmp_path: Path
) -> None:
    taken = (
        "import os, sys, pathlib; from melaudit.audit.leases import Leases\n"
        "leases = Leases(pathlib.Path(sys.argv[1]), 'run').__enter__()\n"
        "assert leases.take('unit'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", taken, str(tmp_path)], check=False)
    assert file_of(tmp_path).read_text()
    assert mine.take("unit")
    assert json.loads(file_of(tmp_path).read_text())["lost"] == 1


def test_a_number_that_another_process_has_now_does_not_count(
    mine: Leases, theirs: Leases, tmp_path: Path
) -> None:
    theirs.take("unit")
    path = file_of(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"born": "1"}))
    assert mine.take("unit")


def test_a_holder_elsewhere_is_inherited_after_its_silence_only(tmp_path: Path) -> None:
    watch = Stopwatch()
    with Leases(tmp_path, "run") as theirs, Leases(tmp_path, "run", stopwatch=watch) as mine:
        theirs.take("unit")
        elsewhere(tmp_path)
        for watch.now in (0.0, SILENT - 1):
            assert not mine.take("unit")
        os.utime(file_of(tmp_path))  # a sign of life, just in time
        for watch.now in (SILENT, 2 * SILENT - 1):
            assert not mine.take("unit")
        watch.now = 2 * SILENT
        assert mine.take("unit")


@pytest.mark.parametrize("step", [-600, 600])
def test_clocks_that_step_are_no_silence_and_no_life(tmp_path: Path, step: float) -> None:
    watch = Stopwatch()
    with Leases(tmp_path, "run") as theirs, Leases(tmp_path, "run", stopwatch=watch) as mine:
        theirs.take("unit")
        elsewhere(tmp_path)
        assert not mine.take("unit")
        shown = time.time() + step
        os.utime(file_of(tmp_path), (shown, shown))
        watch.now = SILENT - 1
        assert not mine.take("unit")
        watch.now = 2 * SILENT
        assert mine.take("unit")


def test_a_holder_gives_signs_of_life(tmp_path: Path) -> None:
    with Leases(tmp_path, "run", beat=0.02) as leases:
        leases.take("unit")
        before = file_of(tmp_path).stat().st_mtime_ns
        until = time.monotonic() + 20
        while file_of(tmp_path).stat().st_mtime_ns == before and time.monotonic() < until:
            time.sleep(0.02)
        assert file_of(tmp_path).stat().st_mtime_ns > before


def test_a_lease_cut_short_is_held_until_silence(tmp_path: Path) -> None:
    watch = Stopwatch()
    with Leases(tmp_path, "run") as theirs, Leases(tmp_path, "run", stopwatch=watch) as mine:
        theirs.take("unit")
        file_of(tmp_path).write_text("")
        assert not mine.take("unit")
        watch.now = SILENT
        assert mine.take("unit")


def test_a_unit_that_ends_one_process_after_another_stops_the_run(
    mine: Leases, theirs: Leases, tmp_path: Path
) -> None:
    theirs.take("shard 7")
    path = file_of(tmp_path)
    told = json.loads(path.read_text()) | {"born": "1", "lost": MAX_LOST - 1}
    path.write_text(json.dumps(told))
    with pytest.raises(StoreError, match=r"shard 7 ended 3 processes .* smaller --batch-size"):
        mine.take("shard 7")
    path.write_text(json.dumps(told | {"run": "an earlier one"}))
    assert mine.take("shard 7")  # the same command again begins to count anew


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with Leases(tmp_path / "plan", "run") as leases:
        (tmp_path / "plan").rmdir()
        with pytest.raises(StoreError, match=r"cannot write .*plan.*--out"):
            leases.take("unit")


def test_every_unit_is_computed_once_whoever_does_it(tmp_path: Path) -> None:
    """Two that take turns: each unit is yielded to one of them, and both end with all there."""
    there: set[int] = set()
    done: list[tuple[str, int]] = []
    came: list[int] = []
    with Leases(tmp_path, "run") as a, Leases(tmp_path, "run") as b:
        first = iter(Units(range(6), a, str, there.__contains__, came.append))
        second = iter(Units(range(6), b, str, there.__contains__, came.append))
        turn = {"a": next(first), "b": next(second)}
        for who, units in (("a", first), ("b", second), ("b", second), ("a", first)):
            done.append((who, turn[who]))
            there.add(turn[who])
            turn[who] = next(units)
        there |= set(turn.values())
        assert list(first) == list(second) == []
    assert sorted(unit for _, unit in done) + sorted(turn.values()) == list(range(6))
    assert sorted(came) == sorted([*range(6)])  # each once, by the one that did not compute it


def test_a_unit_that_failed_here_is_left_to_others(tmp_path: Path) -> None:
    with Leases(tmp_path, "run") as leases:
        assert list(Units("abc", leases, str, "b".__contains__)) == ["a", "c"]
        assert not list(tmp_path.glob("*.lease"))
    assert list(Units("abc", ALONE, str, "b".__contains__)) == ["a", "c"]


def test_who_only_waits_goes_on_when_the_unit_is_there(mine: Leases, theirs: Leases) -> None:
    theirs.take("a")
    looks = iter([False, False, True])
    assert list(Units("a", mine, str, lambda _: next(looks))) == []
