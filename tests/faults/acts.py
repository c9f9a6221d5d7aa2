"""What is done with a fault: the audit is disturbed, resumed, and both held against a usual one."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from tests.faults import disturbances as d
from tests.faults.small_audit import (
    LONGEST,
    Attempt,
    Disturb,
    attempt,
    begin,
    begin_worker,
    build,
    end,
    hash_of,
    left_behind,
)

MAX_CALLS = 20
"""Calls that all fail in turn, unless the command says how many. Chosen: a run has fewer of all but
a few kinds."""


KILLED_IN_THE_END = partial(d.at_stage, "Concluding", partial(d.signals, (signal.SIGKILL,)))


@cache
def built() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="melaudit-faults-"))
    build(folder)
    return folder


@cache
def undisturbed(*options: str) -> tuple[int, dict[str, str]]:
    """Return exit code and files of an audit to which nothing happens."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "audit"
        shutil.copytree(built(), folder)
        usual = attempt(folder, None, *options)
        files = left_behind(folder)
    assert files, usual.said
    return usual.code, files


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(built(), folder)
    return folder


def ended_as(ended: Attempt, folder: Path, *options: str) -> str:
    """Say in a word how an attempt ended; a wrong file is worse than anything else."""
    code, files = undisturbed(*options)
    for name, usual in files.items():
        path = folder / "out" / name
        if ended.code != code and path.is_file() and hash_of(path) != usual:
            return f"a wrong {name}"
    if ended.code == code:
        return "finished" if left_behind(folder) == files else "finished otherwise"
    if ended.code == 2:
        lines = [line for line in ended.said.splitlines() if line.startswith("melaudit: ")]
        return "refused" if len(lines) == 1 else "refused without a line"
    words = {-signal.SIGKILL: "killed", 130: "interrupted", 1000: "hung", 4: "crashed"}
    return words.get(ended.code, f"ended with {ended.code}")


def then_resumed(outcome: str, folder: Path) -> str:
    if outcome.startswith("finished"):
        return outcome
    again = ended_as(attempt(folder), folder)
    return f"{outcome}, resumed" if again == "finished" else f"{outcome}, then {again}"


