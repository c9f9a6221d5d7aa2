"""All faults, each with the outcome that it must have."""

from __future__ import annotations

import errno
import math
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.faults import acts, fragile
from tests.faults import disturbances as d

RESUMED = ("refused, resumed",)
KILLED = ("killed, resumed",)
INTERRUPTED = ("interrupted, resumed",)
FINISHED = ("finished",)
SKIPPED = ("skipped and counted",)
REFUSED = ("refused",)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and what must become of the audit."""

    area: str
    name: str
    act: Callable[[Path, int | None], str]
    """Gets an empty folder, and the only call that is to fail (None: every one of them, in turn);
    returns the outcome."""
    must: tuple[str, ...]
    """The outcomes of which it must have one."""
    quick: bool = False
    """Whether the ordinary tests try it too."""


def all_faults() -> Iterator[Fault]:
    """Yield every fault."""
    act: Callable[[Path, int | None], str]
    failures = {
        "make a temporary file": (errno.ENOSPC, errno.EMFILE),
        "write": (errno.ENOSPC, errno.EIO),
        "fsync a file": (errno.EIO,),
        "chmod": (errno.EPERM,),
        "rename": (errno.EIO, errno.EEXIST),
        "open a shard": (errno.EIO,),
    }
    for call, numbers in failures.items():
        for number in numbers:
            name = f"{call}: {errno.errorcode[number]} at every call in turn"
            act = partial(acts.every_call, call, number)
            yield Fault("call", name, act, RESUMED, call == "write" and number == errno.ENOSPC)
    # Some folders are there already, and some images are looked at only in order to guess.
    act = partial(acts.every_call, "make a folder", errno.ENOSPC)
    name = "make a folder: ENOSPC at every call in turn"
    yield Fault("call", name, act, (*FINISHED, *RESUMED))
    # What cannot be read of the store is done again.
    act = partial(acts.every_call, "read a file of the store", errno.EIO, resuming=True)
    name = "read a file of the store: EIO at every call in turn of a resumed audit"
    yield Fault("call", name, act, (*FINISHED, *RESUMED))
    name = "fsync a folder: EIO at every call in turn"
    yield Fault("call", name, partial(acts.every_call, "fsync a folder", errno.EIO), FINISHED)
    for call in ("open an image", "hash an image"):
        act = partial(acts.every_call, call, errno.EIO)
        name = f"{call}: EIO at every call in turn"
        yield Fault("call", name, act, (*FINISHED, *RESUMED))
    for call in ("make a temporary file", "write", "fsync a file", "rename", "after a rename"):
        name = f"kill -9 at every call in turn: {call}"
        yield Fault("kill", name, partial(acts.every_call, call, 0), KILLED, call == "rename")
    yield Fault("kill", "kill -9 five times, later each time", acts.killed_again_and_again, KILLED)
    for stage in ("Measuring", "Editing", "Writing"):
        for numbers, must in (
            ((signal.SIGINT,), INTERRUPTED),
            ((signal.SIGINT, signal.SIGINT), INTERRUPTED),
            ((signal.SIGTERM,), INTERRUPTED),
            ((signal.SIGTERM, signal.SIGTERM), INTERRUPTED),
        ):
            names = " and ".join(signal.Signals(number).name for number in numbers)
            act = partial(acts.once, partial(d.at_stage, stage, partial(d.signals, numbers)))
            yield Fault(
                "signal",
                f"{names} in stage {stage}",
                act,
                must,
                stage == "Editing" and names == "SIGTERM and SIGTERM",
            )
    said = "worker killed, run finished"
    act = partial(acts.worker_call, "rename", 0)
    yield Fault("worker", "kill -9 of a worker at every rename in turn", act, (said,), True)
    said = "worker refused, run finished"
    act = partial(acts.worker_call, "write", errno.ENOSPC)
    yield Fault("worker", "ENOSPC in a worker at every write in turn", act, (said,))
    said = "killed, worker finished, each shard once, resumed"
    name = "kill -9 of the run; a worker computes the rest"
    yield Fault("worker", name, acts.run_killed, (said,), True)
    yield Fault("signal", "SIGSTOP, then SIGCONT", acts.stopped, ("finished, another refused",))
    yield Fault("driver", "two on one folder", acts.two_drivers, RESUMED, quick=True)
    yield Fault("disk", "full, a tmpfs of 64 KB", acts.full_disk, RESUMED)
    yield Fault(
        "disk", "no file above 8 KB (RLIMIT_FSIZE)", partial(acts.once, d.small_files), RESUMED
    )
    yield Fault("disk", "a folder that may not be written", acts.with_options(d.nobody), REFUSED)
    for what in ("out", "report.html", "shards", "findings.json"):
        act = partial(acts.occupied, what)
        if what == "shards":
            continue
        yield Fault("disk", f"something else is at {what}", act, RESUMED)
    for hours in (1, -1):
        act = acts.clock(hours)
        yield Fault("clock", f"steps by {hours:+} hour meanwhile", act, ("same but for the times",))
    named = partial(d.environment, "SOURCE_DATE_EPOCH", "soon")
    act = partial(acts.refused_saying, named, "SOURCE_DATE_EPOCH")
    yield Fault("clock", "SOURCE_DATE_EPOCH=soon", act, REFUSED)
    for stage in ("Learning", "Measuring", "Editing", "Explaining"):
        for how, change in (("is replaced", d.replace_image), ("is deleted", d.remove_image)):
            act = partial(acts.changed, partial(d.at_stage, stage, change))
            must = ("refused, then as anew",)
            quick = stage == "Explaining" and how == "is replaced"
            yield Fault("input", f"an image {how} in stage {stage}", act, must, quick)
    yield Fault(
        "input", "an image is replaced between kill and resume", acts.changed_between, ("as anew",)
    )
    for pattern, what in (
        ("000001-*.parquet", "a shard"),
        ("edits-*.npz", "the edits"),
        ("words.npz", "the words"),
    ):
        for how in ("flipped", "cut", "gone"):
            act = partial(acts.damaged, pattern, how)
            yield Fault("store", f"{what}: {how} between kill and resume", act, ("resumed",))
    act = partial(acts.damaged, "", "every")
    yield Fault("store", "every file flipped between kill and resume", act, ("resumed",), True)
    for how in ("flipped", "gone"):
        act = partial(acts.damaged_meanwhile, "000001-*.parquet", how)
        yield Fault("store", f"a shard: {how} meanwhile", act, (*FINISHED, *RESUMED))
    for number, reason in ((signal.SIGKILL, "decoder_died"), (signal.SIGSTOP, "decoder_hangs")):
        name = number.name
        act = acts.counted_skip(partial(fragile.workers, number, False), reason, "--workers", "1")
        yield Fault("worker", f"an image that gives its worker {name}", act, SKIPPED)
        act = acts.with_options(partial(fragile.workers, number, True), "--workers", "1")
        yield Fault("worker", f"somebody else gives it {name}", act, FINISHED)
        # Such an image has no harm left in it for the workers of the pass, so nothing is skipped.
        act = acts.with_options(partial(fragile.before_the_pass, number), "--workers", "1")
        name = f"an image that gives the process before the pass {name}"
        yield Fault("worker", name, act, FINISHED)
    act = acts.with_options(d.no_shared_memory, "--workers", "1")
    yield Fault("worker", "no shared memory", act, FINISHED)
    for where in ("on a GPU", "on the CPU"):
        cpu, told = where == "on the CPU", ("finished, told",)
        name = f"runs out above 2 images at a time, as {where}"
        yield Fault("memory", name, partial(acts.halved, cpu), told, cpu)
        act = partial(acts.once, partial(d.out_of_memory, 0, cpu))
        yield Fault("memory", f"runs out with one image, as {where}", act, RESUMED)
    yield Fault(
        "memory", "runs out at the end", partial(acts.once, d.no_memory_to_conclude), RESUMED
    )
    act = acts.counted_skip(d.no_memory_to_decode, "out_of_memory")
    yield Fault("memory", "runs out while an image is decoded", act, SKIPPED)
    act = acts.with_options(d.few_open_files)
    yield Fault("memory", "no more files may be opened", act, REFUSED)
    for value in (math.nan, math.inf):
        act = acts.strange(partial(d.strange_logits, value))
        yield Fault("numbers", f"all logits {value}", act, ("refused", "inconclusive"))
    act = acts.strange(d.strange_score)
    yield Fault("plug-in", "a finder's score is NaN", act, ("inconclusive",))
    for what in ("find", "add", "placebos"):
        act = acts.strange(partial(d.failing_artifact, what))
        yield Fault("plug-in", f"an artifact's {what} raises an error", act, ("inconclusive",))
    for variable, setting in (
        ("HOME", None),
        ("HOME", "/proc"),
        ("LC_ALL", "C"),
        ("TMPDIR", "/proc"),
    ):
        act = acts.with_options(partial(d.environment, variable, setting))
        name = f"{variable} is {setting or 'not set'}"
        yield Fault("environment", name, act, FINISHED)
    yield Fault(
        "environment", "nobody reads standard output", acts.with_options(d.closed_output), FINISHED
    )


def row(fault: Fault, outcome: str) -> str:
    """Return a fault as a row of a table in Markdown."""
    return f"| {fault.area} | {fault.name} | {' or '.join(fault.must)} | {outcome} |"


def met(fault: Fault, outcome: str) -> bool:
    """Tell whether an outcome is one of those that the fault may have."""
    kinds = outcome.rsplit(" (", 1)[0].split(" / ")
    return all(kind in fault.must for kind in kinds)
