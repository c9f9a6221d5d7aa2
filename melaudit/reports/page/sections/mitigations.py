"""What was done about findings afterwards: each mitigation with its proof, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import CueChange, Measured, Method, Mitigated, Outcome, Paired
from melaudit.reports.page import charts

KINDS = {
    Outcome.REDUCED: "pass",
    Outcome.AT_A_COST: "inconclusive",
    Outcome.NOT_REDUCED: "fail",
}
"""The sign that stands for each outcome; the word stands beside it."""

METHODS = {
    Method.LAST_LAYER: "The last layer was fitted anew on images in which every class shows the "
    "artifact as often (balanced last-layer retraining: Kirichenko et al., ICLR 2023), with an l1 "
    "penalty, averaged over ten draws.",
    Method.SUPPRESS: "The features that tell images with and without the artifact apart were left "
    "out. It is here to compare with.",
    Method.PROJECT: "The direction in which features with and without the artifact differ was "
    "taken out (P-ClArC: Anders et al., Information Fusion 2022). It is here to compare with.",
}
DOES_NOT_SHOW = (
    "That the model no longer uses the artifact: a dependence is reduced, and what is left is in "
    "the figures. Nor how it does on pictures of another source, or on artifacts that nobody "
    "looked for. An audit of the new weights is the next step."
)


@dataclass(frozen=True)
class ChangeRow:
    """A share before and after, as shown."""

    name: str
    before: str
    after: str
    change: str
    interval: str
    n: str
    note: str
    """What a reader must not pass over: "more than 2 points lost"; "" for nothing."""
    chart: charts.Interval | None


@dataclass(frozen=True)
class ChangeTable:
    """Rows of one kind."""

    title: str
    unit: str
    """What the figures are: "of 1,000 decisions", "percent and points"."""
    rows: tuple[ChangeRow, ...]


@dataclass(frozen=True)
class MitigationCard:
    """One mitigation as shown."""

    anchor: str
    title: str
    kind: str
    outcome: str
    statement: str
    method: str
    main: ChangeTable
    tables: tuple[ChangeTable, ...]
    filled: str
    fitted_on: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    does_not_show: str
    facts: tuple[tuple[str, str], ...]
    command: str


def mitigations(made: Sequence[Mitigated]) -> tuple[MitigationCard, ...]:
    """Return mitigations as cards, in the order they were made."""
    return tuple(card(number, each) for number, each in enumerate(made, 1))


def card(number: int, made: Mitigated) -> MitigationCard:
    """Return one mitigation as shown."""
    lost = f"more than {100 * made.tolerance:g} points lost"
    return MitigationCard(
        anchor=f"mitigation-{number}",
        title=f"{wording.name(made.title, 60)}: dependence {made.outcome.value}",
        kind=KINDS[made.outcome],
        outcome=made.outcome.value,
        statement=wording.unbroken(made.statement),
        method=METHODS[made.method],
        main=ChangeTable(
            f"Decisions that turn to {wording.name(made.target)} with the artifact put in, beyond "
            "the placebo",
            "of 1,000",
            (
                _turned("This mitigation", made.dependence),
                _turned("Placebo mitigation (labels of the artifact shuffled)", made.placebo),
            ),
        ),
        tables=tuple(
            table
            for table in (
                ChangeTable(
                    "Right, with and without the artifact",
                    "percent; the change in points",
                    tuple(_right(m, lost) for m in made.figures),
                ),
                ChangeTable(
                    "Every group, images as they are",
                    "percent right; the change in points",
                    tuple(_right(m, lost) for m in made.groups),
                ),
                ChangeTable(
                    "Every other artifact: decisions that turn with it, beyond the placebo",
                    "of 1,000",
                    tuple(
                        _turned(f"{other.title}, to {wording.name(other.target)}", other)
                        for other in made.others
                    ),
                ),
            )
            if table.rows
        ),
        filled=made.filled,
        fitted_on=tuple((name, wording.count(n)) for name, n in made.fitted_on),
        notes=made.notes,
        does_not_show=DOES_NOT_SHOW,
        facts=(
            ("Finding", made.finding),
            ("Model", f"{wording.name(made.model)}, SHA-256 {made.model_sha256[:16]}"),
            ("New weights", f"{wording.name(made.new_model)}, SHA-256 {made.new_sha256[:16]}"),
            ("Changed", f"layer {made.layer} ({wording.count(made.features)} features)"),
            ("Made", f"{wording.moment(made.started)}, in {made.seconds:.0f} s"),
        ),
        command=made.command,
    )


def _turned(name: str, change: CueChange) -> ChangeRow:
    return _row(name, change.flips, 1000, 0, "follows it more" if change.grew else "")


def _right(measured: Measured, lost: str) -> ChangeRow:
    name = wording.capitalised(measured.name)
    return _row(name, measured.share, 100, 1, lost if measured.lost else "")


def _row(name: str, share: Paired, of: int, digits: int, note: str) -> ChangeRow:
    def shown(value: float, *, signed: bool = False) -> str:
        text = f"{of * value:{'+' if signed else ''},.{digits}f}"
        return text.replace("-", wording.MINUS)

    return ChangeRow(
        name=name,
        before=shown(share.before),
        after=shown(share.after),
        change=shown(share.change, signed=True),
        interval=f"{shown(share.ci_low)} to {shown(share.ci_high)}",
        n=wording.count(share.n),
        note=note,
        chart=charts.interval(
            of * share.change, of * share.ci_low, of * share.ci_high, reference=0.0
        ),
    )
