"""One audit computed in several ways, and with processes killed: the same bytes, and the cost.

Generated images and a net of one convolution. Each way computes the audit by the command line:
alone, with two processes and with four, with a worker beside it, with workers of torchrun, on a Ray
cluster of two nodes on this machine (started and stopped here). Then a worker, a node or the audit
itself is killed (signal 9) within two seconds after a random one of its results was there, and an
audit that was killed is begun again. Printed are seconds by the clock and of processor time, and
whether every file has the same bytes and every shard is there once.

    python -m benchmarks.engines --images 48 --kills 3
    python -m benchmarks.engines --ways alone ray --kill node
    python -m benchmarks.engines --net resnet18 --side 96 --images 1024 --edits 40 --kill \\
        --ways alone threads processes

Every process has one thread, but for `threads`: alone with two, whose last bits may differ.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models import resnet18

WAYS = ("alone", "threads", "processes", "four", "worker", "torchrun", "ray")
VICTIMS = ("worker", "node", "audit")
FILES = ("findings.json", "report.html", "images.parquet", "record.zip")
NETS = {
    "convolution": """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
""",
    "resnet18": """
from torchvision.models import resnet18

def build():
    return resnet18(num_classes=2)
""",
}
"""One that tells bright from dark, and one of usual cost that was never trained."""
SAID = 20
"""Last lines that are told of an audit that ended with other files."""
PYTHON = [sys.executable, "-m"]
WORKER = ["melaudit", "worker", "audit", "--factory", "net.py:build"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--edits", type=int, default=8, help="images of each class")
    parser.add_argument("--net", choices=NETS, default="convolution")
    parser.add_argument("--side", type=int, default=32, help="of the images, pixels")
    ways = [way for way in WAYS if way != "threads"]
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=ways)
    parser.add_argument("--kill", nargs="*", choices=VICTIMS, default=VICTIMS)
    parser.add_argument("--kills", type=int, default=10, help="of each victim")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="engines-") as name:
        place = Place(Path(name), options.edits, options.net, options.side)
        place.draw(options.images)
        alone = place.audited("alone")
        usual = alone.files
        print("| way | clock, s | processor, s | bytes | shards |\n| --- | --- | --- | --- | --- |")
        print(alone.row("alone", usual), flush=True)
        for way in options.ways:
            if way != "alone":
                print(place.audited(way).row(way, usual), flush=True)
        for victim in options.kill:
            for k in range(options.kills):
                moment = moments.uniform(0, alone.results)
                killed = place.audited("ray" if victim == "node" else "worker", victim, moment)
                said = f"{victim} killed after {int(moment)} of {alone.results} results"
                print(killed.row(f"{said} ({k + 1}. time)", usual), flush=True)
                if killed.files != usual:
                    print(*killed.said.splitlines()[-SAID:], sep="\n", flush=True)


@dataclass(frozen=True)
class Audited:
    """What became of one audit."""

    clock: float
    processor: float
    files: dict[str, str]
    """Name -> SHA-256."""
    results: int
    """Files that the units left."""
    shards: tuple[int, int]
    """Files of shards, and how many shards they are of."""
    said: str
    """What all its processes wrote."""

    def row(self, name: str, usual: dict[str, str]) -> str:
        """Return a row of the table."""
        same = "the same" if self.files == usual and len(usual) == len(FILES) else "OTHER"
        same = "—" if self.files is usual else same
        there, shards = self.shards
        once = "each once" if there == shards else f"{there} files of {shards} shards"
        once = once if there else "none: it was not begun"
        return f"| {name} | {self.clock:.1f} | {self.processor:.1f} | {same} | {once} |"


@dataclass(frozen=True)
class Place:
    """A folder with images, a net and the audits of it."""

    folder: Path
    edits: int
    net: str = "convolution"
    side: int = 32
    """Of the images, pixels."""

    def draw(self, count: int) -> None:
        """Write bright and dark images, and a net that tells them apart."""
        rng = np.random.default_rng(0)
        for name, low in (("bright", 150), ("dim", 60)):
            (self.folder / "data" / name).mkdir(parents=True)
            for i in range(count // 2):
                shape = self.side, self.side + 4, 3
                pixels = rng.integers(low, low + 60, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(self.folder / "data" / name / f"{i:05d}.png")
        (self.folder / "net.py").write_text(NETS[self.net], "utf-8")
        torch.save(self._state(), self.folder / "net.pt")

    def _state(self) -> dict[str, torch.Tensor]:
        if self.net == "resnet18":
            torch.manual_seed(0)
            return dict(resnet18(num_classes=2).state_dict())
        return {
            "0.weight": torch.full((4, 3, 3, 3), 0.04),
            "0.bias": torch.zeros(4),
            "4.weight": torch.tensor([[1.0] * 4, [-1.0] * 4]),
            "4.bias": torch.tensor([-2.0, 2.0]),
        }

    def audited(self, way: str, victim: str = "", moment: float = 0.0) -> Audited:
        """Run the audit in some way, with a victim killed after `moment` results."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            out = Path(name)
            for there in ("data", "net.py", "net.pt"):
                (out / there).symlink_to(self.folder / there)
            begun, used = time.monotonic(), _processor()
            with contextlib.ExitStack() as stack:
                self._run(way, out, stack, victim, moment)
            clock, processor = time.monotonic() - begun, _processor() - used
            files = [out / "audit" / name for name in FILES if (out / "audit" / name).exists()]
            found = list((out / "audit" / "shards").rglob("*.parquet"))
            shards = {(path.parent.name, path.name.partition("-")[0]) for path in found}
            hashes = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
            results = len(_results(out))
            said = (out / "said.txt").read_text("utf-8", "replace")
            return Audited(clock, processor, hashes, results, (len(found), len(shards)), said)

    def _run(
        self, way: str, out: Path, stack: contextlib.ExitStack, victim: str, moment: float
    ) -> None:
        more: list[str] = []
        victims: dict[str, subprocess.Popen[bytes]] = {}
        threads = "2" if way == "threads" else "1"
        if way in ("processes", "four"):
            more = ["--processes", "4" if way == "four" else "2"]
        elif way == "worker":
            victims["worker"] = stack.enter_context(_running([*PYTHON, *WORKER], out))
        elif way == "torchrun":
            launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
            command = [*PYTHON, *launcher, "--no-python", *PYTHON, *WORKER]
            stack.enter_context(_running(command, out))
        elif way == "ray":
            address, node = stack.enter_context(_cluster(out))
            victims["node"], more = node, ["--engine-address", address]
        audit = _running(self._command(more), out, threads)
        victims["audit"] = stack.enter_context(audit)
        if victim:
            while len(_results(out)) < int(moment) and victims["audit"].poll() is None:
                time.sleep(0.05)
            time.sleep(2 * (moment % 1))
            _kill(victims[victim], signal.SIGKILL)
        victims["audit"].wait()
        if victim == "audit":
            with _running(self._command(more), out) as again:
                again.wait()

    def _command(self, more: Sequence[str]) -> list[str]:
        usual = ["--model", "net.pt", "--factory", "net.py:build", "--data", "data"]
        quick = ["--image-size", str(self.side), "--workers", "0", "--check-images", "4"]
        edits = ["--edits", str(self.edits), "--corruption-images", "2", "--out", "audit"]
        return [*PYTHON, "melaudit", "run", *usual, *quick, *edits, *more]


