"""Findings -> HTML and JSON."""

from melaudit.reports.html import Assets, render_report, render_split, write_report
from melaudit.reports.json_file import read_findings, schema, to_json, write_findings
from melaudit.reports.page import build_page
from melaudit.reports.text import summary

__all__ = [
    "Assets",
    "build_page",
    "read_findings",
    "render_report",
    "render_split",
    "schema",
    "summary",
    "to_json",
    "write_findings",
    "write_report",
]
