"""Tests of findings as cards."""

from dataclasses import replace

from melaudit.findings import Severity
from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.page import Page
from melaudit.reports.page.sections.finding_cards import Card


def test_a_card_gives_every_statistic_with_interval_n_null_p_and_q(
    pages: dict[str, Page],
) -> None:
    card = pages["ring"].cards.cards[0]
    (odds,) = card.rungs[0].statistics

    assert [r.step.rung for r in card.rungs] == ["opportunity", "attention", "dependence", "harm"]
    assert (odds.figure, odds.interval) == ("349", "57.3 to 14,100")
    assert odds.small_print == (
        "n\u00a0=\u00a01,000",
        "p\u00a0<\u00a00.0001",
        "q\u00a0<\u00a00.0001",
    )
    assert odds.null == "ring and label are independent"
    assert card.reached == "it costs"


def test_no_effect_is_marked_only_where_it_is_known(records: dict[str, Record]) -> None:
    record = records["ring"]
    first = record.findings.findings[0]
    names = ("odds ratio of the label", "fall in accuracy", "mean rank", "ring over the same place")
    evidence = tuple(replace(first.evidence[1], name=n) for n in names)
    findings = replace(record.findings, findings=(replace(first, evidence=evidence),))

    (card, *_) = build_page(replace(record, findings=findings)).cards.cards
    charts = [s.chart for s in card.rungs[1].statistics]

    assert [c.reference_label if c and c.reference else None for c in charts] == [
        "1",
        "0",
        None,
        "1",
    ]


def test_an_edit_shows_each_version_with_its_probability(pages: dict[str, Page]) -> None:
    (edit,) = pages["ring"].cards.cards[0].edits

    assert [(v.title, v.chance, v.change) for v in edit.versions] == [
        ("As it is", "4\u00a0%", ""),
        ("Black ring painted on", ">\u00a099\u00a0%", "+96\u00a0points"),
        ("Placebo: ring of skin colour", "4\u00a0%", "no change"),
    ]
    assert edit.target == "malignant"


def test_a_table_is_shown_with_its_figures(pages: dict[str, Page]) -> None:
    (table,) = pages["ring"].cards.cards[0].tables

    assert table.rows == (("benign", "1", "499", "0.002"), ("malignant", "206", "294", "0.412"))
    assert table.numeric == (False, True, True, True)


def test_a_tile_says_what_the_model_said_and_whether_it_was_right(
    pages: dict[str, Page],
) -> None:
    right = pages["ring"].gallery[0].tiles.shown[0]
    wrong = pages["ring"].gallery[1].tiles.shown[0]

    assert right.said.startswith("predicted malignant, ")
    assert (right.labelled, right.verdict) == ("labelled malignant", "right")
    assert (wrong.labelled, wrong.verdict) == ("labelled benign", "wrong")
    assert "of the relevance speaks for it" in right.map_alt
    assert right.name in right.picture_alt


def test_severities_are_named_the_worst_first(pages: dict[str, Page]) -> None:
    assert pages["ring"].cards.severities == (
        (Severity.CRITICAL, "1 critical"),
        (Severity.MEDIUM, "1 medium"),
    )


def test_findings_of_low_severity_are_told_in_brief(records: dict[str, Record]) -> None:
    record = records["ring"]
    worst = record.findings.findings[0]
    many = tuple(
        replace(e, reached=k % 3 == 2, name=f"{e.rung.value} {k}")
        for e in worst.evidence[:1]
        for k in range(9)
    )
    assert worst.tables

    def card(severity: Severity) -> Card:
        finding = replace(worst, severity=severity, evidence=many)
        findings = replace(record.findings, findings=(finding,))
        return build_page(replace(record, findings=findings)).cards.cards[0]

    low, high = card(Severity.LOW), card(Severity.HIGH)
    assert high.tables and not low.tables
    assert [s.name[-1] for s in low.rungs[0].statistics] == ["2", "5"], "what carries the rung"
    assert low.rungs[0].more == "7\u00a0more statistics in findings.json."
    assert len(high.rungs[0].statistics) == 9 and not high.rungs[0].more
    assert low.claim == high.claim
