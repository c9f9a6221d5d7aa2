"""Takes the pictures of docs/reading.md: one of each section of a report, by a headless Chromium.

    melaudit demo --out demo
    python -m tests.docs.pictures demo/audit/report.html

The demo's images are drawn, so no photograph of anybody is in the documents.
"""

import io
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from tests.docs.pages import ROOT

FOLDER = ROOT / "docs" / "pictures"
FIRST_SCREEN = "first-screen"
"""The picture of what a reader meets before scrolling."""
UNSHOWN = ("summary", "signature")
"""Sections without a picture: the first screen shows one, and only a print has the other."""
WIDTH, HEIGHT = 1280, 800
MAX_HEIGHT = 720
"""Of a picture, in pixels of the page: its section goes on below."""
MARGIN = 16
"""Of the page, left and right of a section."""
SHARE = 0.8
"""Of the page's size."""
QUALITY = 55
"""Of WebP. Chosen: the small print of a section is readable at it."""


def sections(page: str) -> dict[str, str]:
    """Return the sections of a report's HTML in their order: id -> heading."""
    found = re.findall(r'<section id="([\w-]+)".*?<h[12][^>]*>(.*?)</h[12]>', page, re.DOTALL)
    return {name: re.sub(r"<[^>]+>", "", heading).strip() for name, heading in found}


def take(report: Path, folder: Path, program: str) -> None:
    """Write a picture of every section of a report, and of its first screen, into a folder."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(report.resolve().as_uri())
        _write(page.screenshot(), folder / f"{FIRST_SCREEN}.webp")
        for name in sections(report.read_text(encoding="utf-8")):
            if name not in UNSHOWN:
                _write(_section(page, name), folder / f"{name}.webp")
        browser.close()


def _section(page: Any, name: str) -> bytes:
    """Return the picture of one section, from its top."""
    page.evaluate(
        f"document.querySelector('#{name} details:only-of-type')?.setAttribute('open', '')"
    )
    place = page.locator(f"#{name}").bounding_box()
    place["x"], place["width"] = place["x"] - MARGIN, place["width"] + 2 * MARGIN
    clip = {**place, "height": min(place["height"], MAX_HEIGHT)}
    taken: bytes = page.screenshot(full_page=True, clip=clip)
    return taken


def _write(taken: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(taken)) as image:
        size = round(image.width * SHARE), round(image.height * SHARE)
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(
            path, quality=QUALITY, method=6
        )


if __name__ == "__main__":
    take(Path(sys.argv[1]), FOLDER, shutil.which("chromium") or "chromium-browser")
