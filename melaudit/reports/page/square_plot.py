"""Square plots of shares against shares, as data: reliability, ROC, precision against recall.

Drawn as SVG by the macro `square` of templates/macros.html.j2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from melaudit import wording
from melaudit.reports.page.charts import Tick

WIDTH, HEIGHT = 300, 262
LEFT, RIGHT, TOP, BOTTOM = 42, 278, 24, 222
MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)

Point = tuple[float, float]


@dataclass(frozen=True)
class Path:
    """One line of a plot, in shares of 1."""

    title: str
    points: tuple[Point, ...]
    spans: tuple[tuple[float, float, float], ...] = ()
    """(x, low, high): the interval at each point."""
    mark: Point | None = None
    """Where the model's own decisions are."""


@dataclass(frozen=True)
class SquareLine:
    """One line, as it is drawn."""

    style: int
    path: str
    dots: str
    spans: str
    mark: tuple[str, str] | None


@dataclass(frozen=True)
class Key:
    """An entry of the key under a plot."""

    kind: str
    """"line", "chance", "mark" or "span"."""
    style: int
    title: str


@dataclass(frozen=True)
class SquarePlot:
    """A plot and everything that is drawn in it."""

    title: str
    x_label: str
    y_label: str
    width: int
    height: int
    left: int
    right: int
    bottom: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[SquareLine, ...]
    chance: str
    keys: tuple[Key, ...]
    label: str
    """The plot in words."""


def square_plot(
    title: str,
    x_label: str,
    y_label: str,
    paths: Sequence[Path],
    *,
    chance: tuple[Point, Point] | None,
    chance_title: str,
    label: str,
    span_title: str = "",
    mark_title: str = "",
) -> SquarePlot:
    """Lay out lines of shares; lines with intervals get a dot for each point."""
    keys = [Key("line", i % 4, path.title) for i, path in enumerate(paths) if len(paths) > 1]
    if span_title:
        keys.append(Key("span", 0, span_title))
    if mark_title and any(path.mark for path in paths):
        keys.append(Key("mark", 0, mark_title))
    if chance:
        keys.append(Key("chance", 0, chance_title))
    return SquarePlot(
        title=title,
        x_label=x_label,
        y_label=y_label,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        bottom=BOTTOM,
        x_ticks=tuple(Tick(_x(v), wording.rounded_percent(v)) for v in MARKS),
        y_ticks=tuple(Tick(_y(v), wording.rounded_percent(v)) for v in MARKS),
        lines=tuple(_line(path, i % 4) for i, path in enumerate(paths)),
        chance=" ".join(f"{_x(x)},{_y(y)}" for x, y in chance or ()),
        keys=tuple(keys),
        label=label,
    )


def _line(path: Path, style: int) -> SquareLine:
    return SquareLine(
        style=style,
        path=" ".join(f"{_x(x)},{_y(y)}" for x, y in path.points),
        dots="".join(f"M{_x(x)} {_y(y)}h0" for x, y in path.points) if path.spans else "",
        spans="".join(f"M{_x(x)} {_y(low)}V{_y(high)}" for x, low, high in path.spans),
        mark=None if path.mark is None else (_x(path.mark[0]), _y(path.mark[1])),
    )


def _x(share: float) -> str:
    return f"{LEFT + share * (RIGHT - LEFT):.1f}"


def _y(share: float) -> str:
    return f"{BOTTOM - share * (BOTTOM - TOP):.1f}"
