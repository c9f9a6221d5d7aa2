"""A long audit, killed at random again and again: its bytes must be those of one that is not.

One image in a hundred is broken. Each process lives for a random time, chosen so that all of them
together live a little longer than an audit takes: the kills lie all over it, and each goes on where
the last one stopped. An audit that ends is begun anew. Printed are the seconds, the attempts, the
memory at the beginning and the end of the pass, which must not grow with the images, and the peak
of each process.

    python -m tests.soak --images 2000 --kills 20
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import shutil
import tempfile
import time
from multiprocessing.process import BaseProcess as Process
from pathlib import Path
from typing import Any

from melaudit.audit.measure import store
from tests.faults.small_audit import attempt, begin, build, end, left_behind, put

SHARD = 64
MEMORY = "memory.txt"
BROKEN = 100
"""Every so manieth image is broken."""
LIVES = 3.0
"""The longest that a process lives, in audits shared out among all that are killed: they begin
before they get on, so that more of them than one audit is needed to come to its end."""
KINDS = (b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(200))


def main() -> int:
    """Print what became of it; 1 if the bytes differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        usual, killed = Path(name) / "usual", Path(name) / "killed"
        build(usual, given.images)
        broken = _break(usual)
        shutil.copytree(usual, killed)
        start = time.monotonic()
        whole = attempt(usual, prepare)
        took = time.monotonic() - start
        print(f"{given.images} images, {broken} broken: {took:.0f} s, exit code {whole.code}")
        findings = json.loads((usual / "out" / "findings.json").read_text("utf-8"))
        print(f"skipped: {findings['inputs']['skipped']}", flush=True)
        sizes = [int(size) for size in (usual / MEMORY).read_text("ascii").split()]
        print(
            f"memory after {1 / len(sizes):.0%}, 50 % and 100 % of the pass: "
            f"{sizes[0]}, {sizes[len(sizes) // 2]} and {sizes[-1]} MB",
            flush=True,
        )
        rng, kills, rounds = random.Random(given.seed), 0, 1
        peaks: list[int] = []
        start = time.monotonic()
        while kills < given.kills:
            process = begin(killed, prepare)
            longest = LIVES * took / given.kills
            peaks.append(_peak_within(process, rng.uniform(0.0, longest)))
            if process.is_alive():
                kills += 1
            else:
                rounds += 1
                shutil.rmtree(killed / "out")
            end(process, killed)
            print(
                f"process {len(peaks)}: peak {peaks[-1]} MB, {_shards(killed)} shards", flush=True
            )
        last = attempt(killed, prepare)
        same = left_behind(killed) == left_behind(usual) != {} and last.code == whole.code
        print(
            f"killed {kills} times in {rounds} rounds, {time.monotonic() - start:.0f} s, peak "
            f"{max(peaks)} MB: {'the same bytes' if same else 'OTHER BYTES'}"
        )
        return 0 if same else 1


def prepare(folder: Path) -> None:
    """Use shards of a size that fits, and note the memory at each of them."""
    usual = store.Store.write

    def write(self: store.Store, *arguments: Any) -> None:
        usual(self, *arguments)
        if "checks" not in self.folder.name:
            pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
            with (folder / MEMORY).open("a", encoding="ascii") as file:
                file.write(f"{pages * resource.getpagesize() // 2**20}\n")

    put("melaudit.audit.measure.store", "SHARD", SHARD)
    store.Store.write = write  # type: ignore[assignment, method-assign]


def _peak_within(process: Process, seconds: float) -> int:
    """Wait for a process to end, or so long, and return the peak of its memory in MB."""
    end, peak = time.monotonic() + seconds, 0
    while process.is_alive() and (left := end - time.monotonic()) > 0:
        with contextlib.suppress(OSError, ValueError, IndexError):  # it ended just now
            status = Path(f"/proc/{process.pid}/status").read_text("ascii")
            peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
        process.join(min(left, 0.1))
    return peak


def _shards(folder: Path) -> int:
    """Count the shards of the pass that are there."""
    return len(list(folder.glob("out/shards/[!c]*/0*.parquet")))


def _break(folder: Path) -> int:
    images = sorted((folder / "data").rglob("*.png"))[::BROKEN]
    for k, image in enumerate(images):
        image.write_bytes(KINDS[k % len(KINDS)])
    return len(images)


if __name__ == "__main__":
    raise SystemExit(main())
