"""What a notebook shows of an audit."""

import re

import pytest

from melaudit.reports.formats.notebook import to_notebook
from melaudit.reports.interface import Record


@pytest.mark.parametrize("kind", ["ring", "hostile", "unusable", "nothing", "crowd"])
def test_it_is_small_and_has_neither_script_nor_address(
    kind: str, records: dict[str, Record]
) -> None:
    html = to_notebook(records[kind].findings)
    assert len(html) < 60_000
    tags = set(re.findall(r"</?([a-z]+)", html))
    assert tags <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}


def test_it_says_the_verdict_the_findings_and_the_accuracy(records: dict[str, Record]) -> None:
    html = to_notebook(records["ring"].findings)
    for words in ("Fail", "Black ring of the dermatoscope", "critical", "90.9 %"):
        assert words in html
