"""Tests of the section on the health of the maps."""

from dataclasses import replace

import pytest

from melaudit.findings import DetectorInfo, Skipped, Subject
from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.html import render
from melaudit.reports.page.page import Page


def test_each_check_is_a_question_with_figure_limit_and_reason(pages: dict[str, Page]) -> None:
    row = pages["ring"].trust.rows[0]

    assert row.asks == "Does the relevance that reaches the picture add up to the model's output?"
    assert (row.figure, row.threshold, row.word) == ("0.004", "0.05", "pass")
    assert row.why


def test_the_rule_of_each_operation_is_listed_under_the_checks(records: dict[str, Record]) -> None:
    record = records["ring"]
    trust = build_page(record).trust
    explanations = replace(record.findings.explanations, operations=())
    without = replace(record, findings=replace(record.findings, explanations=explanations))

    assert [(o.name, o.calls) for o in trust.operations] == [("conv2d", "53"), ("add_", "16")]
    assert trust.operations_title.endswith("(2\u00a0operations)")
    assert "first layer flat, then z-plus" in render(build_page(record))
    assert "Which rule each operation" not in render(build_page(without))


@pytest.mark.parametrize(
    ("detector", "asks", "why"),
    [
        (
            DetectorInfo(
                "my_check", "Mirror test", Subject.EXPLANATIONS, "Is it so mirrored?", "It must be."
            ),
            "Is it so mirrored?",
            "It must be.",
        ),
        (DetectorInfo("my_check", "Mirror test", Subject.EXPLANATIONS, "", ""), "Mirror test", ""),
        (None, "My check", ""),
    ],
)
def test_a_third_partys_check_is_shown_with_its_own_question(
    records: dict[str, Record], detector: DetectorInfo | None, asks: str, why: str
) -> None:
    record = records["ring"]
    explanations = record.findings.explanations
    new = replace(explanations.checks[0], id="my_check", statement="It was asked.")
    findings = replace(
        record.findings,
        explanations=replace(explanations, checks=(new,)),
        detectors=(detector,) if detector else (),
    )

    (row,) = build_page(replace(record, findings=findings)).trust.rows

    assert (row.asks, row.statement, row.why) == (asks, "It was asked.", why)


def test_unusable_maps_stand_above_everything_and_are_shown_nowhere_as_reasons(
    pages: dict[str, Page],
) -> None:
    page = pages["unusable"]

    assert page.summary.band is not None
    assert "conservation" in page.summary.band.statement
    assert page.summary.band.withheld == (
        "Groups of decisions: the relevance maps of this run are unusable",
    )
    assert page.trust.withheld == (
        ("Groups of decisions", "the relevance maps of this run are unusable"),
    )
    assert page.trust.rows[0].word == "fail"
    assert page.trust.broken and all(t.map for t in page.trust.broken)
    shown = [t for c in page.cards.cards for t in c.examples.shown]
    shown += [t for g in page.gallery for t in g.tiles.shown]
    assert shown and not any(t.map for t in shown)
    assert not any(c.mean_map for c in page.clusters.cards)


def test_sound_maps_have_no_band_and_no_broken_example(pages: dict[str, Page]) -> None:
    assert pages["ring"].summary.band is None
    assert pages["ring"].trust.broken == ()


def test_only_what_needed_maps_is_withheld(records: dict[str, Record]) -> None:
    record = records["unusable"]
    skipped = (Skipped("dark_ring", "the maps are unusable"), Skipped("ink", "only 3 images"))
    page = build_page(replace(record, findings=replace(record.findings, skipped=skipped)))

    assert [d for d, _ in page.trust.withheld] == ["Black ring of the dermatoscope"]
    assert [d for d, _ in page.inputs.detectors] == [
        "Black ring of the dermatoscope",
        "Surgical marker ink",
    ]
