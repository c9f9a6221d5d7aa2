"""The page as HTML that needs no network and no script: one file, or a file and a folder beside it.

One file carries its pictures, style and script; that is what people send. Where a server forbids
everything inline (as Jenkins does), the same page can stand as `report.html` with a folder
`assets`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from melaudit import templates
from melaudit.choices import Assets
from melaudit.errors import StoreError
from melaudit.publish import publish
from melaudit.reports.interface import Record
from melaudit.reports.page.page import Page, build_page
from melaudit.reports.page.plates import MAX_BYTES, MAX_TILES

MAX_COMFORTABLE_BYTES = 10_000_000
"""Bytes of a report that opens anywhere; pictures are left out until it has no more."""

MAX_ELEMENTS = 4_900
"""HTML elements of such a report, with room for those that the script adds."""

MAX_REPORT_BYTES = 25_000_000
"""Bytes that no report may exceed."""

MIN_PICTURES = 80
"""So many pictures stay even with too many elements: text takes up the elements then."""

BUDGETS = (
    *((MAX_BYTES, tiles) for tiles in (MAX_TILES, 240, 200, 160, 120)),
    (MAX_BYTES // 3, MIN_PICTURES),
    (0, 0),
)
"""(bytes, number) of pictures, tried one after the other until the report is small enough."""

FOLDER = "assets"


def render(page: Page) -> str:
    """Return a page as one HTML text; the same page gives the same text."""
    return templates.render("report.html.j2", page=page, split=False)


def render_report(record: Record) -> str:
    """Return the report of a record as one self-contained HTML text.

    Pictures are left out until it has no more than `MAX_COMFORTABLE_BYTES` and `MAX_ELEMENTS`.
    Raises ValueError when a picture of the record is no WebP image, StoreError when the text alone
    exceeds `MAX_REPORT_BYTES`.
    """
    text = ""
    for max_bytes, max_tiles in BUDGETS:
        text = render(build_page(record, max_bytes=max_bytes, max_tiles=max_tiles))
        few = max_tiles <= MIN_PICTURES or elements(text) <= MAX_ELEMENTS
        if few and len(text.encode("utf-8")) <= MAX_COMFORTABLE_BYTES:
            return text
    if len(text.encode("utf-8")) > MAX_REPORT_BYTES:
        raise StoreError(
            f"the words of this report alone take more than {MAX_REPORT_BYTES // 1_000_000} MB; "
            "a detector writes far too much into a finding, see findings.json"
        )
    return text


def elements(text: str) -> int:
    """Return how many elements a page has before a script adds any."""
    return len(re.findall("<[a-z]", text))


def render_split(record: Record) -> dict[str, bytes]:
    """Return the report of a record as files: path below the report's folder -> content.

    The page is `report.html`; everything else is in `assets`. Raises ValueError when a
    picture of the record is no WebP image.
    """
    page = build_page(record)
    files = {f"{FOLDER}/{name}": text.encode("utf-8") for name, text in templates.assets().items()}
    plates = []
    for plate in page.plates:
        name = f"{FOLDER}/{plate.id}.webp"
        files[name] = base64.b64decode(plate.uri.partition(",")[2])
        plates.append(replace(plate, uri=name))
    moved = replace(page, plates=tuple(plates))
    html = templates.render("report.html.j2", page=moved, split=True)
    return {"report.html": html.encode("utf-8"), **files}


def write_report(record: Record, path: Path, *, assets: Assets = Assets.INLINE) -> tuple[Path, ...]:
    """Write the report of a record to `path`, whole or not at all, and return what was written.

    With `Assets.SPLIT` the folder `assets` beside it holds the rest; the page is written last, so
    that it never names a file that is not there. Raises StoreError when `path` cannot be written,
    ValueError as `render_report` does.
    """
    if assets is Assets.INLINE:
        publish(path, render_report(record).encode("utf-8"))
        return (path,)
    return _write_split(render_split(record), path)


def _write_split(files: Mapping[str, bytes], path: Path) -> tuple[Path, ...]:
    folder = path.parent / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make the folder {folder}: {error.strerror or error}; "
            "name a folder that can be written with --out"
        ) from error
    written = []
    for name, content in files.items():
        if name != "report.html":
            publish(path.parent / name, content)
            written.append(path.parent / name)
    publish(path, files["report.html"])
    return (path, *written)
