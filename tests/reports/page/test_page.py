"""Tests of the page as data: what each section says."""

from dataclasses import replace

import pytest

from melaudit.findings import DetectorInfo, Severity, Skipped, Subject, Verdict
from melaudit.reports import build_page
from melaudit.reports.interface import Group, Record
from melaudit.reports.page.html import render
from melaudit.reports.page.page import Page
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.cards import Card
from melaudit.reports.page.sections.concepts import gallery


def test_the_first_screen_says_the_verdict_about_the_model_in_counts(
    pages: dict[str, Page],
) -> None:
    summary = pages["ring"].summary

    assert (summary.kind, summary.word) == ("fail", "Fail")
    assert summary.headline == "This model decides by the black ring of the dermatoscope."
    assert summary.lead.startswith("Painting a black ring on 150 ring-free benign images")
    assert [(f.label, f.value, f.note) for f in summary.facts] == [
        ("Relevance maps", "Trusted", "4 of 4\u00a0checks passed"),
        ("Findings", "1\u00a0critical \u00b7 1\u00a0medium", "2 more looked for, not found"),
        ("Images read", "1,000", "0 skipped, 2 flagged"),
        ("Accuracy", "90.9\u00a0%", "88.9 to 92.6\u00a0%, n\u00a0=\u00a01,000"),
    ]


def test_the_first_screen_lists_findings_with_their_ladder(pages: dict[str, Page]) -> None:
    first, second = pages["ring"].summary.rows

    assert (first.number, first.link, first.severity) == (1, "finding-1", "critical")
    assert [s.state for s in first.steps] == ["reached"] * 4
    assert [(s.rung, s.word) for s in second.steps] == [
        ("opportunity", "not tested"),
        ("attention", "reached"),
        ("dependence", "not reached"),
        ("harm", "not tested"),
    ]


def test_a_reason_that_is_a_findings_claim_stands_under_its_title(
    records: dict[str, Record],
) -> None:
    record = records["ring"]
    claim = record.findings.findings[0].statement
    page = build_page(replace(record, findings=replace(record.findings, reason=claim)))

    assert page.summary.headline == "Black ring of the dermatoscope."
    assert page.summary.lead == claim


def test_a_bare_reason_is_backed_by_the_strongest_evidence(records: dict[str, Record]) -> None:
    record = records["ring"]
    page = build_page(replace(record, findings=replace(record.findings, reason="It fails.")))

    assert page.summary.headline == "It fails."
    assert page.summary.lead.startswith("Of 1000 healthy patients")


def test_nothing_found_says_what_would_have_been_seen(pages: dict[str, Page]) -> None:
    summary = pages["nothing"].summary

    assert summary.kind == Verdict.PASS
    assert summary.nothing[0].startswith("An effect of 9 points or more would have been seen")
    assert not summary.rows
    assert pages["ring"].summary.nothing == ()


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

    assert right.said.startswith("called malignant, ")
    assert (right.labelled, right.verdict) == ("labelled malignant", "right")
    assert (wrong.labelled, wrong.verdict) == ("labelled benign", "wrong")
    assert "of the relevance speaks for it" in right.map_alt
    assert right.name in right.picture_alt


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
    assert [p for p, _ in pages["ring"].clusters.parts] == ["Border", "Artifact"]


def test_channels_share_one_scale_and_faint_ones_are_called_so(pages: dict[str, Page]) -> None:
    (strip,) = pages["ring"].concepts.strips

    assert [(c.title, c.share, c.faint) for c in strip.channels] == [
        ("channel 1203", "8.2\u00a0%", False),
        ("channel 88", "4.1\u00a0%", False),
        ("channel 411", "0.1\u00a0%", True),
    ]
    assert [c.asks for c in pages["ring"].concepts.checks] == [
        "Does each channel's map show its own channel?"
    ]


