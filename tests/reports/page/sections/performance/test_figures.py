"""Tests of the section on performance."""

from dataclasses import replace

from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.page import Page


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
    assert with_ring.subgroup == "Black ring of the dermatoscope: yes"
    assert (without.subgroup, without.right) == (
        "Black ring of the dermatoscope: no",
        "83.7\u00a0%",
    )
    assert without.interval == "79.0 to 87.5\u00a0%"
    assert with_ring.chart is not None


def test_performance_is_told_apart_by_column(pages: dict[str, Page]) -> None:
    (table,) = pages["ring"].performance.columns

    assert (table.title, table.head) == ("Images of a label by age", "Age")
    assert [(r.label, r.subgroup, r.n) for r in table.rows] == [
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

    assert [row.subgroup for row in section.columns[0].rows] == ["torso", "arm 2", "head"]


def test_of_many_groups_the_lowest_are_shown(records: dict[str, Record]) -> None:
    f = records["ring"].findings
    (column,) = f.performance.columns
    many = tuple(
        replace(column.groups[0], group=f"site {k}", right=(k * 7 % 20) / 20) for k in range(20)
    )
    columns = tuple(replace(column, groups=many, column=f"site {k}") for k in range(9))
    findings = replace(f, performance=replace(f.performance, columns=columns))

    section = build_page(replace(records["ring"], findings=findings)).performance

    shown = [row.subgroup for row in section.columns[0].rows]
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
