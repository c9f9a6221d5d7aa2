"""Skin tone, by two methods, and performance along it."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings, ToneEstimate
from melaudit.reports.page.sections.finding_cards import TableView


@dataclass(frozen=True)
class ToneSection:
    """What was estimated, and the trend along it."""

    statements: tuple[str, ...]
    table: TableView


def skin_tone(findings: Findings) -> ToneSection | None:
    """Return what is known of skin tone; None where it was not measured."""
    tone = findings.skin_tone
    if tone is None:
        return None
    return ToneSection(
        tuple(map(wording.unbroken, (tone.statement, *(e.statement for e in tone.estimates)))),
        TableView(
            "Individual typology angle (lighter skin has a larger one), and performance along it",
            (
                "Method",
                "Images",
                "Angle: median",
                "80 of 100 images",
                "Right",
                "Wrong",
                "Trend",
                "q",
            ),
            (False, True, True, True, True, True, True, True),
            tuple(_row(e) for e in tone.estimates),
            "Trend: of two images of a label, one right and one wrong, how often the right one has "
            "the lighter skin; 50\u00a0% is none. "
            f"With fewer than {tone.min_right} right or wrong ones it is not assessable.",
        ),
    )


def _row(e: ToneEstimate) -> tuple[str, ...]:
    trend, q = "not assessable", wording.DASH
    if e.trend is not None:
        pairs = e.trend.pairs
        span = wording.percent_span(pairs.low, pairs.high)
        trend = f"{wording.rounded_percent(pairs.value)} ({span})"
        q = wording.chance("q", e.trend.q_value).removeprefix("q\u00a0").removeprefix("=\u00a0")
    return (
        f"{wording.capitalised(e.title)} ({e.source})",
        wording.count(e.n),
        f"{e.median:.0f}\u00b0",
        f"{e.darkest:.0f}\u00b0 to {e.lightest:.0f}\u00b0",
        wording.count(e.n_right),
        wording.count(e.n_wrong),
        trend,
        q,
    )
