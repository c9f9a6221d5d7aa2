"""Why two audits cannot be compared like with like."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings


@dataclass(frozen=True)
class Caution:
    """A reason why two audits cannot be compared like with like."""

    tag: str
    """In two words: "other images"."""
    statement: str


def cautions_of(before: Findings, after: Findings) -> tuple[Caution, ...]:
    """Return what keeps the two audits from being compared like with like."""
    a, b = before.provenance, after.provenance
    cautions = []
    if a.data_fingerprint != b.data_fingerprint:
        sizes = [wording.many_unbroken(f.inputs.read, "image") for f in (before, after)]
        cautions.append(
            Caution(
                "other images",
                f"The two audits are of different images ({sizes[0]} in {a.data} before, "
                f"{sizes[1]} in {b.data} after): what differs may come from the images.",
            )
        )
    if a.preprocessing != b.preprocessing:
        cautions.append(
            Caution(
                "other preprocessing",
                "The two audits prepared the images differently, so figures may differ for that "
                f"reason alone: {a.preprocessing} before; {b.preprocessing} after.",
            )
        )
    if a.classes != b.classes:
        cautions.append(
            Caution(
                "other classes",
                f"The classes differ ({', '.join(a.classes)} before; {', '.join(b.classes)} "
                "after): findings of other classes cannot be matched.",
            )
        )
    if before.explanations.engine != after.explanations.engine:
        cautions.append(
            Caution(
                "other maps",
                "The maps were made in different ways, so figures of attention are not on one "
                f"scale: {before.explanations.engine} before; {after.explanations.engine} after.",
            )
        )
    for findings, which in ((before, "first"), (after, "second")):
        if not findings.explanations.status.usable:
            maps = findings.explanations.status.value
            statement = f"The maps of the {which} audit are {maps}: of attention it says nothing."
            cautions.append(Caution(f"{maps} maps", statement))
    cautions += [Caution("other control", statement) for statement in _controls(before, after)]
    first, second = (p.versions.get("melaudit", "unknown") for p in (a, b))
    if first != second:
        statement = f"The audits were made by melaudit {first} before and {second} after."
        cautions.append(Caution("other melaudit", statement))
    return tuple(cautions)


def _controls(before: Findings, after: Findings) -> list[str]:
    """Return, in words, the controls that passed in one of the audits and failed in the other."""
    old = {c.id: c for c in before.controls}
    words = {True: "passed", False: "failed"}
    return [
        f"The control \u201c{c.title}\u201d {words[old[c.id].passed]} before and "
        f"{words[c.passed]} after: what the audits find and miss may differ for that reason."
        for c in after.controls
        if c.id in old and c.passed is not old[c.id].passed
    ]
