"""Before an audit: what is this model, do its maps hold, and what will a full audit cost?"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from melaudit.audit.forecast import Forecast, Stage, forecast
from melaudit.audit.method import choose_method, first_input, looking
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.preparation import informed, prepare
from melaudit.audit.prepare.reader import reading
from melaudit.detectors.interface import artifacts_of
from melaudit.detectors.registry import detectors
from melaudit.errors import DatasetError
from melaudit.findings import Check, Skipped, Trust
from melaudit.images.dataset import Dataset
from melaudit.images.imagefile import Read
from melaudit.observer import Observer
from melaudit.wording.figures import whole_duration
from melaudit.wording.sentences import many

_MAX_NAMED = 12
"""Classes that are named. Chosen: what fits two lines of a terminal."""


@dataclass(frozen=True)
class Examination:
    """What a doctor's visit found."""

    architecture: str
    outputs: int
    classes: tuple[str, ...]
    meaning: str
    """What the outputs are, and how they decide."""
    domain: str
    """What kind of pictures these are, and why."""
    preprocessing: str
    engine: str
    layer: str
    heads: Mapping[str, int]
    """Layers whose channels are heads of attention, and how many each has."""
    trust: Trust
    checks: tuple[Check, ...]
    skipped: tuple[Skipped, ...]
    operations: tuple[tuple[str, str, int], ...]
    """(operation, rule, calls) of one forward pass; empty when the engine keeps no such list."""
    dataset: Dataset
    forecast: Forecast
    notes: tuple[str, ...]
    label: str = ""
    """Which label of a multi-label model was looked at; "" for any other model."""

    @property
    def images(self) -> int:
        """In the data set."""
        return len(self.dataset)

    @functools.cached_property
    def stages(self) -> tuple[Stage, ...]:
        """What each stage of a full audit is expected to take."""
        return self.forecast.stages(self.dataset.labels)

    @property
    def seconds(self) -> float:
        """Expected for a full audit."""
        return sum(stage.seconds for stage in self.stages)


def examine(configuration: Configuration, observer: Observer) -> Examination:
    """Load model and data, check the maps on a few images and predict the cost of an audit.

    Raises a MelauditError for everything a user can mend.
    """
    with reading(configuration.workers) as read:
        return _examine(configuration, observer, read)


def _examine(configuration: Configuration, observer: Observer, read: Read) -> Examination:
    observer.stage("Loading")
    prepared = prepare(configuration, read=read)
    asked = detectors(configuration.for_detectors, prepared.domain.domain)
    prepared = informed(prepared, configuration, artifacts_of(asked))
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        method = choose_method(configuration, prepared, asked, observer, Path(folder))
        checked = time.monotonic() - begun
    if not len(method.known.rows):
        raise DatasetError(
            f"none of the {configuration.check_images} images that were drawn can be read; mend "
            "the files, or draw others with --check-images"
        )
    with looking(method, prepared) as viewer:
        with tempfile.TemporaryDirectory() as folder:
            expected = forecast(
                configuration, prepared, asked, viewer, checked, observer, Path(folder)
            )
        engine = viewer.explainer.describe()
        image = first_input(prepared)
        operations, heads = viewer.explainer.operations(image), viewer.explainer.heads(image)
    return Examination(
        architecture=prepared.loaded.architecture,
        outputs=prepared.loaded.outputs,
        classes=prepared.classes,
        meaning=prepared.loaded.meaning,
        domain=f"{prepared.domain.domain.title}. {prepared.domain.why}",
        preprocessing=prepared.preprocessing.describe(),
        engine=engine,
        layer=method.layer,
        heads=heads,
        trust=method.checked.trust,
        checks=method.checked.checks,
        skipped=method.checked.skipped,
        operations=operations,
        dataset=prepared.dataset,
        forecast=expected,
        label=prepared.label,
        notes=(*prepared.loaded.doubts, *prepared.notes, *method.notes),
    )


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_NAMED]) + " ..." * (len(names) > _MAX_NAMED)


def _of_heads(heads: Mapping[str, int]) -> Iterator[str]:
    """Yield a line on the heads of a model with attention."""
    if heads:
        names, numbers = list(heads), sorted(set(heads.values()))
        each = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        which = " to ".join(dict.fromkeys([names[0], names[-1]]))
        yield (
            f"heads          {each} in each of {many(len(names), 'layer')}: {which} (named by "
            "--layer, its heads are the channels)"
        )


def described(found: Examination) -> list[str]:
    """Return an examination as lines for the terminal."""
    lines = [
        f"model          {found.architecture}, {many(found.outputs, 'output')}: "
        f"{_first(found.classes)}",
        f"decides by     {found.meaning}",
        f"domain         {found.domain}",
        f"preprocessing  {found.preprocessing}",
        f"relevance      {found.engine}",
        f"concept layer  {found.layer or 'none'}",
        *_of_heads(found.heads),
        *(f"note           {note}" for note in found.notes),
        "",
        f"maps           {found.trust}",
        *(f"  {check.status:<9}{check.id}: {check.statement}" for check in found.checks),
        *(f"  skipped  {skip.detector}: {skip.reason}" for skip in found.skipped),
        "",
    ]
    if found.operations:
        width = max(len(name) for name, _, _ in found.operations)
        lines.append(f"{'operation':<{width + 2}} calls  rule")
        lines += [f"  {name:<{width}} {calls:>5}  {rule}" for name, rule, calls in found.operations]
        lines.append("")
    lines.append(
        f"a full audit   {many(found.images, 'image')}: about {whole_duration(found.seconds)}"
    )
    lines += [
        f"  {whole_duration(stage.seconds):>14}  {stage.name}: {stage.work}"
        for stage in found.stages
    ]
    return lines
