"""Tests of the tables after the clusters: rows as they are shown, cut and counted."""

from dataclasses import replace

from melaudit.findings import Outlier, Probe, Prototype, Skipped, Slice
from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.html import render
from melaudit.reports.page.sections.cluster_tables import MAX_ODD_IMAGES, cluster_tables

PROTOTYPE = Prototype("m-usual-1", "malignant", 90, 0.45, tuple(f"{i}.jpg" for i in range(9)))
OUTLIER = Outlier("odd.jpg", "label", "malignant", "benign", 0.1, "labelled benign, but ...")
SLICE = Slice(
    "slice-1", 60, "wrong", 0.4, 0.3, 0.5, 0.05, 0.001, {"benign": 60}, ("wrong on 12 of 30",),
    ("x.jpg",),
)  # fmt: skip
PROBE = Probe("ring", 20, 20, True, 20, 0.9, 0.7, 0.97, 0.5, ("<b>.jpg",), "Of the 20 ...")


def test_every_row_is_made_of_ready_strings(records: dict[str, Record]) -> None:
    findings = replace(
        records["ring"].findings,
        prototypes=(PROTOTYPE,), outliers=(OUTLIER,) * 25, slices=(SLICE,), probes=(PROBE,),
    )  # fmt: skip
    tables = cluster_tables(findings)
    assert tables.prototypes[0].share == "45\u00a0% (90\u00a0images)"
    assert tables.prototypes[0].images == "0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg"
    assert tables.odd[0].kind == "Label in doubt" and len(tables.odd) == MAX_ODD_IMAGES
    assert tables.odd_note.startswith(str(25 - MAX_ODD_IMAGES))
    assert tables.error_groups[0].rate == "40\u00a0%, elsewhere 5\u00a0%"
    page = render(build_page(replace(records["ring"], findings=findings)))
    assert "Images that stand apart" in page and "What a reviewer marked" in page
    assert "<b>.jpg" not in page


def test_an_audit_without_them_shows_no_empty_tables(records: dict[str, Record]) -> None:
    page = render(build_page(records["ring"]))
    assert "Images that stand apart" not in page and "What a reviewer marked" not in page


def test_odd_images_are_shown_although_no_group_was_found(records: dict[str, Record]) -> None:
    none = replace(
        records["ring"].findings,
        clusters=(), outliers=(OUTLIER,),
        skipped=(Skipped("clusters", "the images do not fall into groups"),),
    )  # fmt: skip
    page = build_page(replace(records["ring"], findings=none))
    assert "clusters" in [link.anchor for link in page.contents]
    shown = render(page)
    assert "odd.jpg" in shown
    assert "No group was found: the images do not fall into groups." in shown

    page = build_page(replace(records["ring"], findings=replace(none, outliers=())))
    assert "clusters" not in [link.anchor for link in page.contents]