def test_grad_cam_stands_beside_lrp_with_how_far_both_agree(
    records: dict[str, Record], pages: dict[str, Page]
) -> None:
    (strip,) = pages["ring"].concepts.strips

    assert strip.opinion is not None
    assert [(m.title, m.agrees) for m in strip.opinion.maps] == [
        ("LRP", ""),
        ("CRP, channel 1203", "8.2\u00a0% of the output"),
        ("Grad-CAM", "agreement with LRP 0.51"),
        ("Grad-CAM with attention", "agreement with Grad-CAM 0.98"),
    ]
    assert strip.opinion.maps[0].map == strip.tile.map
    blocks = {plate.id: plate.blocks for plate in pages["ring"].plates}
    assert blocks[strip.opinion.maps[2].map]
    assert "only 4 \u00d7 4 values" in strip.opinion.statement
    assert "2048 channels); counting that in hardly changes" in strip.opinion.statement

    (opinion,) = records["ring"].opinions
    other = replace(opinion, agreement=None, attended=None, attended_agreement=None)
    (strip,) = build_page(replace(records["ring"], opinions=(other,))).concepts.strips
    assert strip.opinion is not None
    assert [m.title for m in strip.opinion.maps] == ["LRP", "CRP, channel 1203", "Grad-CAM"]
    assert "agreement with LRP unknown (an empty map)" in strip.opinion.statement
    assert "weighs its channels" not in strip.opinion.statement

    moved = replace(opinion, attended_agreement=-0.3)
    (strip,) = build_page(replace(records["ring"], opinions=(moved,))).concepts.strips
    assert strip.opinion is not None
    assert "counting that in changes the Grad-CAM picture: agreement \u22120.30." in (
        strip.opinion.statement
    )

    (strip,) = build_page(replace(records["ring"], opinions=())).concepts.strips
    assert strip.opinion is None


def test_a_broken_row_is_the_whole_map_under_every_channel(pages: dict[str, Page]) -> None:
    (strip,) = pages["ring"].concepts.strips

    assert {v.map for v in strip.broken} == {strip.tile.map}
    assert [v.title for v in strip.broken] == [v.title for v in strip.channels]
    assert all(s.broken == () for s in pages["unusable"].concepts.strips)


def test_performance_gives_counts_and_shares_of_each_label(pages: dict[str, Page]) -> None:
    p = pages["ring"].performance

    cells = [[(c.n, c.share, c.right) for c in r.cells] for r in p.confusion]
    assert cells == [
        [("457", "91\u00a0%", True), ("43", "9\u00a0%", False)],
        [("48", "10\u00a0%", False), ("452", "90\u00a0%", True)],
    ]
    assert [(c.name, c.recall, c.interval) for c in p.classes] == [
        ("benign", "91.4\u00a0%", "88.6 to 93.6\u00a0%"),
        ("malignant", "90.4\u00a0%", "87.5 to 92.7\u00a0%"),
    ]


def test_without_labels_nothing_is_said_about_accuracy(pages: dict[str, Page]) -> None:
    page = pages["unlabelled"]

    assert not page.performance.labelled
    assert page.summary.facts[3].value == "Unknown"
    assert page.clusters.cards[0].errors == "unknown: no labels"
    assert page.gallery[0].tiles.shown[0].labelled == "no label"
    assert any("no labels" in line for line in page.limits)


def test_performance_is_told_apart_by_artifact(pages: dict[str, Page]) -> None:
    with_ring, without = pages["ring"].performance.slices

    assert (with_ring.label, with_ring.n) == ("malignant", "206")
    assert with_ring.part == "Black ring of the dermatoscope: yes"
    assert (without.part, without.right) == ("Black ring of the dermatoscope: no", "83.7\u00a0%")
    assert without.interval == "79.0 to 87.5\u00a0%"
    assert with_ring.chart is not None


def test_performance_is_told_apart_by_column(pages: dict[str, Page]) -> None:
    (table,) = pages["ring"].performance.columns

    assert (table.title, table.head) == ("Images of a label by age", "Age")
    assert [(r.label, r.part, r.n) for r in table.rows] == [
        ("benign", "under 30", "120"),
        ("benign", "30 to 49", "240"),
        ("malignant", "30 to 49", "200"),
    ]
    assert table.rows[2].interval == "75.0 to 85.8\u00a0%"
    assert table.note == (
        "3\u00a0images left out: too few of a label in their group. "
        "Nothing is known of 40\u00a0images."
    )


