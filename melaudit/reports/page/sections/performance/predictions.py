"""What stands behind the accuracy: are probabilities right, classes told apart, who is missed?"""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import (
    Calibration,
    Discrimination,
    Figure,
    Findings,
    GroupPerformance,
    GroupRange,
)
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.finding_cards import TableView
from melaudit.reports.page.sections.tiles import Tiles, tiles
from melaudit.reports.page.square_plot import Path, SquarePlot, square_plot

MAX_IMAGES = 5
MAX_RANGES = 12


@dataclass(frozen=True)
class PredictionSection:
    """Figures, curves and images of the predictions on labelled images."""

    statements: tuple[str, ...]
    """What the figures say, in sentences."""
    plots: tuple[SquarePlot, ...]
    tables: tuple[TableView, ...]
    """What unfolds: the figures of the curves, confused pairs, groups."""
    mistakes: Tiles
    unsure: Tiles
    note: str
    """What the intervals take for independent."""


def predictions(findings: Findings, plates: Plates, *, maps: bool) -> PredictionSection:
    """Return what the labelled images say of the predictions; bare without labels."""
    p = findings.performance
    wrong = tuple(e.image for e in p.surest_mistakes)
    right = tuple(e.image for e in p.unsure_right)
    plots: list[SquarePlot] = []
    statements: list[str] = []
    tables: list[TableView] = []
    if p.calibration is not None:
        plots.append(_reliability(p.calibration))
        statements.append(_calibration_said(p.calibration))
        tables.append(_bins(p.calibration))
    drawn = [d for d in p.discrimination if d.curve]
    if drawn:
        plots += [_roc(drawn), _precision_recall(drawn)]
    if len(p.discrimination) == 1:
        statements.append(_operating_said(p.discrimination[0]))
    if p.discrimination:
        tables.append(_discrimination(p.discrimination))
    tables += _confused(findings)
    tables += _ranges(p.ranges)
    missing = _missing(findings)
    unit = findings.domain.words.person if p.resampled == "patients" else "image"
    return PredictionSection(
        statements=(*statements, *missing),
        plots=tuple(plots),
        tables=tuple(tables),
        mistakes=tiles(plates, wrong, MAX_IMAGES, maps=maps),
        unsure=tiles(plates, right, MAX_IMAGES, maps=maps),
        note=f"Intervals are 95\u00a0%, resampled {unit} by {unit}." if plots or tables else "",
    )


def _missing(findings: Findings) -> list[str]:
    """Say what too few images do not allow to draw."""
    p = findings.performance
    if not p.resampled:
        return []
    absent = []
    if p.calibration is None:
        absent.append("calibration")
    if not any(d.curve for d in p.discrimination):
        absent.append("curves")
    if not absent:
        return []
    return [
        f"Not assessed: {' and '.join(absent)}. There are too few labelled images "
        f"({wording.count(p.n)}), too few of a class, or the model returned no finite numbers."
    ]


def _percent(figure: Figure) -> str:
    span = wording.percent_span(figure.low, figure.high)
    return wording.rounded_percent(figure.value) + (f" ({span})" if span else "")


def _number(figure: Figure) -> str:
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"


def _calibration_said(c: Calibration) -> str:
    of = f" of the probability of {wording.name(c.target, 32)}" if c.target else ""
    usual = (
        "Exactly right probabilities would show "
        f"{wording.rounded_percent(c.error_usual)} on as many images, and up to "
        f"{wording.rounded_percent(c.error_usual_high)} by chance."
    )
    return (
        f"Expected calibration error{of}: {_percent(c.error)}. {usual} "
        f"Brier score: {_number(c.brier)}; always giving the share of each class scores "
        f"{c.brier_constant:.2f}."
    )


def _operating_said(d: Discrimination) -> str:
    o, name = d.operating, wording.name(d.target, 32)
    where = (
        "where it is the likeliest class"
        if o.threshold is None
        else f"from a probability of {wording.rounded_percent(o.threshold)} on"
    )
    precision = "never predicted" if o.precision is None else f"precision {_percent(o.precision)}"
    return (
        f"The model predicts {name} {where}: sensitivity {_percent(o.sensitivity)}, specificity "
        f"{_percent(o.specificity)}, {precision}."
    )


def _reliability(c: Calibration) -> SquarePlot:
    said = "; ".join(
        f"predicted {wording.rounded_percent(b.predicted)}, observed {_percent(b.observed)}, "
        f"n {b.n}"
        for b in c.bins
    )
    what = wording.name(c.target, 24) if c.target else "predicted class"
    return square_plot(
        "Calibration",
        f"probability of {what}",
        "share for which it is true",
        [
            Path(
                "observed",
                tuple((b.predicted, b.observed.value) for b in c.bins),
                tuple((b.predicted, b.observed.low, b.observed.high) for b in c.bins),
            )
        ],
        chance=((0.0, 0.0), (1.0, 1.0)),
        chance_title="exactly right",
        span_title="about equal numbers of images, 95\u00a0% interval",
        label=f"Reliability curve. {said}",
    )


