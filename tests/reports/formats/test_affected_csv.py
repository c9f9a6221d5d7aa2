"""The list of affected images, for a spreadsheet."""

import csv
import io
from dataclasses import replace

from melaudit.reports import to_csv
from melaudit.reports.formats.affected_csv import COLUMNS
from melaudit.reports.interface import Record


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_each_finding_lists_its_images_the_most_telling_first(records: dict[str, Record]) -> None:
    findings = records["ring"].findings
    text = to_csv(findings)
    head, *listed = rows(text)
    assert tuple(head) == COLUMNS
    expected = [
        (f.id, str(rank), image)
        for f in findings.findings
        for rank, image in enumerate(f.images, 1)
    ]
    assert [(row[0], row[5], row[6]) for row in listed] == expected
    assert text.count("\r\n") == text.count("\n") == 1 + len(expected)


def test_hostile_names_stay_in_their_cells(records: dict[str, Record]) -> None:
    findings = records["hostile"].findings
    quoted = replace(findings.findings[0], images=('a,"b"', "c\r\nd", "=x"))
    listed = rows(to_csv(replace(findings, findings=(quoted,))))[1:]
    assert {len(row) for row in listed} == {len(COLUMNS)}
    assert [row[6] for row in listed] == ['a,"b"', "c\u27e8U+000D\u27e9\u27e8U+000A\u27e9d", "'=x"]
    assert not any(row[6].startswith(("=", "+", "-", "@")) for row in rows(to_csv(findings)))
