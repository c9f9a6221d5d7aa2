"""The page as one file of HTML that needs nothing else: no network, no other file, no script."""

from __future__ import annotations

from pathlib import Path

from melaudit import templates
from melaudit.publish import publish
from melaudit.reports.interface import Record
from melaudit.reports.page import Page, build_page
from melaudit.reports.wording import visible


def render(page: Page) -> str:
    """Return a page as HTML; the same page gives the same text."""
    return templates.render("report.html.j2", visible=visible, page=page)


def render_report(record: Record) -> str:
    """Return the report of a record as one self-contained HTML text below 10 MB.

    Raises ValueError when a picture of the record is no WebP image.
    """
    return render(build_page(record))


def write_report(record: Record, path: Path) -> None:
    """Write the report of a record to `path`, whole or not at all.

    Raises StoreError when `path` cannot be written, ValueError as `render_report` does.
    """
    publish(path, render_report(record).encode("utf-8"))
