"""affected_images.csv: one row per finding and affected image, for a spreadsheet.

RFC 4180: commas, double quotes, CRLF. Cells are made harmless (see `safe_cell`); exact names are in
findings.json and images.parquet.
"""

from __future__ import annotations

import csv
import io

from melaudit.findings import Findings
from melaudit.reports.formats.interface import Format
from melaudit.wording.names import safe_cell

COLUMNS = ("finding", "severity", "rung", "detector", "artifact", "rank", "image")


def to_csv(findings: Findings) -> str:
    """Return the affected images of all findings, the most telling of each first."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for f in findings.findings:
        cells = (f.id, f.severity.value, f.rung.value, f.detector, f.artifact or "")
        for rank, image in enumerate(f.images, 1):
            writer.writerow([*map(safe_cell, cells), rank, safe_cell(image)])
    return out.getvalue()


CSV = Format(
    id="csv",
    file="affected_images.csv",
    about="the affected images of each finding as CSV, for a spreadsheet",
    render=lambda findings, _: to_csv(findings),
    for_record=True,
)
