"""Both audits of a model, by default and with every named detector off, from one pass.

Named detectors change neither the other columns of the pass nor who is in which group, so all that
`--without artifacts` would measure is there already. What that audit discovers is tried anew, and
each audit corrects its own tests. No report is written. A test holds this to two audits by the
public function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from melaudit.artifacts.interface import Artifact
from melaudit.audit.conclude.assembly import Clock
from melaudit.audit.conclude.conclusions import conclude_together, gathered
from melaudit.audit.measure.store import Store
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.runner import equipped, looked_at, opened, studied, tried
from melaudit.detectors.interface import artifacts_of
from melaudit.findings import Cluster, Finding
from melaudit.images.imagefile import read_image
from melaudit.measurements import Array
from melaudit.models.architectures import from_module
from melaudit.observer import Observer, Silent
from melaudit.stopwatch import processor_seconds

SILENT = Silent()


@dataclass(frozen=True)
class Audits:
    """What the two audits say."""

    findings: tuple[Finding, ...]
    """By default."""
    bare: tuple[Finding, ...]
    """With every named detector off."""
    clusters: tuple[Cluster, ...]
    """Groups of images, which are the same in both."""
    store: Store
    """What the pass measured."""
    seconds: float
    """Processor seconds of the default audit, without its report."""
    seconds_bare: float
    """Processor seconds that the other one took more."""


def audited(
    model: nn.Module, images: Path, out: Path, observer: Observer = SILENT, **options: Any
) -> Audits:
    """Audit a model on a folder of images with the options of `melaudit.audit`."""
    started = processor_seconds()
    settings: dict[str, Any] = {"model": Path("module"), "data": images, "out": out, "workers": 0}
    configuration = Configuration(**settings | options)
    loaded = from_module(model, configuration.image_size)
    everything, detectors = equipped(
        opened(configuration, observer, loaded, read_image), configuration
    )
    out.mkdir(parents=True, exist_ok=True)
    parts = [(each, "") for each in everything]
    ((chosen, passed),) = looked_at(configuration, parts, detectors, Clock.start(), observer)
    study = studied(chosen, passed, detectors, {}, observer)
    (named,) = conclude_together([study.found.uncorrected])
    middle = processor_seconds()
    off = tuple(detector for detector in detectors if detector.artifact is None)
    bare_store = _Without(passed.store, artifacts_of(detectors))
    seen = replace(passed, store=bare_store)
    with tried(chosen, seen, off, {}, observer) as (_, discovered):
        judged = replace(discovered.table, explanations=study.found.checked.trust)
        uncorrected = gathered((*off, *discovered.detectors), judged, study.found.groups.claims)
    (bare,) = conclude_together([uncorrected])
    return Audits(
        named.findings,
        bare.findings,
        study.found.groups.clusters,
        passed.store,
        middle - started,
        processor_seconds() - middle,
    )


class _Without(Store):
    """A store that knows no column that the finder of an artifact measured."""

    def __init__(self, store: Store, artifacts: Sequence[Artifact]) -> None:
        self.__dict__.update(vars(store))
        self._hidden = {artifact.id for artifact in artifacts}

    def names(self) -> tuple[str, ...]:
        """Return the names of the other columns."""
        return tuple(n for n in super().names() if n.split(".")[0] not in self._hidden)

    def column(self, name: str) -> Array:
        """Return one column, as `Store.column`."""
        if name.split(".")[0] in self._hidden:
            raise KeyError(name)
        return super().column(name)
