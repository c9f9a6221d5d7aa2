"""How large a report of many images is, and how long a browser takes to open it.

    python -m benchmarks.report [--images 20000] [--suspicious 3000] [--rounds 5]

The record is made up (drawn pictures of 256 x 256 with maps as large), its report is real. Printed
are its size, the time to build it, its elements before anybody touches it, and the median and the
slowest of the rounds from the request to the first full paint after the load event. An empty page
is timed in the same rounds: its time is the browser's own.

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
from tests.reports.conftest import large

ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")
PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def main() -> None:
    """Print the figures."""
    options = _options()
    record = large(options.suspicious, options.images)
    with tempfile.TemporaryDirectory() as folder:
        report, empty = Path(folder) / "report.html", Path(folder) / "empty.html"
        empty.write_text("<!doctype html><title>empty</title>", "utf-8")
        start = time.perf_counter()
        write_report(record, report)
        built = time.perf_counter() - start
        print(f"{options.images} images, {options.suspicious} of them suspicious")
        print(f"size      {report.stat().st_size / 1e6:.2f} MB, built in {built:.1f} s")
        times, elements = _opened(report, empty, options.rounds)
    print(f"elements  {elements}")
    for name, seconds in times.items():
        print(f"{name:<9} {statistics.median(seconds):.2f} s median, {max(seconds):.2f} s slowest")


def _opened(report: Path, empty: Path, rounds: int) -> tuple[dict[str, list[float]], int]:
    """Open both pages `rounds` times, each in a browser context of its own."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("needs Chromium, which is not installed")
    times: dict[str, list[float]] = {"empty": [], "report": []}
    elements = 0
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        for _ in range(rounds):
            for name, path in (("empty", empty), ("report", report)):
                seconds, elements = _once(browser, path)
                times[name].append(seconds)
        browser.close()
    return times, elements


def _once(browser: Any, path: Path) -> tuple[float, int]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    start = time.perf_counter()
    page.goto(path.as_uri(), wait_until="load")
    page.evaluate(PAINTED)
    seconds = time.perf_counter() - start
    elements = page.evaluate("document.getElementsByTagName('*').length")
    context.close()
    return seconds, elements


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--suspicious", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