def every_call(
    call: str, number: int, folder: Path, only: int | None, resuming: bool = False
) -> str:
    """Let each call of a kind fail in turn, until none is left that could.

    `resuming` lets them fail in an audit that goes on where it was killed.
    """
    met: dict[str, int] = {}
    n = only or 1
    while True:
        place = fresh(folder / "audit")
        if resuming:
            attempt(place, KILLED_IN_THE_END)
            (place / d.FIRED).rmdir()
        ended = attempt(place, partial(d.fail_at, call, n, number))
        if not (place / d.FIRED).exists():
            outcome = ended_as(ended, place)
            if outcome != "finished":
                met[f"without the fault {outcome}"] = 1
            break
        outcome = then_resumed(ended_as(ended, place), place)
        met[outcome] = met.get(outcome, 0) + 1
        if only:
            break
        # Hundreds of calls are alike: further on only some of them fail.
        n += 1 if n < MAX_CALLS else max(1, n // 2)
    if not met:
        return "never called"
    return " / ".join(sorted(met)) + (f" ({sum(met.values())} times)" if not only else "")


def once(disturb: Disturb, folder: Path, _: int | None) -> str:
    place = fresh(folder / "audit")
    return then_resumed(ended_as(attempt(place, disturb), place), place)


def refused_saying(disturb: Disturb, said: str, folder: Path, _: int | None) -> str:
    """A fault that stays, so that nothing can be resumed before it is mended."""
    place = fresh(folder / "audit")
    ended = attempt(place, disturb)
    outcome = ended_as(ended, place)
    return outcome if said in ended.said else f"{outcome}, without saying {said!r}"


def changed(disturb: Disturb, folder: Path, _: int | None) -> str:
    """An image changes: the run ends, and the next one is that of the data as they are."""
    place = fresh(folder / "audit")
    ended = attempt(place, disturb)
    outcome = ended_as(ended, place)
    if "no longer the file" not in ended.said:
        return f"{outcome}, without a word of the file"
    again = attempt(place)
    shutil.copytree(place, folder / "anew", ignore=shutil.ignore_patterns("out"))
    anew = attempt(folder / "anew")
    same = left_behind(place) == left_behind(folder / "anew") and again.code == anew.code
    return f"{outcome}, then as anew" if same else f"{outcome}, then otherwise"


def changed_between(folder: Path, _: int | None) -> str:
    """An image changes after the run was killed, before it is resumed."""
    place = fresh(folder / "audit")
    attempt(place, KILLED_IN_THE_END)
    d.replace_image(place)
    attempt(place)
    shutil.copytree(place, folder / "anew", ignore=shutil.ignore_patterns("out"))
    attempt(folder / "anew")
    return "as anew" if left_behind(place) == left_behind(folder / "anew") else "otherwise"


def damaged(pattern: str, how: str, folder: Path, _: int | None) -> str:
    """A file of the store is damaged when the run was killed; what is damaged is done again."""
    place = fresh(folder / "audit")
    attempt(place, KILLED_IN_THE_END)
    if how == "every":
        d.damage_every_block(place)
    else:
        d.damage(pattern, how, place)
    again = ended_as(attempt(place), place)
    return "resumed" if again == "finished" else f"then {again}"


def damaged_meanwhile(pattern: str, how: str, folder: Path, only: int | None) -> str:
    act = partial(d.damage, pattern, how)
    return once(partial(d.at_stage, "Concluding", act), folder, only)


def counted_skip(disturb: Disturb, reason: str, *options: str) -> Callable[[Path, int | None], str]:
    def act(folder: Path, _: int | None) -> str:
        place = fresh(folder / "audit")
        ended = attempt(place, disturb, *options)
        if ended.code not in (0, 1, 3):
            return ended_as(ended, place)
        findings = json.loads((place / "out" / "findings.json").read_text("utf-8"))
        skipped, verdict = findings["inputs"]["skipped"], findings["verdict"]
        counted = skipped == {reason: 1} and verdict != "pass"
        return "skipped and counted" if counted else f"{verdict} with {skipped} skipped"

    return act


def strange(disturb: Disturb) -> Callable[[Path, int | None], str]:
    """What a model or detector does wrong may refuse or weaken the audit, but never pass."""

    def act(folder: Path, _: int | None) -> str:
        place = fresh(folder / "audit")
        ended = attempt(place, disturb)
        if ended.code not in (0, 1, 3):
            return ended_as(ended, place)
        findings = json.loads((place / "out" / "findings.json").read_text("utf-8"))
        return str(findings["verdict"])

    return act


def with_options(disturb: Disturb | None, *options: str) -> Callable[[Path, int | None], str]:
    def act(folder: Path, _: int | None) -> str:
        place = fresh(folder / "audit")
        return ended_as(attempt(place, disturb, *options), place, *options)

    return act


def halved(on_the_cpu: bool, folder: Path, _: int | None) -> str:
    place = fresh(folder / "audit")
    ended = attempt(place, partial(d.out_of_memory, 2, on_the_cpu))
    told = "2 at a time from here on" in ended.said
    return f"{ended_as(ended, place)}, {'told' if told else 'not told'}"


def two_drivers(folder: Path, _: int | None) -> str:
    place = fresh(folder / "audit")
    first = begin(place, partial(d.at_stage, "Measuring", d.wait_for_ever))
    wait_for(place / d.FIRED)
    second = attempt(place)
    outcome = ended_as(second, place)
    end(first, place)
    said = "another run writes to" in second.said
    return then_resumed(outcome if said else f"{outcome}, without saying why", place)


def stopped(folder: Path, _: int | None) -> str:
    place = fresh(folder / "audit")
    process = begin(place, partial(d.at_stage, "Measuring", partial(d.signals, (signal.SIGSTOP,))))
    wait_for(place / d.FIRED)
    time.sleep(1)
    other = ended_as(attempt(place), place)  # the folder is still held
    os.kill(process.pid or 0, signal.SIGCONT)
    process.join(LONGEST)
    return f"{ended_as(end(process, place), place)}, another {other}"


def worker_call(call: str, number: int, folder: Path, only: int | None) -> str:
    """Let each call of a kind fail in turn in a worker; the run waits for the fault."""
    met: dict[str, int] = {}
    n = only or 1
    while True:
        place = fresh(folder / "audit")
        worker = begin_worker(place, partial(d.fail_at, call, n, number))
        run = begin(place, partial(d.when_stage, "Checking", partial(d.until_fired, worker.pid)))
        run.join(LONGEST)
        outcome = ended_as(end(run, place), place)
        worker.join(LONGEST)
        ended = end(worker, place, "worker.txt").code
        outcome = f"worker {WORKER_ENDS.get(ended, f'ended with {ended}')}, run {outcome}"
        fired = (place / d.FIRED).exists()
        if fired or outcome != "worker finished, run finished":
            met[outcome] = met.get(outcome, 0) + 1
        if only or not fired:
            break
        n += 1
    return " / ".join(sorted(met)) + (f" ({sum(met.values())} times)" if not only else "")


WORKER_ENDS = {0: "finished", 2: "refused", -signal.SIGKILL: "killed", 130: "interrupted"}


def run_killed(folder: Path, _: int | None) -> str:
    """The run is killed as it begins to measure; a worker computes all that is left."""
    place = fresh(folder / "audit")
    first = attempt(place, partial(d.at_stage, "Measuring", partial(d.signals, (signal.SIGKILL,))))
    outcome = ended_as(first, place)
    worker = begin_worker(place)
    worker.join(LONGEST)
    ended = end(worker, place, "worker.txt").code
    there = sorted(path.name[:6] for path in (place / "out" / "shards").rglob("0*.parquet"))
    once = "each shard once" if there == ["000000", "000000", "000001"] else f"shards {there}"
    outcome = f"{outcome}, worker {WORKER_ENDS.get(ended, ended)}, {once}"
    return then_resumed(outcome, place)


def killed_again_and_again(folder: Path, _: int | None) -> str:
    """Killed at five times, later each time; nothing says where it is then."""
    place = fresh(folder / "audit")
    for k in range(1, 6):
        process = begin(place, None)
        process.join(0.4 * k)
        process.kill()
        process.join()
    return then_resumed("killed", place)


def wait_for(path: Path) -> None:
    until = time.monotonic() + LONGEST
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.05)


