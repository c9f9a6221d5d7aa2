"""Which output formats there are."""

from __future__ import annotations

from melaudit.reports.formats.affected_csv import CSV
from melaudit.reports.formats.annex import ANNEX
from melaudit.reports.formats.bom import BOM
from melaudit.reports.formats.interface import Format
from melaudit.reports.formats.json_file import JSON
from melaudit.reports.formats.junit import JUNIT
from melaudit.reports.formats.model_card import MODEL_CARD
from melaudit.reports.formats.sarif import SARIF
from melaudit.reports.formats.step_summary import STEP_SUMMARY
from melaudit.reports.formats.text import TEXT

FORMATS: tuple[Format, ...] = (
    JSON,
    TEXT,
    CSV,
    SARIF,
    JUNIT,
    STEP_SUMMARY,
    MODEL_CARD,
    BOM,
    ANNEX,
)
"""In the order in which the command line and messages name them."""
