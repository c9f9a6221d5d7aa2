"""Tests of the cards of clusters."""

from dataclasses import replace

from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.html import render
from melaudit.reports.page.page import Page


def test_a_cluster_is_set_against_the_others(pages: dict[str, Page]) -> None:
    (card,) = pages["ring"].clusters.cards
    (folded,) = pages["ring"].clusters.ordinary

    assert (card.id, card.n, card.suspicion) == ("M-1", "120\u00a0images", "0.91")
    assert card.border == "66\u00a0%, elsewhere 26\u00a0%"
    assert [(b.label, b.value, b.note) for b in card.artifacts] == [
        ("Black ring of the dermatoscope", "91\u00a0%", "12\u00a0% elsewhere"),
        ("Hairs over the skin", "20\u00a0%", "20\u00a0% elsewhere"),
    ]
    assert folded.id == "B-1"
    assert [p for p, _ in pages["ring"].clusters.components] == ["Border", "Artifact"]


def test_what_a_cluster_shows_is_cut_out_on_its_card_and_on_no_other(
    records: dict[str, Record],
) -> None:
    record = records["ring"]
    (view,) = record.parts
    section = build_page(record).clusters
    first, *others = (*section.cards, *section.ordinary)
    assert view.cluster == record.findings.clusters[0].id
    assert [d.name for d in first.shows] == [d.image.split("/")[1] for d in view.details]
    assert all(d.map and d.map_alt == "Where the part is" for d in first.shows)
    assert others and not any(card.shows for card in others)
    html = render(build_page(record))
    heading = "What its pictures show, and those of other classes hardly do"
    assert html.count(heading) == 1
    assert heading not in render(build_page(replace(record, parts=())))
