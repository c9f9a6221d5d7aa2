"""Tests of the page as a whole."""

from dataclasses import replace

from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.page import Page


def test_a_crowd_is_cut_and_counted(pages: dict[str, Page]) -> None:
    page = pages["crowd"]
    card = page.cards.cards[0]

    assert len(page.cards.cards) == 6 and len(page.cards.further) == 34
    assert card.examples.note == "10 of 3,075\u00a0images shown."
    assert len(card.names) == 1000
    assert card.names_note == "and 2,075 more in findings.json"
    assert len(page.plates) <= 600
    assert page.clusters.note == "10\u00a0more clusters in findings.json."
    assert page.summary.more == "34\u00a0more findings below"


def test_pictures_that_do_not_fit_are_counted_on_the_page(
    records: dict[str, Record],
) -> None:
    page = build_page(records["ring"], max_tiles=6)

    assert len(page.plates) == 6
    assert page.left_out.endswith("left out to keep this file small enough to open anywhere.")


def test_contents_name_only_sections_that_are_there(
    records: dict[str, Record], pages: dict[str, Page]
) -> None:
    record = records["nothing"]
    bare = replace(
        record,
        findings=replace(record.findings, clusters=()),
        strips=(),
        concepts=(),
        gallery=(),
    )

    anchors = {link.anchor for link in build_page(bare).contents}

    assert not anchors & {"clusters", "concepts", "gallery"}
    assert {"clusters", "concepts", "gallery"} <= {k.anchor for k in pages["ring"].contents}
