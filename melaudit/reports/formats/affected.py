"""affected_images.csv: one row per finding and affected image, for a spreadsheet.

RFC 4180: commas, double quotes, CRLF. A spreadsheet runs a cell that begins with = + - @ as a
formula, so such cells get an apostrophe in front (OWASP, CSV injection); exact names stand in
findings.json and images.parquet.
"""

from __future__ import annotations

import csv
import io

from melaudit.findings import Findings
from melaudit.reports.formats.interface import Format
from melaudit.wording.figures import visible

COLUMNS = ("finding", "severity", "rung", "detector", "artifact", "rank", "image")

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""ASCII and full-width signs: some spreadsheets take both."""


def to_csv(findings: Findings) -> str:
    """Return the affected images of all findings, the most telling of each first."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for f in findings.findings:
        told = (f.id, f.severity.value, f.rung.value, f.detector, f.artifact or "")
        for rank, image in enumerate(f.images, 1):
            writer.writerow([*map(cell, told), rank, cell(image)])
    return out.getvalue()


def cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet obeys."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


CSV = Format(
    id="csv",
    file="affected_images.csv",
    about="the affected images of each finding as CSV, for a spreadsheet",
    render=lambda findings, _: to_csv(findings),
    for_record=True,
)
