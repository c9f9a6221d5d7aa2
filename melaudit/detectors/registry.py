"""Which detectors a run has: ours, one for every artifact, and others' by entry point.

A package registers a detector class, or a function that returns a detector, so:

    [project.entry-points."melaudit.detectors"]
    watermark = "my_package.watermark:Watermark"

It is called with nothing, or with the settings of the run (`DetectorSettings`) where it has a
parameter without a default. Its own settings are the table `[detectors.watermark]` of melaudit.toml
(`detectors={"watermark": {...}}` in Python), which `settings.table("watermark")` returns.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from melaudit.artifacts.registry import OURS, artifacts
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.border_relevance import BorderRelevance
from melaudit.detectors.checks.channel_uniformity import ChannelUniformity
from melaudit.detectors.checks.class_sensitivity import ClassSensitivity
from melaudit.detectors.checks.conservation import Conservation
from melaudit.detectors.checks.engine_agreement import EngineAgreement
from melaudit.detectors.checks.faithfulness import Faithfulness
from melaudit.detectors.checks.output_equivalence import OutputEquivalence
from melaudit.detectors.checks.randomisation import Randomisation
from melaudit.detectors.checks.register_tokens import RegisterTokens
from melaudit.detectors.drift import Drift
from melaudit.detectors.fixed_position import FixedPosition
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.labelled_artifacts import LabelledArtifacts
from melaudit.detectors.metadata import Metadata
from melaudit.detectors.near_duplicates import NearDuplicates
from melaudit.detectors.outside_object import OutsideObject
from melaudit.detectors.property_label import PropertyLabel
from melaudit.detectors.settings import DetectorSettings
from melaudit.detectors.skin_tone import SkinTone
from melaudit.domains.interface import Domain
from melaudit.domains.registry import FALLBACK
from melaudit.errors import ConfigurationError, DetectorError
from melaudit.findings import Subject
from melaudit.measurements import Array, Measurements

GROUP = "melaudit.detectors"
ARTIFACTS = "artifacts"
"""What stands for every detector of an artifact in the setting `without`."""


def ours(settings: DetectorSettings, domain: Domain) -> tuple[Detector, ...]:
    """Return our own detectors with the parameters that a run's settings ask for.

    Those that name the things of a field in their titles take its words; one that looks for skin is
    asked where there is any.
    """
    words = domain.words
    return (
        Conservation(),
        ChannelUniformity(),
        ClassSensitivity(),
        OutputEquivalence(),
        Randomisation(copies=settings.randomisation_copies),
        Faithfulness(),
        EngineAgreement(),
        RegisterTokens(),
        BorderRelevance(),
        FixedPosition(),
        OutsideObject(words),
        LabelledArtifacts(),
        Metadata(),
        PropertyLabel(),
        NearDuplicates(settings.duplicate_correlation, words),
        Drift(),
        *((SkinTone(),) if domain.shows_skin else ()),
    )


def detectors(
    settings: DetectorSettings | None = None, domain: Domain = FALLBACK
) -> tuple[Detector, ...]:
    """Return our detectors, one for every artifact of a domain, then the registered ones by name.

    Without settings, all have their defaults. Raises DetectorError for one that cannot be loaded,
    breaks the contract or takes another's id; ConfigurationError for settings of a detector that is
    not registered or takes none.
    """
    settings = settings or DetectorSettings()
    sought = artifacts(domain.artifacts)
    found: list[Detector] = [
        *ours(settings, domain),
        *(ArtifactDetector(artifact, sought) for artifact in sought),
    ]
    known = [artifact.id for artifact in OURS]  # those of other domains too
    entries = sorted(entry_points(group=GROUP), key=lambda e: e.name)
    _refuse_unknown_tables(
        settings, [entry.name for entry in entries], [d.id for d in found] + known
    )
    for entry in entries:
        detector = _registered(entry, _made(entry, settings))
        if any(detector.id == other.id for other in found):
            raise DetectorError(f"two detectors have the id {detector.id!r}; {entry.value} is one")
        found.append(detector)
    return _without(found, settings.without)


def _without(found: Sequence[Detector], names: Sequence[str]) -> tuple[Detector, ...]:
    """Leave out the detectors of these ids; ARTIFACTS stands for every one of an artifact.

    Raises ConfigurationError for an id that no detector has; those of artifacts of another domain
    are left out already.
    """
    known = [ARTIFACTS, *(d.id for d in found), *(artifact.id for artifact in OURS)]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join(known)}"
            raise ConfigurationError(f"without: no detector or artifact is named {name!r}; {hint}")
    checks = [d.id for d in found if d.subject is Subject.EXPLANATIONS and d.id in names]
    if checks:
        raise ConfigurationError(
            f"without: {checks[0]} checks the maps that findings rest on, and cannot be left out"
        )
    return tuple(
        d
        for d in found
        if d.id not in names and not (d.artifact is not None and ARTIFACTS in names)
    )


CONTRACT = ("id", "title", "measure", "conclude")
"""What a detector must have; the rest of `Detector` has defaults."""


class Registered(Detector):
    """A detector of another package, with defaults for what it does not say itself."""

    def __init__(self, detector: Any) -> None:
        self.detector = detector
        self.id, self.title = str(detector.id), str(detector.title)
        self.artifact = getattr(detector, "artifact", None)
        usual = Subject.MODEL if self.artifact is None else Subject.ARTIFACT
        self.subject = Subject(getattr(detector, "subject", usual))
        self.asks = str(getattr(detector, "asks", ""))
        self.why = str(getattr(detector, "why", ""))
        self.sums_places = bool(getattr(detector, "sums_places", False))

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Let the detector measure."""
        measured: Mapping[str, Array] = self.detector.measure(batch)
        return measured

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Let the detector conclude."""
        results: Sequence[Result] = self.detector.conclude(measurements)
        return results


def _registered(entry: EntryPoint, detector: Any) -> Registered:
    """Hold a detector of another package to the contract."""
    named = f"detector {entry.name!r} ({entry.value})"
    lacking = [name for name in CONTRACT if not hasattr(detector, name)]
    if lacking:
        raise DetectorError(
            f"{named} lacks {lacking}; a detector has all of {list(CONTRACT)}, see "
            "melaudit.detectors.interface.Detector"
        )
    try:
        made = Registered(detector)
    except ValueError as error:
        raise DetectorError(
            f"{named} has the subject {detector.subject!r}; choose one of {', '.join(Subject)}"
        ) from error
    if made.artifact is not None and made.artifact.id != made.id:
        raise DetectorError(
            f"{named} has the id {made.id!r} and its artifact {made.artifact.id!r}; give them one "
            "id, by which edits and the report know the artifact"
        )
    return made


def _made(entry: EntryPoint, settings: DetectorSettings) -> Any:
    """Load what an entry point names and make a detector of it."""
    try:
        make = entry.load()
        if _takes_settings(make):
            return make(settings)
        made = make()
    except Exception as error:
        remedy = "mend or uninstall the package that registers it"
        if settings.table(entry.name):
            remedy = f"correct its settings, [detectors.{entry.name}], or {remedy}"
        raise DetectorError(
            f"detector {entry.name!r} ({entry.value}) cannot be loaded: {error}; {remedy}"
        ) from error
    if settings.table(entry.name):
        raise ConfigurationError(
            f"[detectors.{entry.name}] gives settings to a detector that takes none; remove them"
        )
    return made


def _takes_settings(make: Callable[..., Any]) -> bool:
    """Tell whether a class or function must be given something."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except ValueError:  # written in C, without a signature
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in positional and p.default is p.empty for p in parameters)


def _refuse_unknown_tables(
    settings: DetectorSettings, registered: Sequence[str], known: Sequence[str]
) -> None:
    """Raise ConfigurationError for a table of settings that reaches no registered detector."""
    for name in settings.detectors:
        if name in registered:
            continue
        if name in known:
            raise ConfigurationError(
                f"[detectors.{name}]: {name} is a detector of melaudit itself, whose settings are "
                "those that `melaudit run --help` lists; remove the table"
            )
        close = difflib.get_close_matches(name, registered, n=1)
        hint = f"registered: {', '.join(registered) or 'none'}"
        raise ConfigurationError(
            f"[detectors.{name}]: no installed package registers a detector {name!r} "
            f"({f'did you mean {close[0]!r}?' if close else hint}); install the package or remove "
            "the table"
        )
