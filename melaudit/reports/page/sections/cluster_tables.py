"""The tables after the clusters: usual strategies, odd images, groups with more errors, probes."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings, Outlier, Probe, Prototype, Slice

MAX_ODD_IMAGES = 12
MAX_ERROR_GROUPS = 6
MAX_NAMED_IMAGES = 5
"""Images named in a row."""

KINDS = {"unlike": "Unlike any usual strategy", "label": "Label in doubt"}
"""`Outlier.kind`, in words."""


@dataclass(frozen=True)
class PrototypeRow:
    """A usual strategy."""

    id: str
    predicted: str
    share: str
    images: str


@dataclass(frozen=True)
class OddRow:
    """An image that no usual strategy decides, or one with a doubtful label."""

    image: str
    kind: str
    predicted: str
    label: str
    why: str


@dataclass(frozen=True)
class ErrorGroupRow:
    """A group of images with more errors."""

    id: str
    n: str
    rate: str
    why: tuple[str, ...]
    images: str


@dataclass(frozen=True)
class ProbeRow:
    """What a linear probe found with a reviewer's marks."""

    artifact: str
    statement: str
    images: str


@dataclass(frozen=True)
class ClusterTables:
    """Four small tables; the page leaves out those that are empty."""

    prototypes: tuple[PrototypeRow, ...]
    odd: tuple[OddRow, ...]
    odd_note: str
    """How many more odd images there are; empty when all are listed."""
    error_groups: tuple[ErrorGroupRow, ...]
    probes: tuple[ProbeRow, ...]

    @property
    def any(self) -> bool:
        """Whether there is a table to show."""
        return bool(self.prototypes or self.odd or self.error_groups or self.probes)


def cluster_tables(findings: Findings) -> ClusterTables:
    """Return the tables, with rows in the order the audit gave."""
    left = len(findings.outliers) - MAX_ODD_IMAGES
    return ClusterTables(
        prototypes=tuple(_prototype(p) for p in findings.prototypes),
        odd=tuple(_odd(o) for o in findings.outliers[:MAX_ODD_IMAGES]),
        odd_note=f"{wording.many_unbroken(left, 'more image')} in findings.json."
        if left > 0
        else "",
        error_groups=tuple(_error_group(s) for s in findings.slices[:MAX_ERROR_GROUPS]),
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


def _error_group(group: Slice) -> ErrorGroupRow:
    return ErrorGroupRow(
        id=wording.name(group.id, 32),
        n=wording.count(group.n),
        rate=f"{wording.rounded_percent(group.rate)}, "
        f"elsewhere {wording.rounded_percent(group.elsewhere)}",
        why=group.why,
        images=_named(group.images),
    )


def _probe(probe: Probe) -> ProbeRow:
    return ProbeRow(
        artifact=wording.name(probe.artifact, 32),
        statement=probe.statement,
        images=_named(probe.images),
    )


def _named(images: tuple[str, ...]) -> str:
    return ", ".join(wording.name(image, 40) for image in images[:MAX_NAMED_IMAGES])
