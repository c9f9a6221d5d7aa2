"""How an audit grows with its images: rate, memory and time, stage by stage, each in a process.

Stages of the benchmark, chosen by `--stages`:

* pass: whole audits of `--images` drawn JPEGs. Printed are images for each processor second of the
  pass, over all of it and over its first and its last tenth, and the peak of the memory until the
  pass ends and until the audit ends.
* conclude: one audit of `--rows` images, a few drawn ones with many names, whose pass is not
  computed: `TEMPLATE` images are measured, and another process fills the store with rows like
  theirs. All else is the command itself: reading the folder, the plan, edits, conclusions, the
  page.

Memory is what the process holds (resident), and beside it the part that is its own: pages of files
that the process reads through the page cache can be taken away by the kernel at any time.

    python -m benchmarks.scale --images 1000 10000 --rows 20000
    python -m benchmarks.scale --stages conclude --rows 400000 --channels 512 --folder /tmp/scale

`--folder` keeps what was drawn, measured and filled, so that the same command begins at the end of
the pass.
"""

# Long because: each stage runs in a process of its own, and all print one table.
from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from melaudit.audit.measure.measurer import Measurer
    from melaudit.audit.measure.store import Store

STAGES = ("pass", "conclude")
TEMPLATE = 2048
"""Images that are truly measured to fill a store with rows like theirs."""
DRAWN = 2000
"""Files that the names of `conclude` are links to."""
COPIES = 0.001
"""Share of the filled rows that are given the signature of the row before."""
CHECKED = 16
"""Of the truly measured images, those on which the maps are checked."""
VARIED = ("relevance.", "property_label.", "fixed_position.")
"""Beginnings of the names of columns whose values are varied, so that no two rows are alike."""
EVERY = 0.02
"""Seconds between two looks at the memory."""
PASS = "Measuring"
BETWEEN = 0.25
"""A grey between bright and dim images, as the net sees it."""
NET = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(3, {channels}, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear({channels}, 2)
    )
"""


def main() -> None:
    """Print the tables."""
    options = _options()
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as the command does
    with _folder(options.folder) as folder:
        if "pass" in options.stages:
            found = [_apart(_audited, folder, n, options) for n in sorted(options.images)]
            print(*rates(found), "", sep="\n", flush=True)
        if "conclude" in options.stages:
            for n in sorted(options.rows):
                _apart(_filled, folder, n, options)
                seen = _apart(_concluded, folder, n, options)
                print(*stages(seen), "", sep="\n", flush=True)


@dataclass
class Stage:
    """What one stage of an audit took."""

    name: str
    images: int = 0
    clock: float = 0.0
    processor: float = 0.0
    resident: int = 0
    """The most, in bytes."""
    own: int = 0
    """The most that no file holds, in bytes."""


@dataclass
class Seen:
    """An audit that was watched."""

    images: int
    stages: list[Stage] = field(default_factory=list)
    advances: list[tuple[float, int]] = field(default_factory=list)
    """Processor seconds, and images of the pass that were done by then."""

    def until(self, name: str) -> int:
        """Return the peak of the resident memory until a stage ends, or the last one."""
        names = [stage.name for stage in self.stages]
        end = names.index(name) + 1 if name in names else len(names)
        return max(stage.resident for stage in self.stages[:end])


def rates(found: Sequence[Seen]) -> list[str]:
    """Return the table of the pass: a row for each number of images."""
    lines = [
        "| images | pass, images a second | first tenth | last tenth | audit, images a second | "
        "peak until the pass ends, MB | peak, MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for seen in found:
        done = [(0.0, 0), *seen.advances]
        n, took = seen.images, sum(stage.processor for stage in seen.stages)
        cells = (
            f"{seen.images:,}",
            *(f"{_rate(done, *part):.0f}" for part in ((0, n), (0, n // 10), (n - n // 10, n))),
            f"{n / took:.0f}",
            f"{seen.until(PASS) / 2**20:,.0f}",
            f"{seen.until('') / 2**20:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    for few, many in pairwise(found):
        grown = (many.until("") - few.until("")) / (many.images - few.images) / 1024
        lines.append(f"\n{few.images:,} to {many.images:,}: {grown:.1f} KB an image")
    return lines


def stages(seen: Seen) -> list[str]:
    """Return the table of one audit: a row for each stage."""
    lines = [
        f"{seen.images:,} images",
        "",
        "| stage | clock, s | processor, s | resident at most, MB | its own at most, MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for stage in seen.stages:
        seconds = f"{stage.clock:.1f} | {stage.processor:.1f}"
        lines.append(
            f"| {stage.name} | {seconds} | {stage.resident / 2**20:,.0f} | "
            f"{stage.own / 2**20:,.0f} |"
        )
    return lines


def _rate(done: Sequence[tuple[float, int]], first: int, last: int) -> float:
    """Return images for each processor second between two images, at the batches around them."""
    begun = max((at for at in done if at[1] <= first), key=lambda at: at[1])
    ended = min((at for at in done if at[1] >= last), key=lambda at: at[1])
    return (ended[1] - begun[1]) / (ended[0] - begun[0])


class Watch:
    """An observer that notes time and memory, stage by stage."""

    def __init__(self, images: int, *, tell: bool) -> None:
        self.seen = Seen(images, [Stage("Starting")])
        self._tell, self._ended = tell, threading.Event()
        self._at = time.monotonic(), _processor()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        """Begin a stage."""
        self._close()
        self.seen.stages.append(Stage(name, total or 0))
        if self._tell:
            print(name, flush=True)

    def advance(self, images: int, computed: bool = True) -> None:
        """Note how far the pass is."""
        if self.seen.stages[-1].name == PASS:
            done = self.seen.advances[-1][1] if self.seen.advances else 0
            self.seen.advances.append((_processor() - self._at[1], done + images))

    def note(self, text: str) -> None:
        """Ignore it."""

    def end(self) -> Seen:
        """Look no more, and return what was seen."""
        self._ended.set()
        self._thread.join()
        self._close()
        return self.seen

    def _close(self) -> None:
        now = time.monotonic(), _processor()
        stage = self.seen.stages[-1]
        stage.clock, stage.processor = now[0] - self._at[0], now[1] - self._at[1]
        self._at = now

    def _look(self) -> None:
        while not self._ended.wait(EVERY):
            stage, told = self.seen.stages[-1], _status()
            stage.resident = max(stage.resident, told["VmRSS"])
            stage.own = max(stage.own, told["RssAnon"])


def _status() -> dict[str, int]:
    """Return what the kernel says of this process's memory, in bytes."""
    lines = [line.split() for line in Path("/proc/self/status").read_text("utf-8").splitlines()]
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if line[-1] == "kB"}


