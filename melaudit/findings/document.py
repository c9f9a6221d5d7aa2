"""The vocabulary of an audit: what every detector says and every report reads.

This is the ground floor: it imports nothing of melaudit. `Findings.to_dict` is the content of
`findings.json`, whose JSON Schema is `melaudit/findings.schema.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from melaudit.findings.domain import DomainInfo
from melaudit.findings.drift import Drift
from melaudit.findings.editing import Tried
from melaudit.findings.evidence import (
    Check,
    Finding,
    NotFound,
    Reaction,
    Skipped,
    Test,
    Trust,
    Verdict,
)
from melaudit.findings.groups import Cluster, Concept, Outlier, Probe, Prototype, Slice
from melaudit.findings.intended_use import IntendedUse
from melaudit.findings.mitigation import Mitigated
from melaudit.findings.performance import Performance
from melaudit.findings.plain import plain, rebuild
from melaudit.findings.robustness import Corruption
from melaudit.findings.skin_tone import SkinTone

SCHEMA_VERSION = "1.0"

UNSEEN_FOLDERS = frozenset({"folder_outside_root", "folder_unreadable", "folder_too_deep"})
"""Reasons to skip a whole folder: they count folders; how many images these hold is unknown."""


class Subject(StrEnum):
    """What a detector asks about."""

    ARTIFACT = "artifact"
    """Something in the picture that is not what the model is to look at: a row among the artifacts
    of a report."""
    EXPLANATIONS = "explanations"
    """The relevance maps themselves: a check, concluded before everything else."""
    MODEL = "model"
    """Anything else about the model, or about the data it was given."""


@dataclass(frozen=True)
class DetectorInfo:
    """What a detector says of itself, so that a report needs no list of names."""

    id: str
    title: str
    subject: Subject
    asks: str
    """For a check of the maps: its question, in plain words. Empty for the others."""
    why: str
    """For a check of the maps: why its limit is where it is. Empty for the others."""


@dataclass(frozen=True)
class Operation:
    """What the explaining engine does with one kind of operation of the model."""

    name: str
    rule: str
    calls: int
    """How often the model performs it on one image."""


@dataclass(frozen=True)
class Explanations:
    """Whether the maps can be trusted, and what made them."""

    status: Trust
    engine: str
    """Engine, composite, canonizer and explained quantity in one line."""
    layer: str
    """The layer whose channels are the concepts; "" for a model without one."""
    checks: tuple[Check, ...]
    operations: tuple[Operation, ...] = ()
    """The rule for each operation; empty where the engine does not look at them."""


@dataclass(frozen=True)
class Control:
    """A test of the audit itself on this model and these data."""

    id: str
    title: str
    kind: str
    """"negative": nothing was there to be found; "positive": something was planted."""
    statement: str
    value: float | None
    """Share of false alarms; or the share of decisions moved by the weakest plant that is found."""
    n: int
    """How often it was tried; or images it rests on."""
    passed: bool


class Missing(StrEnum):
    """What a pass may lack."""

    EVIDENCE = "evidence"
    """Nothing that the audit says can be relied on."""
    IMAGES = "images"
    """Too few images were audited."""
    MAPS = "maps"
    """Too few checks of the maps could be made."""
    CONTROL = "control"
    """A test of the audit itself failed where something was planted."""
    UNTESTED = "untested"
    """Whether decisions depend on an artifact was not tested."""
    UNDECIDED = "undecided"
    """It was tested on too few images to exclude a dependence that matters."""
    LIMIT = "limit"
    """Whether a figure keeps to a limit of the intended use cannot be told."""


@dataclass(frozen=True)
class Shortfall:
    """Something that a pass needs and this audit does not have."""

    missing: Missing
    subject: str
    """The artifact's or the control's id; empty where it is about none."""
    title: str
    """What to call the subject: "Hair"."""
    statement: str
    """Why it is missing, in a sentence."""
    settle: str
    """What would settle it, as an instruction; shortfalls that one thing settles have the same."""


@dataclass(frozen=True)
class Inputs:
    """What became of every image that was named."""

    read: int
    flagged: Mapping[str, int]
    """Images used although something is odd about them, by reason."""
    skipped: Mapping[str, int]
    """Images not used, by reason; for the reasons in `UNSEEN_FOLDERS`, folders."""
    drawn_from: int = 0
    """Images of the data that those to be read are a random sample of; 0 where they are all."""

    @property
    def lost(self) -> int:
        """How many images were not used, as far as that is known."""
        return sum(n for reason, n in self.skipped.items() if reason not in UNSEEN_FOLDERS)

    @property
    def unseen_folders(self) -> int:
        """How many folders were not looked into: the images in them are not counted."""
        return sum(n for reason, n in self.skipped.items() if reason in UNSEEN_FOLDERS)


@dataclass(frozen=True)
class Provenance:
    """What was audited, with what, and how to do it again."""

    model: str
    """File name of the checkpoint."""
    model_sha256: str
    architecture: str
    data: str
    data_fingerprint: str
    classes: tuple[str, ...]
    positive: str | None
    preprocessing: str
    config: Mapping[str, Any]
    command: str
    versions: Mapping[str, str]
    seed: int
    device: str
    started: str
    """ISO 8601, UTC."""
    seconds: float


@dataclass(frozen=True)
class Findings:
    """Everything an audit says; every output derives from it."""

    verdict: Verdict
    reason: str
    """The verdict as a sentence about the model."""
    explanations: Explanations
    performance: Performance
    findings: tuple[Finding, ...]
    """The most severe first."""
    not_found: tuple[NotFound, ...]
    clusters: tuple[Cluster, ...]
    """The most suspicious first."""
    skipped: tuple[Skipped, ...]
    inputs: Inputs
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    """What a reader must know before believing the rest."""
    controls: tuple[Control, ...] = ()
    """What the audit's own tests say where nothing is, and where something was planted."""
    prototypes: tuple[Prototype, ...] = ()
    """How each predicted class is usually decided."""
    outliers: tuple[Outlier, ...] = ()
    slices: tuple[Slice, ...] = ()
    """The worst first."""
    concepts: tuple[Concept, ...] = ()
    """Channels that matter, those that mark the most suspicious cluster first."""
    probes: tuple[Probe, ...] = ()
    """Of what a reviewer marked; the most frequent first."""
    detectors: tuple[DetectorInfo, ...] = ()
    """Everything that took part in the run, in the order it was asked."""
    reactions: tuple[Reaction, ...] = ()
    """Robustness: strong reactions to what the images do not show."""
    shortfalls: tuple[Shortfall, ...] = ()
    """What keeps this audit from a pass, however little it found."""
    domain: DomainInfo = field(default_factory=DomainInfo)
    """What kind of pictures these are taken for, and the words that go with it."""
    tests: tuple[Test, ...] = ()
    """Every test that could have carried a finding; the q-values are over all of them."""
    edits: tuple[Tried, ...] = ()
    """How the trial of each edit was planned and where it ended; empty where nothing was edited."""
    corruptions: tuple[Corruption, ...] = ()
    """Robustness: how decisions change as pictures lose quality, by kind; empty if not tried."""
    drift: tuple[Drift, ...] = ()
    """Artifacts and properties in the training images and the audited ones; empty where no training
    images are known."""
    skin_tone: SkinTone | None = None
    """None where the pictures show no skin, or nothing of it could be measured."""
    intended_use: IntendedUse | None = None
    """What the model is meant for, where its makers said so, and the limits it must keep to."""
    mitigations: tuple[Mitigated, ...] = ()
    """What was done about findings afterwards; kept in mitigation.json, not in findings.json."""
    schema_version: str = field(default=SCHEMA_VERSION)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of findings.json: plain types; NaN and infinities are None."""
        content = plain(self)
        assert isinstance(content, dict)
        del content["mitigations"]  # what an audit says does not change with what is done later
        # The contract's name for a cluster's predicted class; a Python field cannot be `class`.
        for cluster in content["clusters"]:
            cluster["class"] = cluster.pop("predicted")
        return content

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Findings:
        """Rebuild the findings from the content of findings.json.

        Raises ValueError when the file is of another schema version.
        """
        version = str(data.get("schema_version"))
        if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
            raise ValueError(
                f"findings.json has schema version {version}, this melaudit reads {SCHEMA_VERSION}"
            )
        clusters = [
            {**{k: v for k, v in c.items() if k != "class"}, "predicted": c["class"]}
            for c in data["clusters"]
        ]
        return rebuild(cls, {**data, "clusters": clusters})
