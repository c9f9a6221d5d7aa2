"""Can the maps be trusted? One row per check of the explanations themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Check, CheckStatus, Findings
from melaudit.reports.interface import Record
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.summary import withheld
from melaudit.reports.page.sections.tiles import Tile, tiles
from melaudit.wording import terms
from melaudit.wording.detectors import detector_of, title_of

MAX_BROKEN_EXAMPLES = 3
MAX_OPERATIONS = 40


@dataclass(frozen=True)
class CheckRow:
    """One question put to the maps."""

    asks: str
    statement: str
    figure: str
    threshold: str
    why: str
    kind: str
    """"pass", "degraded" or "fail"."""
    word: str


@dataclass(frozen=True)
class OperationRow:
    """What the engine does with one kind of operation."""

    name: str
    rule: str
    calls: str


@dataclass(frozen=True)
class TrustSection:
    """The outcome of all checks."""

    kind: str
    word: str
    meaning: str
    engine: str
    layer: str
    rows: tuple[CheckRow, ...]
    withheld: tuple[tuple[str, str], ...]
    broken: tuple[Tile, ...]
    """Maps of this run, shown as examples of what not to believe; only when unusable."""
    operations: tuple[OperationRow, ...]
    operations_title: str
    operations_note: str


def trust(record: Record, plates: Plates) -> TrustSection:
    """Return the section on the health of the maps."""
    findings = record.findings
    explanations = findings.explanations
    broken = not explanations.status.usable
    operations = explanations.operations
    left = len(operations) - MAX_OPERATIONS
    samples = (
        tiles(plates, _shown_first(record), MAX_BROKEN_EXAMPLES, maps=True) if broken else None
    )
    return TrustSection(
        kind=explanations.status.value,
        word=wording.capitalised(explanations.status.value),
        meaning=terms.TRUST[explanations.status],
        engine=explanations.engine,
        layer=explanations.layer,
        rows=tuple(check_row(c, findings) for c in _worst_first(findings)),
        withheld=withheld(findings),
        broken=samples.shown if samples else (),
        operations=tuple(
            OperationRow(
                wording.name(o.name, 48), wording.name(o.rule, 120), wording.count(o.calls)
            )
            for o in operations[:MAX_OPERATIONS]
        ),
        operations_title="Which rule each operation of the model got "
        f"({wording.many_unbroken(len(operations), 'operation')})",
        operations_note=f"{wording.count(left)} more in findings.json." if left > 0 else "",
    )


def _worst_first(findings: Findings) -> list[Check]:
    order: Mapping[CheckStatus, int] = {
        CheckStatus.FAIL: 0,
        CheckStatus.DEGRADED: 1,
        CheckStatus.PASS: 2,
    }
    return sorted(findings.explanations.checks, key=lambda c: order[c.status])


def check_row(check: Check, findings: Findings) -> CheckRow:
    """Return a check as a row, with the question that its detector asks.

    A check without a question is shown by its title, and by its id where it has none.
    """
    detector = detector_of(findings, check.id)
    return CheckRow(
        asks=(detector.asks if detector else "") or title_of(findings, check.id),
        statement=check.statement,
        figure=wording.figure(check.value),
        threshold=wording.figure(check.threshold),
        why=detector.why if detector else "",
        kind=check.status.value,
        word=terms.OUTCOMES[check.status],
    )


def _shown_first(record: Record) -> tuple[str, ...]:
    """Return the ids of exhibits, those of the gallery first."""
    gallery = [image for group in record.gallery for image in group.images]
    return tuple(dict.fromkeys([*gallery, *sorted(record.exhibits)]))