def _processor() -> float:
    from melaudit.stopwatch import processor_seconds

    return processor_seconds()


def _audited(folder: Path, images: int, options: argparse.Namespace) -> Seen:
    """Audit so many images, each a file of its own."""
    own = folder / f"pass-{images}"
    if not own.exists():
        _draw(own / "data", images, images)
        _model(own, options.channels)
    return _run(own, images, options)


class _FilledError(Exception):
    """The store is full, and the audit need not go on."""


def _filled(folder: Path, rows: int, options: argparse.Namespace) -> Seen:
    """Begin to audit so many names of a few images, and make up what the pass would measure."""
    from melaudit.audit.measure import sweep as room

    own = _rows(folder, rows, options)
    if not own.exists():
        _draw(own / "data", rows, DRAWN)
        _model(own, options.channels)
    usual = room.sweep

    def filled(parts: Sequence[tuple[Measurer, Store]], observer: Any, **more: Any) -> None:
        """Fill the store, where the pass would compute it."""
        if len(parts[0][1].ids) < rows:  # those on which the maps are checked
            return usual(parts, observer, **more)
        observer.stage("Filling the store", rows)
        _fill(*parts[0], usual, more)
        raise _FilledError

    room.sweep = filled
    with contextlib.suppress(_FilledError):
        _run(own, rows, options)
    return Seen(rows)


def _concluded(folder: Path, rows: int, options: argparse.Namespace) -> Seen:
    """Audit so many names of a few images, whose pass is over."""
    return _run(_rows(folder, rows, options), rows, options)


def _rows(folder: Path, rows: int, options: argparse.Namespace) -> Path:
    return folder / f"rows-{rows}-{options.channels}"


def _run(folder: Path, images: int, options: argparse.Namespace) -> Seen:
    """Run the audit of a folder as the command does."""
    from melaudit.audit.prepare.configuration import configure
    from melaudit.audit.runner import run

    torch.set_num_threads(1)
    configuration = configure(
        {
            "model": folder / "net.pt",
            "factory": f"{folder / 'net.py'}:build",
            "data": folder / "data",
            "out": folder / "out",
            "image_size": 32,
            "batch_size": 32,
            "workers": 0,
            "check_images": options.check_images,
            "edits": options.edits,
            "corruption_images": 0,
        }
    )
    watch = Watch(images, tell=options.tell)
    run(configuration, watch)
    return watch.end()


