"""Small charts as data: coordinates worked out here, drawn as SVG by templates/macros.html.j2."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from melaudit import wording
from melaudit.reports.interface import Curve, Series


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval on a line, against the value of no effect."""

    low: str
    high: str
    point: str
    """x, on a line from 0 to 100."""
    open_low: bool
    open_high: bool
    """Whether that end has no bound and is drawn as an arrow."""
    reference: str | None
    reference_label: str
    label: str
    """The chart in words."""


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: str
    label: str


@dataclass(frozen=True)
class Line:
    """One series of a plot."""

    title: str
    points: tuple[tuple[str, str], ...]
    path: str
    band: str
    """Polygon of the interval; empty when there is none."""
    style: int
    """0, 1, 2 ...: which dash and marker tell it from the others."""
    end: tuple[str, str]
    """(x, y) of its last point."""


@dataclass(frozen=True)
class Plot:
    """A dose curve, with the table of its figures."""

    title: str
    x_label: str
    y_label: str
    width: int
    height: int
    left: int
    bottom: int
    right: int
    top: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    label: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    banded: bool
    """Whether intervals are drawn."""


PADDING = 6.0
"""Free space at either end of an interval's line, of 100."""


def interval(
    estimate: float,
    low: float,
    high: float,
    *,
    reference: float | None,
    log: bool = False,
    ends: tuple[float, float] | None = None,
) -> Interval | None:
    """Lay out an estimate and its interval; None when the estimate is not finite.

    `log` is for ratios: the line is logarithmic where all its values are positive. `ends` fixes the
    scale; without it the scale holds interval, estimate and reference.
    """
    if not math.isfinite(estimate):
        return None
    known = [v for v in (low, high, estimate) if math.isfinite(v)]
    span = list(ends) if ends else known + ([] if reference is None else [reference])
    use_log = log and min(span) > 0

    def forward(value: float) -> float:
        return math.log(value) if use_log else value

    first, last = forward(min(span)), forward(max(span))
    if last - first < 1e-12:
        first, last = first - 0.5, last + 0.5

    def place(value: float) -> str:
        share = min(1.0, max(0.0, (forward(value) - first) / (last - first)))
        return f"{PADDING + share * (100 - 2 * PADDING):.1f}"

    open_low, open_high = not math.isfinite(low), not math.isfinite(high)
    words = f"{wording.figure(estimate)}, 95 % interval {wording.span(low, high)}"
    if reference is not None:
        words += f"; no effect would be {wording.figure(reference)}"
    return Interval(
        low="0" if open_low else place(low),
        high="100" if open_high else place(high),
        point=place(estimate),
        open_low=open_low,
        open_high=open_high,
        reference=None if reference is None else place(reference),
        reference_label="" if reference is None else wording.figure(reference),
        label=words,
    )


WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 548, 34, 246

_SHARE = re.compile(r"\b(probability|share|rate|sensitivity|specificity)\b", re.IGNORECASE)


def plot(curve: Curve) -> Plot | None:
    """Lay out a dose curve; None when it has no point to draw."""
    xs = [x for s in curve.series for x in s.x if math.isfinite(x)]
    ys = [y for s in curve.series for y in (*s.y, *s.low, *s.high) if math.isfinite(y)]
    if not xs or not ys:
        return None
    is_share = min(ys) >= 0 and max(ys) <= 1 and _SHARE.search(curve.y_label) is not None
    shown = wording.rounded_percent if is_share else wording.figure
    x_marks = _round_marks(min(xs), max(xs))
    # Shares keep their natural ends, so that curves of different findings can be compared.
    y_marks = (
        _round_marks(0, 1) if min(ys) >= 0 and max(ys) <= 1 else _round_marks(min(ys), max(ys))
    )

    def at_x(value: float) -> str:
        return f"{_linear(value, x_marks[0], x_marks[-1], LEFT, RIGHT):.1f}"

    def at_y(value: float) -> str:
        return f"{_linear(value, y_marks[0], y_marks[-1], BOTTOM, TOP):.1f}"

    lines = []
    for style, s in enumerate(curve.series):
        points = tuple(
            (at_x(x), at_y(y))
            for x, y in zip(s.x, s.y, strict=True)
            if math.isfinite(x) and math.isfinite(y)
        )
        if not points:
            continue
        band = ""
        if len(s.low) == len(s.high) == len(s.x):
            there = [f"{at_x(x)},{at_y(y)}" for x, y in zip(s.x, s.high, strict=True)]
            back = [f"{at_x(x)},{at_y(y)}" for x, y in zip(s.x, s.low, strict=True)]
            band = " ".join(there + back[::-1])
        path = " ".join(f"{x},{y}" for x, y in points)
        lines.append(Line(wording.name(s.title), points, path, band, style % 4, points[-1]))
    ends = "; ".join(
        f"{wording.name(s.title)} from {shown(s.y[0])} to {shown(s.y[-1])}"
        for s in curve.series
        if s.y
    )
    return Plot(
        title=curve.title,
        x_label=wording.name(curve.x_label, 70),
        y_label=wording.name(curve.y_label, 70),
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        bottom=BOTTOM,
        right=RIGHT,
        top=TOP,
        x_ticks=tuple(Tick(at_x(v), wording.figure(v)) for v in x_marks),
        y_ticks=tuple(Tick(at_y(v), shown(v)) for v in y_marks),
        lines=tuple(lines),
        label=f"{curve.y_label} against {curve.x_label}: {ends}",
        columns=(curve.x_label, *(s.title for s in curve.series)),
        rows=_rows(curve, shown),
        banded=any(line.band for line in lines),
    )


def _rows(curve: Curve, shown: Callable[[float | None], str]) -> tuple[tuple[str, ...], ...]:
    doses = sorted({x for s in curve.series for x in s.x})
    cells = [_cells(s, shown) for s in curve.series]
    return tuple((wording.figure(x), *(c.get(x, wording.DASH) for c in cells)) for x in doses)


def _cells(series: Series, shown: Callable[[float | None], str]) -> dict[float, str]:
    """Return dose -> value, with its interval where it is known."""
    if not len(series.low) == len(series.high) == len(series.x):
        return {x: shown(y) for x, y in zip(series.x, series.y, strict=True)}
    return {
        x: f"{shown(y)} ({shown(low)} to {shown(high)})"
        for x, y, low, high in zip(series.x, series.y, series.low, series.high, strict=True)
    }


def _linear(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (value - low) / (high - low) * (end - start)


def _round_marks(low: float, high: float, about: int = 5) -> Sequence[float]:
    """Return round numbers that enclose low to high, about `about` of them."""
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]
