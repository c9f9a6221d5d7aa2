"""A whole audit with dataflow and with zennit: how long, and are the findings the same?

The command `melaudit run` runs once for each engine, each in a process of its own and into a folder
of its own, on the same sample of images. Printed are, for each engine, the seconds of

    checks   the checks of the maps on the sampled images
    pass     measuring every image: the stage that grows with the data
    rest     loading, concluding, explaining what the report shows, writing

then the ratios of both engines, the ratio for a data set of --images (pass per image, times so
many, and the rest as it is), and where the findings differ: in kind, rung or severity, and by how
much in their estimates.

    python -m benchmarks.audit_engines --model CKPT --data FOLDER --limit 64 -- --image-size 128

What stands after `--` is handed to `melaudit run`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ENGINES = ("dataflow", "zennit")


class Stopwatch:
    """An observer that adds up the seconds of every stage."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self._clock, self._stage, self._begun = clock, "rest", clock()

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        """Begin a stage."""
        self.stop()
        kinds = {"Checking": "checks", "Measuring": "pass"}
        self._stage = kinds.get(name.split()[0], "rest")

    def stop(self) -> None:
        """End the stage that runs."""
        now = self._clock()
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._begun
        self._begun = now

    def advance(self, images: int, computed: bool = True) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""


def main() -> None:
    """Print the tables."""
    options = _options()
    results = {engine: _in_own_process(engine, options) for engine in ENGINES}
    print(f"{'seconds':12}" + "".join(f"{e:>12}" for e in ENGINES) + f"{'ratio':>10}")
    kinds = ("checks", "pass", "rest")
    seconds = {e: [r["seconds"].get(k, 0.0) for k in kinds] for e, r in results.items()}
    for name, *pair in [
        *zip(kinds, *seconds.values(), strict=True),
        ("whole run", *(sum(s) for s in seconds.values())),
    ]:
        print(f"{name:12}" + "".join(f"{s:12.1f}" for s in pair) + f"{pair[1] / pair[0]:10.2f}")
    read = results["dataflow"]["findings"]["inputs"]["read"]
    whole = [c + p * options.images / read + r for c, p, r in seconds.values()]
    title = f"\n{options.images} images, by the seconds for each of these {read}: "
    print(title + " ".join(f"{e} {w:.0f} s" for e, w in zip(ENGINES, whole, strict=True)), end="")
    print(f", ratio {whole[1] / whole[0]:.2f}")
    ours, theirs = (results[e]["findings"] for e in ENGINES)
    print(f"verdict: {ours['verdict']} and {theirs['verdict']}")
    print(f"maps: {ours['explanations']['status']} and {theirs['explanations']['status']}")
    differences = _differences(ours, theirs)
    print("findings: the same" if not differences else "findings differ:")
    for difference in differences:
        print(f"  {difference}")
    for name, own, other in _estimates(ours, theirs):
        print(f"  {name}: {own:.4g} and {other:.4g}")


def _in_own_process(engine: str, options: argparse.Namespace) -> dict[str, Any]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:  # a Pool's could start no workers
        return pool.submit(_run, engine, options).result()


def _run(engine: str, options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from melaudit.audit.prepare.configuration import Configuration, configure
    from melaudit.audit.runner import run
    from melaudit.cli.auditing import run as command

    if options.threads:
        torch.set_num_threads(options.threads)
    given = command.make_context("run", [*options.rest]).params
    # The command has options of its own besides the settings: what to write, and when to fail.
    known = {f.name for f in dataclasses.fields(Configuration)}
    settings = {k: v for k, v in given.items() if k in known}
    with tempfile.TemporaryDirectory() as folder:
        settings |= {"model": options.model, "data": options.data, "limit": options.limit}
        settings |= {"engine": engine, "out": Path(folder), "workers": options.workers}
        watch = Stopwatch(time.process_time if options.cpu_time else time.perf_counter)
        findings = run(configure(settings), watch)
        watch.stop()
    return {"seconds": watch.seconds, "findings": json.loads(json.dumps(findings.to_dict()))}


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return what one engine found and the other did not, or found to be something else."""
    kinds = [
        {f["id"]: (f["rung"], f["severity"], f["artifact"]) for f in findings["findings"]}
        for findings in (ours, theirs)
    ]
    return [
        f"{identity}: {kinds[0].get(identity)} and {kinds[1].get(identity)}"
        for identity in sorted({*kinds[0], *kinds[1]})
        if kinds[0].get(identity) != kinds[1].get(identity)
    ]


def _estimates(ours: dict[str, Any], theirs: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Return (finding and statistic, estimate of ours, of theirs) for what both found."""
    both: list[dict[str, float]] = [
        {
            f"{finding['id']}, {evidence['name']}": evidence["estimate"]
            for finding in findings["findings"]
            for evidence in finding["evidence"]
        }
        for findings in (ours, theirs)
    ]
    return [(name, own, both[1][name]) for name, own in both[0].items() if name in both[1]]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.audit_engines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Callable[..., object] = parser.add_argument
    add("--model", type=Path, required=True)
    add("--data", type=Path, required=True)
    add("--limit", type=int, default=64, help="images (default 64)")
    add("--images", type=int, default=1000, help="data set to extrapolate to (default 1000)")
    add("--threads", type=int, help="torch threads (default: torch's own)")
    add("--cpu-time", action="store_true", help="CPU seconds, for a machine shared with others")
    add(
        "--workers",
        type=int,
        default=0,
        help="processes that decode; their CPU time is not counted",
    )
    add("rest", nargs="*", help="after --: options of melaudit run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
