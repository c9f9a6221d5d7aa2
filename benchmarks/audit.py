"""What a default audit costs: a fixed part and a part for each image, in forward passes.

The command `melaudit run` runs on two samples of a data set, each time in a process of its own and
into a folder of its own. A stage's processor seconds on both sizes give its fixed part and its part
for each image. Both are told in units of one image's forward pass, which is measured in the same
process before and after each audit, so that the figures of two machines, or of one that others use
as well, can be compared. Beside them stands how many images the model was shown, which no machine
changes, and the floor: an audit cannot do without one forward and one backward pass of each image
(3 forward passes) and without the images that it edits and checks.

    python -m benchmarks.audit --model CKPT --data FOLDER --limits 200 1000 -- --image-size 128
    python -m benchmarks.audit ... --save before.json      and later      --beside before.json

What stands after `--` is handed to `melaudit run`.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

STAGES = {
    "Loading": "load",
    "Reading": "load",
    "Checking": "checks",
    "Learning": "visual words",
    "Measuring": "pass",
    "Editing": "edits",
    "Taking": "loss of quality",
    "Concluding": "conclusions",
}
"""First word of a stage's name -> what its row is called; all others are "report"."""
ROWS = (*dict.fromkeys(STAGES.values()), "report")
FLOOR = 3.0
"""Forward passes of a forward and a backward pass of one image."""
ROUNDS, BATCH = 5, 16
"""Batches on which a forward pass is measured, before the audit and after it, and their size."""


def main() -> None:
    """Print the tables; what is kept is written as each size ends."""
    options = _options()
    if options.read:
        result = json.loads(options.read.read_text())
    else:
        result = []
        for limit in options.limits:
            result.append(_in_own_process(limit, options))
            if options.save:  # each size as it ends, so that an interruption loses no other
                options.save.write_text(json.dumps(result))
    runs = {"now": result}
    if options.beside:
        runs = {"before": json.loads(options.beside.read_text()), **runs}
    for line in lines(runs):
        print(line)


def lines(runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the tables of runs by name, each a run of every size, the smaller first."""
    told = []
    for name, sizes in runs.items():
        told.append(
            f"{name}: "
            + "; ".join(
                f"{run['images']} images {sum(run['seconds'].values()):.0f} s, "
                f"a forward pass {1000 * run['unit']:.1f} ms"
                for run in sizes
            )
        )
    kinds = ("fixed", "each image", *([] if len(next(iter(runs.values()))) < 2 else ["shown"]))
    heads = [f"{kind}, {name}" for kind in kinds for name in runs]
    told += ["", "forward passes".ljust(18) + "".join(head.rjust(20) for head in heads)]
    found = {name: _parts(sizes) for name, sizes in runs.items()}
    for row in (*ROWS, "all"):
        cells = [
            f"{found[name][row][k]:,.{2 if k == 1 else 0}f}"
            for k in range(len(kinds))
            for name in runs
        ]
        told.append(row.ljust(18) + "".join(cell.rjust(20) for cell in cells))
    told.append("floor".ljust(18) + " " * 20 * len(runs) + f"{FLOOR:.2f}".rjust(20))
    return told


def _parts(sizes: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float, float]]:
    """Return row -> fixed part, part for each image, images shown to the model at the smallest.

    By the straight line through both sizes; with one size all of it is fixed.
    """
    few, many = sizes[0], sizes[-1]
    more = many["images"] - few["images"]
    out = {}
    for row in ROWS:
        first, last = (run["seconds"].get(row, 0.0) / run["unit"] for run in (few, many))
        each = (last - first) / more if more else 0.0
        out[row] = (first - each * few["images"], each, float(few["shown"].get(row, 0)))
    out["all"] = tuple(sum(values) for values in zip(*out.values(), strict=True))
    return out


def _in_own_process(limit: int, options: argparse.Namespace) -> dict[str, Any]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:  # a Pool's could start no workers
        return pool.submit(_run, limit, options).result()


def _run(limit: int, options: argparse.Namespace) -> dict[str, Any]:
    from melaudit.cli.machine import share_the_machine

    share_the_machine()  # as the command does, before torch is loaded
    import torch

    from melaudit.audit.prepare.configuration import Configuration, configure
    from melaudit.audit.runner import run
    from melaudit.cli.auditing import run as command
    from melaudit.observer import Silent, Timing
    from melaudit.stopwatch import Stopwatch, parts, running

    torch.set_num_threads(options.threads)
    given = command.make_context("run", [*options.rest]).params
    # The command has options of its own besides the settings: what to write, and when to fail.
    known = {f.name for f in dataclasses.fields(Configuration)}
    settings = {k: v for k, v in given.items() if k in known}
    with tempfile.TemporaryDirectory() as folder:
        settings |= {"model": options.model, "data": options.data, "limit": limit}
        settings |= {"out": Path(folder), "workers": options.workers}
        configuration = configure(settings)
        forward = _forward(configuration)
        units = [forward()]
        watch = Stopwatch()
        with running(watch):
            findings = run(configuration, Timing(Silent(), watch))
        units.append(forward())
    seconds: dict[str, float] = {}
    shown: dict[str, int] = {}
    for part in parts(watch.marks):
        if len(part.path) == 1:
            row = STAGES.get(part.path[0].split()[0], "report")
            seconds[row] = seconds.get(row, 0.0) + part.seconds
            shown[row] = shown.get(row, 0) + part.images
    return {
        "images": findings.inputs.read,
        "unit": statistics.mean(units),
        "seconds": seconds,
        "shown": shown,
    }


def _forward(configuration: Any) -> Callable[[], float]:
    """Return what measures the processor seconds of one image's forward pass."""
    import torch

    from melaudit.audit.prepare.preparation import prepare
    from melaudit.stopwatch import processor_seconds

    prepared = prepare(configuration)
    # As the checkpoint gives it, not as an audit lays it out.
    model = copy.deepcopy(prepared.loaded.model).to(memory_format=torch.contiguous_format)
    model = model.to(prepared.device).eval()
    x = torch.randn(BATCH, 3, *prepared.preprocessing.image_size, device=prepared.device)

    def measured() -> float:
        took = []
        with torch.no_grad():
            for _ in range(ROUNDS + 1):
                begun = processor_seconds()
                model(x)
                took.append(processor_seconds() - begun)
        return statistics.median(took[1:]) / BATCH  # the first one warms up

    return measured


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Callable[..., object] = parser.add_argument
    add("--model", type=Path)
    add("--data", type=Path)
    add("--limits", type=int, nargs="+", default=[200, 1000], help="images (default 200 1000)")
    add("--threads", type=int, default=1, help="torch threads (default 1)")
    add("--workers", type=int, default=0, help="processes that decode (default 0: this one)")
    add("--save", type=Path, metavar="FILE", help="keep the figures of each size as it ends")
    add("--beside", type=Path, metavar="FILE", help="figures kept before, to print beside these")
    add("--read", type=Path, metavar="FILE", help="print figures kept before, and run nothing")
    add("rest", nargs="*", help="after --: options of melaudit run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
