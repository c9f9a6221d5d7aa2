"""Which detectors there are: ours, in a plain tuple, and others' by entry point.

A package registers a detector class (or a function that returns a detector) so:

    [project.entry-points."melaudit.detectors"]
    watermark = "my_package.watermark:Watermark"
"""

from __future__ import annotations

from importlib.metadata import entry_points

from melaudit.artifacts.registry import artifacts
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.border_relevance import BorderRelevance
from melaudit.detectors.checks.channel_uniformity import ChannelUniformity
from melaudit.detectors.checks.class_sensitivity import ClassSensitivity
from melaudit.detectors.checks.conservation import Conservation
from melaudit.detectors.checks.engine_agreement import EngineAgreement
from melaudit.detectors.checks.faithfulness import Faithfulness
from melaudit.detectors.checks.output_equivalence import OutputEquivalence
from melaudit.detectors.checks.randomisation import Randomisation
from melaudit.detectors.fixed_position import FixedPosition
from melaudit.detectors.interface import Detector
from melaudit.detectors.labelled_artifacts import LabelledArtifacts
from melaudit.detectors.metadata import Metadata
from melaudit.detectors.near_duplicates import NearDuplicates
from melaudit.detectors.outside_lesion import OutsideLesion
from melaudit.detectors.property_label import PropertyLabel
from melaudit.errors import DetectorError

GROUP = "melaudit.detectors"

OURS: tuple[Detector, ...] = (
    Conservation(),
    ChannelUniformity(),
    ClassSensitivity(),
    OutputEquivalence(),
    Randomisation(),
    Faithfulness(),
    EngineAgreement(),
    BorderRelevance(),
    FixedPosition(),
    OutsideLesion(),
    LabelledArtifacts(),
    Metadata(),
    PropertyLabel(),
    NearDuplicates(),
)


def detectors() -> tuple[Detector, ...]:
    """Return our detectors, one for every artifact, and then the registered ones by name.

    Raises DetectorError for one that cannot be loaded, breaks the contract or takes another's id.
    """
    found: list[Detector] = [*OURS, *map(ArtifactDetector, artifacts())]
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        try:
            detector = entry.load()()
        except Exception as error:
            raise DetectorError(
                f"detector {entry.name!r} ({entry.value}) cannot be loaded: {error}; "
                "mend or uninstall the package that registers it"
            ) from error
        lacking = [
            name
            for name in ("id", "title", "checks_explanations", "measure", "conclude")
            if not hasattr(detector, name)
        ]
        if lacking:
            raise DetectorError(f"detector {entry.name!r} ({entry.value}) lacks {lacking}")
        if any(detector.id == other.id for other in found):
            raise DetectorError(f"two detectors have the id {detector.id!r}; {entry.value} is one")
        found.append(detector)
    return tuple(found)
