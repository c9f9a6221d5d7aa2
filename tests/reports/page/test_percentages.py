"""Percentages on the page, written one way."""

from __future__ import annotations

import re

from melaudit.reports import render_report
from melaudit.reports.interface import Record


def test_every_percentage_is_written_with_a_space(records: dict[str, Record]) -> None:
    shown = []
    for kind in ("ring", "unusable", "nothing", "unlabelled", "crowd"):
        tags = re.compile(r"<(style|script)>.*?</\1>|<[^>]*>", re.S)
        page = tags.sub(" ", render_report(records[kind]))
        shown += re.findall(r".{0,40}\d[ \u00a0]?%.{0,10}", page)
    assert len(shown) > 20
    assert [text for text in shown if re.search(r"\d%", text)] == []
