"""Skin tone, by two methods, and performance along it."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings, SkinTone, ToneEstimate
from melaudit.reports.page.sections.finding_cards import TableView


@dataclass(frozen=True)
class ToneSection:
    """What was estimated, and the trend along it."""

    lead: str
    trends: tuple[str, ...]
    """What is clear along an angle; or, in one sentence, that nothing is."""
    details: tuple[str, ...]
    """What each method says, in full."""
    table: TableView


def skin_tone(findings: Findings) -> ToneSection | None:
    """Return what is known of skin tone; None where it was not measured."""
    tone = findings.skin_tone
    if tone is None:
        return None
    return ToneSection(
        wording.unbroken(tone.statement),
        _trends(tone),
        tuple(wording.unbroken(e.statement) for e in tone.estimates),
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


def _trends(tone: SkinTone) -> tuple[str, ...]:
    clear = [e.statement for e in tone.estimates if e.trend is not None and e.trend.clear]
    if clear:
        return tuple(map(wording.unbroken, clear))
    if all(e.trend is None for e in tone.estimates):
        right = max((e.n_right for e in tone.estimates), default=0)
        wrong = max((e.n_wrong for e in tone.estimates), default=0)
        return (
            "Whether the model is right less often on darker or lighter skin is not assessable: it "
            f"takes {tone.min_right} right and {tone.min_right} wrong predictions with an angle; "
            f"here are {right} and {wrong} at most.",
        )
    return (
        "Whether the model is right less often on darker or lighter skin cannot be told from "
        "chance here; the table says how much either way the images would allow.",
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
