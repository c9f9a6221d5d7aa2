"""How large a report of many images is, and what a browser spends on opening it.

    python -m benchmarks.report [--images 20000] [--suspicious 3000] [--rounds 5]

The record is made up (drawn pictures of 256 x 256 with maps as large), its report is real. Printed
are its size, the time to build it, its elements before anybody touches it, and what each page costs
from the request to the first full paint after the load event: seconds by the clock, and processor
seconds of the browser's process for the page, which other work on the machine hardly changes.
An empty page and a page of as many bytes without markup are opened in the same rounds: the first
is the browser's own cost, the second that of reading and setting the text.

Needs playwright and a Chromium on the path.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from melaudit.reports import write_report
from tests.reports.made_up_variants import large

ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")
PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
EMPTY = "<!doctype html><title>empty</title>"
COSTS = {
    "clock": "",
    "processor": "ProcessTime",
    "main thread": "ThreadTime",
    "layout": "LayoutDuration",
    "style": "RecalcStyleDuration",
    "script": "ScriptDuration",
}
"""What is printed of a page -> Chromium's name for it; all but the clock are processor seconds."""


def main() -> None:
    """Print the figures."""
    options = _options()
    record = large(options.suspicious, options.images)
    with tempfile.TemporaryDirectory() as folder:
        pages = {name: Path(folder) / f"{name}.html" for name in ("empty", "text", "report")}
        start = time.perf_counter()
        write_report(record, pages["report"])
        built = time.perf_counter() - start
        size = pages["report"].stat().st_size
        pages["empty"].write_text(EMPTY, "utf-8")
        pages["text"].write_text(f"{EMPTY}<pre>{_lines(size)}</pre>", "utf-8")
        print(f"{options.images} images, {options.suspicious} of them suspicious")
        print(f"size      {size / 1e6:.2f} MB, built in {built:.1f} s")
        costs, elements = _opened(pages, options.rounds)
    print(f"elements  {elements}")
    _print(costs)


def _lines(size: int) -> str:
    line = "the quick brown fox jumps over the lazy dog, as it does in every such sample\n"
    return line * (size // len(line))


def _print(costs: dict[str, list[dict[str, float]]]) -> None:
    """Print the median of each cost of each page in seconds, and the slowest by the clock."""
    print(f"{'seconds':<9}" + "".join(f"{name:>13}" for name in (*COSTS, "slowest")))
    medians = {}
    for name, rounds in costs.items():
        medians[name] = [statistics.median(r[cost] for r in rounds) for cost in COSTS]
        slowest = max(r["clock"] for r in rounds)
        print(f"{name:<9}" + "".join(f"{value:13.3f}" for value in (*medians[name], slowest)))
    for name in ("empty", "text"):
        times = [medians["report"][k] / max(medians[name][k], 1e-3) for k in (0, 1)]
        print(f"report / {name}: {times[0]:.1f} by the clock, {times[1]:.1f} of the processor")


def _opened(pages: dict[str, Path], rounds: int) -> tuple[dict[str, list[dict[str, float]]], int]:
    """Open every page `rounds` times, each in a browser context of its own."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("needs Chromium, which is not installed")
    costs: dict[str, list[dict[str, float]]] = {name: [] for name in pages}
    elements = 0
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        for _ in range(rounds):
            for name, path in pages.items():
                cost, elements = _once(browser, path)
                costs[name].append(cost)
        browser.close()
    return costs, elements


def _once(browser: Any, path: Path) -> tuple[dict[str, float], int]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    inside = context.new_cdp_session(page)
    inside.send("Performance.enable", {"timeDomain": "threadTicks"})
    start = time.perf_counter()
    page.goto(path.as_uri(), wait_until="load")
    page.evaluate(PAINTED)
    clock = time.perf_counter() - start
    metrics = {m["name"]: m["value"] for m in inside.send("Performance.getMetrics")["metrics"]}
    cost = {name: metrics[metric] if metric else clock for name, metric in COSTS.items()}
    elements = page.evaluate("document.getElementsByTagName('*').length")
    context.close()
    return cost, elements


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--suspicious", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
