"""Where the audit comes from: the model, the images, the settings and the command."""

from __future__ import annotations

import json
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings

MAX_CLASSES = 40


@dataclass(frozen=True)
class ProvenanceSection:
    """What was audited, with what, and how to do it again."""

    model: str
    rows: tuple[tuple[str, str, str], ...]
    """(what, value, "code" when to be set as such)."""
    versions: tuple[tuple[str, str], ...]
    """(package, version)."""
    config: tuple[str, ...]
    """The settings, as lines of JSON."""
    command: str


def provenance(findings: Findings) -> ProvenanceSection:
    """Return where the audit comes from."""
    p = findings.provenance
    rows = (
        ("Model", p.model, "code"),
        ("SHA-256", p.model_sha256, "code"),
        ("Architecture", p.architecture, "code"),
        ("Images", p.data, "code"),
        ("Fingerprint of the images", p.data_fingerprint, "code"),
        ("Classes", ", ".join(wording.name(c, 32) for c in p.classes[:MAX_CLASSES]), ""),
        ("Positive class", wording.name(p.positive) if p.positive else "not named", ""),
        ("Preprocessing", p.preprocessing, ""),
        ("Seed", str(p.seed), ""),
        ("Device", p.device, ""),
        ("Started", wording.moment(p.started), ""),
        ("Took", wording.duration(p.seconds) if p.seconds else "not measured", ""),
    )
    return ProvenanceSection(
        wording.name(p.model, 48),
        tuple((what, wording.name(value, 400), kind) for what, value, kind in rows),
        tuple((wording.name(k), wording.name(v)) for k, v in sorted(p.versions.items())),
        tuple(json.dumps(dict(p.config), indent=2, sort_keys=True, default=str).splitlines()),
        wording.name(p.command, 4000),
    )
