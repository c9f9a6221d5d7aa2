"""An audit as a notebook shows it: the verdict and a table, small, escaped and without script."""

from __future__ import annotations

from melaudit import templates
from melaudit.findings import Findings
from melaudit.reports.formats.text import finding_rows, head, tail
from melaudit.wording import terms


def to_notebook(findings: Findings) -> str:
    """Return a fragment of HTML of a few kilobytes, complete in itself."""
    return templates.render(
        "notebook.html.j2",
        word=terms.VERDICTS[findings.verdict],
        head=[line for line in head(findings) if line],
        rows=finding_rows(findings),
        tail=tail(findings),
    )