def _fill(measurer: Measurer, store: Store, sweep: Callable[..., None], more: Any) -> None:
    """Write every shard that is missing: rows like those of images that are truly measured."""
    from melaudit.audit.measure.measurer import CheckSample
    from melaudit.audit.measure.store import Store
    from melaudit.observer import Silent
    from melaudit.statistics.sampling import sample

    dataset = measurer.dataset
    chosen = np.linspace(0, len(dataset) - 1, min(TEMPLATE, len(dataset))).astype(np.int64)
    checked = CheckSample(sample(dataset.labels[chosen], CHECKED, 0))
    few = replace(measurer, dataset=dataset.take(chosen), sample=checked)
    kept = Store(store.folder.with_name("template"), store.run_id, few.dataset.ids)
    sweep([(few, kept)], Silent(), **{k: v for k, v in more.items() if k == "read"})
    names = [name for name in kept.names() if name not in ("status", "reasons")]
    template = {name: kept.column(name) for name in names}
    of_label = {int(k): np.flatnonzero(few.dataset.labels == k) for k in (0, 1)}
    for shard in range(len(store)):
        if store.done(shard):
            continue
        rng, rows = np.random.default_rng(shard), np.array(store.rows(shard))
        like = np.array([rng.choice(of_label[int(dataset.labels[row])]) for row in rows])
        every = {"status": np.full(len(rows), "ok"), "reasons": np.full(len(rows), "")}
        made = {name: _varied(name, template[name][like], rng) for name in names}
        store.write(shard, every, made | {"row": rows}, np.full(len(rows), True))


def _varied(
    name: str, values: np.ndarray[Any, Any], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """Return measured values that differ a little from others; signatures are drawn anew."""
    if name == "near_duplicates.signature":
        drawn = rng.normal(128, 32, values.shape)
        again = np.flatnonzero(rng.random(len(values)) < COPIES)
        drawn[again[again > 0]] = drawn[again[again > 0] - 1]
        return np.asarray(np.clip(drawn, 0, 255), np.uint8)
    if name.startswith(VARIED) and values.dtype.kind == "f":
        by = 0.9 + 0.2 * rng.random(values.shape, np.float32)
        return np.asarray(values * by, values.dtype)
    return values


def _draw(folder: Path, names: int, files: int) -> None:
    """Draw bright and dark JPEGs of 32 to 64 pixels, half of each; further names are links."""
    rng = np.random.default_rng(0)
    for label, low in (("bright", 130), ("dim", 70)):
        (folder / label).mkdir(parents=True)
        drawn = [folder / label / f"{i:07d}.jpg" for i in range(min(names, files) // 2)]
        for path in drawn:
            h, w = rng.integers(32, 65, 2)
            coarse = rng.integers(low, low + 60, (6, 6, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC)
            noise = rng.integers(0, 12, (h, w, 3), dtype=np.uint8)
            Image.fromarray(np.asarray(picture) + noise).save(path, quality=90)
        for i in range(len(drawn), names // 2):
            (folder / label / f"{i:07d}.jpg").hardlink_to(drawn[i % len(drawn)])


def _model(folder: Path, channels: int) -> None:
    """Write a net whose first channels see how bright an image is, and which decides by them."""
    (folder / "net.py").write_text(NET.format(channels=channels), "utf-8")
    made: dict[str, Any] = {}
    exec(NET.format(channels=channels), made)
    torch.manual_seed(0)
    net = made["build"]()
    with torch.no_grad():
        net[0].weight[: channels // 4].abs_()
        sign = torch.tensor([[1.0], [-1.0]])
        net[-1].weight.copy_(sign * torch.rand(channels) / channels)
        net[-1].weight[:, channels // 4 :] *= 0.1
        net[-1].bias.zero_()
        net[-1].bias.copy_(-net(torch.full((1, 3, 32, 32), BETWEEN))[0])
    torch.save(net.state_dict(), folder / "net.pt")


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        yield Path(name)


def _apart(
    function: Callable[[Path, int, argparse.Namespace], Seen],
    folder: Path,
    images: int,
    options: argparse.Namespace,
) -> Seen:
    """Call a function in a process of its own, whose memory is that of one audit."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, folder, images, options).result()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Callable[..., object] = parser.add_argument
    add("--stages", nargs="+", choices=STAGES, default=STAGES)
    add("--images", type=int, nargs="+", default=[1000, 10_000], help="of the stage pass")
    add("--rows", type=int, nargs="+", default=[100_000], help="of the stage conclude")
    add("--channels", type=int, default=64, help="of the layer whose channels are concepts")
    add("--edits", type=int, default=8, help="images of each class")
    add("--check-images", type=int, default=8)
    add("--folder", type=Path, help="where to draw and to audit; kept")
    add("--tell", action="store_true", help="say which stage begins")
    return parser.parse_args()


if __name__ == "__main__":
    main()
