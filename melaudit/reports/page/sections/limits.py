"""What an audit could not say: not found, not tested, not read, not shown; and its provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings, Trust
from melaudit.reports import scales
from melaudit.wording import terms
from melaudit.wording.detectors import title_of

MAX_ROWS = 60


@dataclass(frozen=True)
class NotFoundRow:
    """Something looked for in vain."""

    artifact: str
    n: str
    effect: str
    least: str
    """The smallest effect that would have been seen."""
    statement: str


@dataclass(frozen=True)
class ControlRow:
    """A test of the audit itself, on this model."""

    title: str
    statement: str
    figure: str
    n: str
    kind: str
    """"pass" or "fail"."""
    word: str


@dataclass(frozen=True)
class InputsSection:
    """What became of the images, and which detectors could not be applied."""

    read: str
    skipped: tuple[tuple[str, str], ...]
    flagged: tuple[tuple[str, str], ...]
    detectors: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ProvenanceSection:
    """What was audited, with what, and how to do it again."""

    model: str
    rows: tuple[tuple[str, str, str], ...]
    """(what, value, "code" when to be set as such)."""
    versions: tuple[tuple[str, str], ...]
    config: tuple[str, ...]
    """Lines of JSON."""
    command: str


def not_found(findings: Findings) -> tuple[tuple[NotFoundRow, ...], str]:
    """Return what was looked for in vain, and a note on what is not listed."""
    rows = tuple(
        NotFoundRow(
            title_of(findings, n.artifact),
            wording.count(n.n),
            scales.plain(n.effect),
            scales.written(n.effect, n.minimum_detectable_effect),
            wording.unbroken(n.statement),
        )
        for n in findings.not_found[:MAX_ROWS]
    )
    left = len(findings.not_found) - len(rows)
    return rows, f"{wording.count(left)} more in findings.json." if left else ""


def controls(findings: Findings) -> tuple[ControlRow, ...]:
    """Return what the audit said of shortcuts that were planted, and of changes that are none."""
    return tuple(
        ControlRow(
            c.title,
            c.statement,
            wording.rounded_percent(c.value),
            wording.count(c.n),
            "pass" if c.passed else "fail",
            "passed" if c.passed else "failed",
        )
        for c in findings.controls
    )


def inputs(findings: Findings) -> InputsSection:
    """Return what was read, skipped and flagged."""
    return InputsSection(
        wording.count(findings.inputs.read),
        _reasons(findings.inputs.skipped),
        _reasons(findings.inputs.flagged),
        tuple((title_of(findings, s.detector), s.reason) for s in findings.skipped[:MAX_ROWS]),
    )


def does_not_show(findings: Findings) -> tuple[str, ...]:
    """Return what this audit does not show: what holds for all, after what holds for this one."""
    own = []
    if not findings.performance.n:
        own.append(
            "Whether the model is right: the images have no labels, so accuracy, association with "
            "the label and harm could not be measured."
        )
    if findings.explanations.status is Trust.UNUSABLE:
        own.append("Where the model looks: the relevance maps of this run cannot be used.")
    elif findings.explanations.status is Trust.DEGRADED:
        own.append(
            "Where exactly the model looks: the relevance maps did not pass every check, so their "
            "detail should not be read."
        )
    if findings.skipped:
        names = ", ".join(wording.human(s.detector) for s in findings.skipped[:8])
        own.append(f"Anything about what could not be tested here: {names}.")
    return (*own, *terms.NEVER_SHOWN)


def provenance(findings: Findings) -> ProvenanceSection:
    """Return where the audit comes from."""
    p = findings.provenance
    rows = (
        ("Model", p.model, "code"),
        ("SHA-256", p.model_sha256, "code"),
        ("Architecture", p.architecture, "code"),
        ("Images", p.data, "code"),
        ("Fingerprint of the images", p.data_fingerprint, "code"),
        ("Classes", ", ".join(wording.name(c, 32) for c in p.classes[:40]), ""),
        ("Positive class", wording.name(p.positive) if p.positive else "not named", ""),
        ("Preprocessing", p.preprocessing, ""),
        ("Seed", str(p.seed), ""),
        ("Device", p.device, ""),
        ("Started", wording.moment(p.started), ""),
        ("Took", wording.duration(p.seconds), ""),
    )
    return ProvenanceSection(
        wording.name(p.model, 48),
        tuple((what, wording.name(value, 400), kind) for what, value, kind in rows),
        tuple((wording.name(k), wording.name(v)) for k, v in sorted(p.versions.items())),
        tuple(json.dumps(dict(p.config), indent=2, sort_keys=True, default=str).splitlines()),
        wording.name(p.command, 4000),
    )


def _reasons(counts: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        (wording.capitalised(wording.human(reason)), wording.count(n))
        for reason, n in most_first[:MAX_ROWS]
        if n
    )
