"""Fixtures of the tests of reports: made-up records and their pages."""

from __future__ import annotations

import pytest

from melaudit.reports import build_page
from melaudit.reports.interface import (
    Record,
)
from melaudit.reports.page.page import Page
from tests.reports.made_up_variants import VARIANTS


@pytest.fixture(scope="session")
def records() -> dict[str, Record]:
    """Return every kind of record, built once."""
    return {name: build() for name, build in VARIANTS.items()}


@pytest.fixture(scope="session")
def pages(records: dict[str, Record]) -> dict[str, Page]:
    """Return the page of every kind of record."""
    return {name: build_page(record) for name, record in records.items()}
