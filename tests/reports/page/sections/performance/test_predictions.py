"""What the page says of calibration, curves, confusions, telling images and groups."""

from dataclasses import replace

from melaudit.findings import Findings
from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.html import render_report
from melaudit.reports.page.page import Page
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.performance.predictions import PredictionSection, predictions
from tests.reports.made_up_performance import confused, discrimination


def section(findings: Findings) -> PredictionSection:
    return predictions(findings, Plates({}), maps=False)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_calibration_and_the_operating_point_are_sentences(pages: dict[str, Page]) -> None:
    calibration, operating = map(plain, pages["ring"].predictions.statements)

    assert calibration == (
        "Expected calibration error of the probability of malignant: 6 % (4 to 9 %). Exactly right "
        "probabilities would show 2 % on as many images, and up to 4 % by chance. Brier score: "
        "0.07 (0.06 to 0.09); always giving the share of each class scores 0.25."
    )
    assert operating == (
        "The model predicts malignant from a probability of 30 % on: sensitivity 90 % (87 to 93 "
        "%), specificity 91 % (88 to 94 %), precision 92 % (89 to 94 %)."
    )


def test_the_three_curves_are_drawn_with_the_operating_point(pages: dict[str, Page]) -> None:
    reliability, roc, precision = pages["ring"].predictions.plots

    assert [p.title for p in (reliability, roc, precision)] == [
        "Calibration",
        "ROC curve",
        "Precision and recall",
    ]
    # Where 100 % are right lies at the top; sensitivity .9 and 1 - specificity .09 are marked.
    (line,) = roc.lines
    width, height = roc.right - roc.left, roc.bottom - 24
    assert line.mark == (f"{roc.left + 0.09 * width:.1f}", f"{roc.bottom - 0.9 * height:.1f}")
    assert line.path.startswith(f"{roc.left:.1f},{roc.bottom:.1f}")
    assert line.path.endswith(f"{roc.right:.1f},24.0")
    assert [(k.kind, plain(k.title)) for k in roc.keys] == [
        ("mark", "its decisions, from 30 % on"),
        ("chance", "chance"),
    ]
    assert len(reliability.lines[0].spans.split("M")) == 5
    assert "predicted 20 %, observed 25 % (20 to 30 %), n 250" in plain(reliability.label)
    assert "area 0.97 (0.96 to 0.98)" in roc.label


def test_mistakes_and_unsure_images_are_shown_with_their_maps(pages: dict[str, Page]) -> None:
    p = pages["ring"].predictions

    assert [t.name for t in p.mistakes.shown] == [f"benign/ISIC_{k:04d}.jpg" for k in range(5)]
    assert all(t.map for t in (*p.mistakes.shown, *p.unsure.shown))
    assert not any(t.map for t in pages["unusable"].predictions.mistakes.shown)


def test_groups_too_small_to_compare_are_counted(pages: dict[str, Page]) -> None:
    groups = pages["ring"].predictions.tables[-1]

    assert [plain(c) for c in groups.rows[0]] == [
        "Site",
        "malignant",
        "torso: 95 % (88 to 98 %), n 80",
        "benign: 60 % (41 to 77 %), n 25",
        "3",
    ]
    assert plain(groups.rows[1][2]) == "too few: 1 group to compare"
    assert "fewer than 20 images" in groups.note


def test_several_classes_have_their_lines_keys_and_confused_pairs(
    records: dict[str, Record],
) -> None:
    f = records["ring"].findings
    found = tuple(discrimination(n, threshold=None) for n in ("nv", "mel", "bcc"))
    drawn = (*found[:2], replace(found[2], curve=()))
    p = replace(f.performance, discrimination=drawn, confused=(confused("mel", "nv"),))

    got = section(replace(f, performance=p))

    assert [k.title for k in got.plots[1].keys] == ["nv", "mel", "the model's decisions", "chance"]
    assert len(got.plots[1].lines) == 2
    # What chance gives differs between the classes, so no line is drawn for it.
    assert got.plots[2].chance == ""
    (pairs,) = [t for t in got.tables if t.title == "Most confused classes"]
    assert [plain(c) for c in pairs.rows[0]] == ["mel", "nv", "12 of 60", "20 % (12 to 32 %)"]
    (classes,) = [t for t in got.tables if t.title.startswith("One class")]
    assert [row[0] for row in classes.rows] == ["nv", "mel", "bcc"]


def test_too_few_images_are_said_and_an_older_audit_says_nothing(
    records: dict[str, Record],
) -> None:
    f = records["ring"].findings
    few = replace(f.performance, calibration=None, discrimination=(), n=30)

    (said,) = section(replace(f, performance=few)).statements
    assert said.startswith("Not assessed: calibration and curves. There are too few labelled")

    older = replace(f.performance, calibration=None, discrimination=(), resampled="", ranges=())
    got = section(replace(f, performance=older))
    assert (got.statements, got.plots, got.tables, got.note) == ((), (), (), "")


def test_the_plots_are_images_with_a_text_in_its_place(records: dict[str, Record]) -> None:
    text = render_report(records["ring"])
    assert text.count('<figure class="plot square">') == 3
    assert 'role="img" aria-label="ROC curve. malignant: area 0.97' in text


def test_a_page_of_hostile_names_is_built(records: dict[str, Record]) -> None:
    assert len(build_page(records["hostile"]).predictions.plots) == 3
