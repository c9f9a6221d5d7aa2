"""Findings -> HTML, JSON and the files that machines and records want.

What stands here is imported when it is first asked for: a help text names every output format, and
must not wait for what draws the page.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from melaudit.choices import Assets, Sharing
    from melaudit.reports.comparison.changes import compare
    from melaudit.reports.comparison.page import render_comparison
    from melaudit.reports.comparison.text import comparison_plain, comparison_text
    from melaudit.reports.formats.affected_csv import to_csv
    from melaudit.reports.formats.annex import to_annex
    from melaudit.reports.formats.bom import to_bom
    from melaudit.reports.formats.json_file import read_findings, schema, to_json, write_findings
    from melaudit.reports.formats.junit import to_junit
    from melaudit.reports.formats.model_card import to_model_card
    from melaudit.reports.formats.record_file import read_record, write_record
    from melaudit.reports.formats.sarif import to_sarif
    from melaudit.reports.formats.step_summary import to_step_summary
    from melaudit.reports.formats.text import summary
    from melaudit.reports.mitigation import write_mitigation_page
    from melaudit.reports.page.html import render_report, render_split, write_report
    from melaudit.reports.page.page import build_page
    from melaudit.reports.sharing import shared

_HOMES = {
    "melaudit.choices": ("Assets", "Sharing"),
    "melaudit.reports.comparison.changes": ("compare",),
    "melaudit.reports.comparison.page": ("render_comparison",),
    "melaudit.reports.comparison.text": ("comparison_plain", "comparison_text"),
    "melaudit.reports.formats.affected_csv": ("to_csv",),
    "melaudit.reports.formats.annex": ("to_annex",),
    "melaudit.reports.formats.bom": ("to_bom",),
    "melaudit.reports.formats.json_file": (
        *("read_findings", "schema", "to_json", "write_findings"),
    ),
    "melaudit.reports.formats.junit": ("to_junit",),
    "melaudit.reports.formats.model_card": ("to_model_card",),
    "melaudit.reports.formats.record_file": ("read_record", "write_record"),
    "melaudit.reports.formats.sarif": ("to_sarif",),
    "melaudit.reports.formats.step_summary": ("to_step_summary",),
    "melaudit.reports.formats.text": ("summary",),
    "melaudit.reports.mitigation": ("write_mitigation_page",),
    "melaudit.reports.page.html": ("render_report", "render_split", "write_report"),
    "melaudit.reports.page.page": ("build_page",),
    "melaudit.reports.sharing": ("shared",),
}
"""Module -> the names of it that stand here."""

__all__ = [
    "Assets",
    "Sharing",
    "build_page",
    "compare",
    "comparison_plain",
    "comparison_text",
    "read_findings",
    "read_record",
    "render_comparison",
    "render_report",
    "render_split",
    "schema",
    "shared",
    "summary",
    "to_annex",
    "to_bom",
    "to_csv",
    "to_json",
    "to_junit",
    "to_model_card",
    "to_sarif",
    "to_step_summary",
    "write_findings",
    "write_mitigation_page",
    "write_record",
    "write_report",
]


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
