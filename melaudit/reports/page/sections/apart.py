"""Beside the clusters: usual strategies, odd images, groups with more errors, and probes."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings, Outlier, Probe, Prototype, Slice

MAX_ODD = 12
MAX_SLICES = 6
NAMED = 5
"""Images named in a row."""

KINDS = {"unlike": "Unlike any usual strategy", "label": "Label in doubt"}


@dataclass(frozen=True)
class PrototypeRow:
    """A usual strategy."""

    id: str
    predicted: str
    share: str
    images: str


@dataclass(frozen=True)
class OddRow:
    """An image apart from all strategies, or with a doubtful label."""

    image: str
    kind: str
    predicted: str
    label: str
    why: str


@dataclass(frozen=True)
class SliceRow:
    """A group with more errors."""

    id: str
    n: str
    rate: str
    why: tuple[str, ...]
    images: str


@dataclass(frozen=True)
class ProbeRow:
    """What became of a reviewer's marks."""

    artifact: str
    statement: str
    images: str


@dataclass(frozen=True)
class Apart:
    """Four small tables; an empty one is not shown."""

    prototypes: tuple[PrototypeRow, ...]
    odd: tuple[OddRow, ...]
    odd_note: str
    slices: tuple[SliceRow, ...]
    probes: tuple[ProbeRow, ...]

    @property
    def any(self) -> bool:
        """Whether there is a table to show."""
        return bool(self.prototypes or self.odd or self.slices or self.probes)


def apart_from_clusters(findings: Findings) -> Apart:
    """Return the tables in the order the audit gave."""
    left = len(findings.outliers) - MAX_ODD
    return Apart(
        prototypes=tuple(_prototype(p) for p in findings.prototypes),
        odd=tuple(_odd(o) for o in findings.outliers[:MAX_ODD]),
        odd_note=f"{wording.many_unbroken(left, 'more image')} in findings.json."
        if left > 0
        else "",
        slices=tuple(_slice(s) for s in findings.slices[:MAX_SLICES]),
        probes=tuple(_probe(p) for p in findings.probes),
    )


def _prototype(prototype: Prototype) -> PrototypeRow:
    return PrototypeRow(
        id=wording.name(prototype.id, 32),
        predicted=wording.name(prototype.predicted, 32),
        share=f"{wording.rounded_percent(prototype.share)} "
        f"({wording.many_unbroken(prototype.n, 'image')})",
        images=_named(prototype.images),
    )


def _odd(outlier: Outlier) -> OddRow:
    return OddRow(
        image=wording.name(outlier.image, 48),
        kind=KINDS.get(outlier.kind, wording.name(outlier.kind, 32)),
        predicted=wording.name(outlier.predicted, 32),
        label="unknown" if outlier.label is None else wording.name(outlier.label, 32),
        why=outlier.why,
    )


def _slice(found: Slice) -> SliceRow:
    return SliceRow(
        id=wording.name(found.id, 32),
        n=wording.count(found.n),
        rate=f"{wording.rounded_percent(found.rate)}, "
        f"elsewhere {wording.rounded_percent(found.elsewhere)}",
        why=found.why,
        images=_named(found.images),
    )


def _probe(probe: Probe) -> ProbeRow:
    return ProbeRow(
        artifact=wording.name(probe.artifact, 32),
        statement=probe.statement,
        images=_named(probe.images),
    )


def _named(images: tuple[str, ...]) -> str:
    return ", ".join(wording.name(image, 40) for image in images[:NAMED])