def full_disk(folder: Path, _: int | None) -> str:
    """A real disk of 64 KB that is full; where none may be mounted, the fault is injected."""
    place = fresh(folder / "audit")
    (place / "out").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place / "out")]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        return once(partial(d.fail_at, "write", 2, errno.ENOSPC), folder, None)
    try:
        ended = attempt(place)
        outcome = ended_as(ended, place)
        larger = ["mount", "-o", "remount,size=64m", str(place / "out")]
        subprocess.run(larger, check=True)
        return then_resumed(outcome, place)
    finally:
        subprocess.run(["umount", str(place / "out")], check=True)


def occupied(what: str, folder: Path, _: int | None) -> str:
    """Something else is where a file or folder should be."""
    place = fresh(folder / "audit")
    if what == "out":
        (place / "out").write_text("in the way", "utf-8")
    else:
        (place / "out" / what / "in the way").mkdir(parents=True)
    outcome = ended_as(attempt(place), place) if what == "out" else plain(place)
    shutil.rmtree(place / "out" / what, ignore_errors=True)
    if what == "out":
        (place / "out").unlink()
    return then_resumed(outcome, place)


def plain(place: Path) -> str:
    return {2: "refused"}.get(code := attempt(place).code, f"ended with {code}")


def clock(hours: int) -> Callable[[Path, int | None], str]:
    def act(folder: Path, _: int | None) -> str:
        place = fresh(folder / "audit")
        ended = attempt(place, partial(d.clock_step, hours))
        shutil.copytree(place, folder / "usual", ignore=shutil.ignore_patterns("out"))
        usual = attempt(folder / "usual")
        found = [
            json.loads((p / "out" / "findings.json").read_text("utf-8"))
            for p in (place, folder / "usual")
        ]
        for each in found:
            assert 0 <= each["provenance"].pop("seconds") < LONGEST
            each["provenance"].pop("started")
        same = found[0] == found[1] and ended.code == usual.code
        return "same but for the times" if same else "otherwise"

    return act