def test_groups_without_numbers_keep_their_order(records: dict[str, Record]) -> None:
    f = records["ring"].findings
    (column,) = f.performance.columns
    groups = tuple(replace(column.groups[0], group=g) for g in ("torso", "arm 2", "head"))
    columns = (replace(column, groups=groups),)
    findings = replace(f, performance=replace(f.performance, columns=columns))

    section = build_page(replace(records["ring"], findings=findings)).performance

    assert [row.part for row in section.columns[0].rows] == ["torso", "arm 2", "head"]


def test_of_many_groups_the_lowest_are_shown(records: dict[str, Record]) -> None:
    f = records["ring"].findings
    (column,) = f.performance.columns
    many = tuple(
        replace(column.groups[0], group=f"site {k}", right=(k * 7 % 20) / 20) for k in range(20)
    )
    columns = tuple(replace(column, groups=many, column=f"site {k}") for k in range(9))
    findings = replace(f, performance=replace(f.performance, columns=columns))

    section = build_page(replace(records["ring"], findings=findings)).performance

    shown = [row.part for row in section.columns[0].rows]
    assert shown == [f"site {k}" for k in range(20) if (k * 7 % 20) < 12]
    assert section.columns[0].note.startswith("The 12 lowest of 20 figures")
    assert len(section.columns) == 6 and section.columns_note.startswith("3\u00a0more columns")


def test_a_thousand_classes_give_the_worst_only(records: dict[str, Record]) -> None:
    record = records["ring"]
    p = record.findings.performance
    many = tuple(replace(p.per_class[0], name=f"class {k}", recall=k / 1000) for k in range(1000))
    findings = replace(
        record.findings, performance=replace(p, per_class=many, confusion=((0,),) * 1000)
    )

    section = build_page(replace(record, findings=findings)).performance

    assert len(section.classes) == 40
    assert section.classes[0].name == "class 0"
    assert section.confusion == () and "1000 classes" in section.confusion_note


def test_what_was_not_found_is_listed_with_the_least_effect(pages: dict[str, Page]) -> None:
    ruler, ink = pages["ring"].not_found

    assert (ruler.artifact, ruler.n, ruler.least) == ("Ruler or scale", "64", "9.0\u00a0%")
    assert ink.least == "\u2013"


def test_controls_say_whether_the_audit_passed_its_own_test(pages: dict[str, Page]) -> None:
    permuted, planted = pages["ring"].controls

    assert (permuted.title, permuted.word, permuted.figure, permuted.n) == (
        "Labels dealt out anew",
        "passed",
        "2\u00a0%",
        "40",
    )
    assert (planted.kind, planted.figure) == ("fail", "\u2013")


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


def test_severities_are_named_the_worst_first(pages: dict[str, Page]) -> None:
    assert pages["ring"].cards.severities == (
        (Severity.CRITICAL, "1 critical"),
        (Severity.MEDIUM, "1 medium"),
    )


def test_a_channels_card_stands_where_its_cluster_points(records: dict[str, Record]) -> None:
    page = build_page(records["ring"])
    (card,) = page.concepts.cards
    assert card.why == "Marks cluster M-1"
    assert len(card.details) == 3
    facts = dict(card.facts)
    assert facts["Looks outside the central half"] == "84\u00a0%, other channels 53\u00a0%"
    assert "dark ring 96" in facts["More frequent on its 25\u00a0strongest images"]
    cluster = next(c for c in page.clusters.cards if c.predicted == "malignant")
    links = {text.split()[0]: link for text, link in cluster.channels}
    assert links.get("1203") == card.anchor


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
    heading = "What its pictures show, and those called otherwise hardly do"
    assert html.count(heading) == 1
    assert heading not in render(build_page(replace(record, parts=())))


def test_pictures_that_are_few_are_shared_out_evenly_over_right_and_wrong(
    records: dict[str, Record],
) -> None:
    record = records["ring"]
    names = tuple(record.exhibits)
    groups = tuple(Group(f"Group {k}", "", names[k::4]) for k in range(4))

    shown = gallery(
        replace(record, gallery=groups), Plates(record.exhibits, max_tiles=8), maps=False
    )

    assert min(len(names[k::4]) for k in range(4)) >= 2
    assert [len(group.tiles.shown) for group in shown] == [2, 2, 2, 2]
    assert [t.name for t in shown[3].tiles.shown] == list(names[3::4][:2])


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
