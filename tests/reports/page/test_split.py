"""Tests of the report as a file with a folder beside it, and of the limits on its size."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from melaudit.errors import StoreError
from melaudit.reports import Assets, render_report, render_split, write_report
from melaudit.reports.interface import Record
from melaudit.reports.page.html import elements


def test_a_split_report_names_only_files_that_are_there(records: dict[str, Record]) -> None:
    files = render_split(records["ring"])
    html = files["report.html"].decode()

    named = set(re.findall(r'(?:href|src)="(assets/[^"]+)"', html))

    assert named == set(files) - {"report.html"}
    assert "assets/report.css" in named and "assets/report.js" in named
    assert "data:" not in html and "<style" not in html
    assert all(content[8:12] == b"WEBP" for name, content in files.items() if "webp" in name)


def test_a_split_report_allows_nothing_inline(records: dict[str, Record]) -> None:
    html = render_split(records["ring"])["report.html"].decode()

    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)

    assert policy.startswith("default-src 'none'; img-src 'self'; style-src 'self'; script-src")
    assert "unsafe" not in policy and "sha256" not in policy


def test_a_split_report_says_what_the_single_file_says(records: dict[str, Record]) -> None:
    def words(html: str) -> str:
        body = html[html.index("<main>") : html.index("</main>")]
        return re.sub(r"<[^>]+>", " ", body)

    split = render_split(records["hostile"])["report.html"].decode()

    assert words(split) == words(render_report(records["hostile"]))


def test_a_split_report_is_written_with_its_folder(
    records: dict[str, Record], tmp_path: Path
) -> None:
    written = write_report(records["ring"], tmp_path / "report.html", assets=Assets.SPLIT)

    there = {p for p in tmp_path.rglob("*") if p.is_file()}
    assert set(written) == there
    assert written[0] == tmp_path / "report.html"


def test_a_folder_that_cannot_be_made_is_an_error(
    records: dict[str, Record], tmp_path: Path
) -> None:
    (tmp_path / "assets").write_text("in the way")

    with pytest.raises(StoreError, match="cannot make the folder"):
        write_report(records["nothing"], tmp_path / "report.html", assets=Assets.SPLIT)


def test_pictures_give_way_until_a_report_is_comfortable(
    records: dict[str, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = render_report(records["ring"])
    bare = len(re.sub(r"data:image/webp;base64,[^\"]+", "", whole).encode())
    limit = bare + 40_000
    assert len(whole.encode()) > limit
    monkeypatch.setattr("melaudit.reports.page.html.MAX_COMFORTABLE_BYTES", limit)
    monkeypatch.setattr("melaudit.reports.page.html.BUDGETS", ((10**7, 600), (60_000, 600), (0, 0)))

    small = render_report(records["ring"])

    assert len(small.encode()) <= limit
    assert "left out to keep this file small enough" in small


@pytest.mark.parametrize(("most", "pictures"), [(10**6, 4), (None, 2), (1, 1)])
def test_pictures_give_way_to_elements_but_not_to_words(
    most: int | None, pictures: int, records: dict[str, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    # None: as many elements as there are with two pictures; 1: fewer than the words make.
    monkeypatch.setattr("melaudit.reports.page.html.MIN_PICTURES", 1)
    budgets = tuple((10**7, n) for n in (4, 3, 2, 1, 0))
    if most is None:
        monkeypatch.setattr("melaudit.reports.page.html.BUDGETS", budgets[2:3])
        most = elements(render_report(records["ring"]))
    monkeypatch.setattr("melaudit.reports.page.html.BUDGETS", budgets)
    monkeypatch.setattr("melaudit.reports.page.html.MAX_ELEMENTS", most)

    shown = render_report(records["ring"])

    assert shown.count("<image ") == pictures


def test_words_beyond_all_measure_are_an_error(
    records: dict[str, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("melaudit.reports.page.html.MAX_COMFORTABLE_BYTES", 1000)
    monkeypatch.setattr("melaudit.reports.page.html.MAX_REPORT_BYTES", 2000)

    with pytest.raises(StoreError, match="the words of this report alone"):
        render_report(replace(records["nothing"], exhibits={}))