def _results(out: Path) -> list[Path]:
    """Return the files that units have left, whole."""
    found = (out / "audit" / "shards").rglob("*")
    return [path for path in found if path.is_file() and not path.name.startswith(".")]


def _environment(threads: str) -> dict[str, str]:
    usual = {"OMP_NUM_THREADS": threads, "SOURCE_DATE_EPOCH": "1"}
    ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
    # Ray lowers the priority of its workers; beside other work they would hardly run.
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1", "RAY_worker_niceness": "0"}
    root = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": root, **usual, **ray, **loopback}


TOKEN = secrets.token_hex(16)


@contextlib.contextmanager
def _running(
    command: Sequence[str], folder: Path, threads: str = "1"
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the folder; it and what it started are gone at the end."""
    with (folder / "said.txt").open("ab") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(threads),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _kill(process, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            _kill(process, signal.SIGKILL)
            process.wait()


def _kill(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Send a signal to a process and to what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Have a Ray cluster of two nodes with a processor each: its address, and the second node."""
    ray = [*PYTHON, "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
    ray += ["--node-ip-address=127.0.0.1", "--object-store-memory=100000000"]
    address = f"127.0.0.1:{_free_port()}"
    # In a short path: a socket's name may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as place:
        head = ["--head", f"--port={address.rpartition(':')[2]}", f"--temp-dir={place}"]
        with _running([*ray, *head, "--include-dashboard=false"], folder):
            _until(lambda: _answers(address))
            with _running([*ray, f"--address={address}"], folder) as node:
                yield address, node


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


def _until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("the Ray cluster did not start")
        time.sleep(0.5)


def _processor() -> float:
    """Return the seconds of processor time of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