def _roc(drawn: list[Discrimination]) -> SquarePlot:
    return square_plot(
        "ROC curve",
        "false positive rate",
        "sensitivity",
        [
            Path(
                wording.name(d.target, 24),
                (
                    (0.0, 0.0),
                    *((c.false_positive_rate, c.sensitivity) for c in d.curve),
                    (1.0, 1.0),
                ),
                mark=(1 - d.operating.specificity.value, d.operating.sensitivity.value),
            )
            for d in drawn
        ],
        chance=((0.0, 0.0), (1.0, 1.0)),
        chance_title="chance",
        mark_title=_mark(drawn),
        label="ROC curve. " + "; ".join(_curve_said(d) for d in drawn),
    )


def _precision_recall(drawn: list[Discrimination]) -> SquarePlot:
    base = drawn[0].n / (drawn[0].n + drawn[0].n_others)
    return square_plot(
        "Precision and recall",
        "recall (sensitivity)",
        "precision",
        [
            Path(
                wording.name(d.target, 24),
                tuple((c.sensitivity, c.precision) for c in d.curve),
                mark=None
                if d.operating.precision is None
                else (d.operating.sensitivity.value, d.operating.precision.value),
            )
            for d in drawn
        ],
        chance=((0.0, base), (1.0, base)) if len(drawn) == 1 else None,
        chance_title="chance",
        mark_title=_mark(drawn),
        label="Precision against recall. " + "; ".join(_curve_said(d) for d in drawn),
    )


def _mark(drawn: list[Discrimination]) -> str:
    threshold = drawn[0].operating.threshold if len(drawn) == 1 else None
    if threshold is None:
        return "the model's decisions"
    return f"its decisions, from {wording.rounded_percent(threshold)} on"


def _curve_said(d: Discrimination) -> str:
    precision = d.operating.precision
    return (
        f"{wording.name(d.target, 32)}: area {_number(d.auc)}, average precision "
        f"{_number(d.average_precision)}; decisions: sensitivity "
        f"{_percent(d.operating.sensitivity)}, specificity {_percent(d.operating.specificity)}"
        + (f", precision {_percent(precision)}" if precision else "")
    )


def _bins(c: Calibration) -> TableView:
    return TableView(
        "Calibration: images of about the same probability",
        ("Mean probability", "Images", "Observed share (95\u00a0%)"),
        (True, True, True),
        tuple(
            (
                wording.rounded_percent(b.predicted, 1),
                wording.count(b.n),
                _percent(b.observed),
            )
            for b in c.bins
        ),
        "",
    )


def _discrimination(found: tuple[Discrimination, ...]) -> TableView:
    return TableView(
        "One class against the rest, with 95\u00a0% intervals",
        ("Class", "Images", "AUC", "Average precision", "Sensitivity", "Specificity", "Precision"),
        (False, *[True] * 6),
        tuple(
            (
                wording.name(d.target, 32),
                wording.count(d.n),
                _number(d.auc),
                _number(d.average_precision),
                _percent(d.operating.sensitivity),
                _percent(d.operating.specificity),
                _percent(d.operating.precision) if d.operating.precision else wording.DASH,
            )
            for d in found
        ),
        "",
    )


def _confused(findings: Findings) -> list[TableView]:
    pairs = findings.performance.confused
    if not pairs:
        return []
    rows = tuple(
        (
            wording.name(pair.label, 32),
            wording.name(pair.predicted, 32),
            f"{wording.count(pair.n)} of {wording.count(pair.of)}",
            _percent(pair.share),
        )
        for pair in pairs
    )
    columns = ("Label", "Predicted", "Images", "Share of the label (95\u00a0%)")
    return [TableView("Most confused classes", columns, (False, False, True, True), rows, "")]


def _ranges(ranges: tuple[GroupRange, ...]) -> list[TableView]:
    if not ranges:
        return []
    rows = tuple(
        (
            wording.capitalised(wording.human(r.column)),
            wording.name(r.label, 32),
            _group(r.best, r),
            _group(r.worst, r),
            wording.count(r.too_few),
        )
        for r in ranges[:MAX_RANGES]
    )
    note = (
        f"A group with fewer than {ranges[0].min_images} images of a label is too small to "
        "compare. The best and the worst of many groups differ by chance alone: look at the "
        "intervals."
    )
    columns = ("Column", "Label", "Best predicted", "Worst predicted", "Too few")
    title = "Best and worst predicted groups"
    numeric = (False, False, False, False, True)
    return [TableView(title, columns, numeric, rows, note)]


def _group(group: GroupPerformance | None, of: GroupRange) -> str:
    if group is None:
        return f"too few: {wording.many_unbroken(of.compared, 'group')} to compare"
    share = _percent(Figure(group.right, group.right_low, group.right_high))
    return f"{wording.name(group.group, 32)}: {share}, n {wording.count(group.n)}"
