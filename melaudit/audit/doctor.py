"""Before an audit: what is this model, do its maps hold, and what will a full audit cost?"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from melaudit.audit.conclusions import conclude
from melaudit.audit.configuration import Configuration
from melaudit.audit.imagefile import read_image
from melaudit.audit.knowledge import Knowledge
from melaudit.audit.outcome import measured
from melaudit.audit.preparation import Prepared, prepare
from melaudit.audit.runner import explain, first_input
from melaudit.audit.store import Store
from melaudit.audit.sweep import Observer, Sweep, sweep
from melaudit.detectors.registry import detectors
from melaudit.findings import Check, Skipped, Trust


@dataclass(frozen=True)
class Examination:
    """What a doctor's visit found."""

    architecture: str
    outputs: int
    classes: tuple[str, ...]
    preprocessing: str
    engine: str
    layer: str
    trust: Trust
    checks: tuple[Check, ...]
    skipped: tuple[Skipped, ...]
    operations: tuple[tuple[str, str, int], ...]
    """(operation, rule, calls) of one forward pass; empty when the engine keeps no such list."""
    images: int
    """In the data set."""
    images_per_second: float
    seconds: float
    """Expected for a full audit, the checks of the maps included."""
    notes: tuple[str, ...]


def examine(configuration: Configuration, observer: Observer) -> Examination:
    """Load model and data, check the maps on a few images and predict the cost of an audit.

    Raises a MelauditError for everything a user can mend.
    """
    observer.stage("Loading")
    whole = prepare(configuration)
    few = whole.dataset.with_limit(configuration.probes, configuration.seed)
    prepared = dataclasses.replace(whole, dataset=few, knowledge=Knowledge())
    with explain(configuration, prepared) as explainer:
        plan = Sweep(
            explainer=explainer,
            detectors=tuple(d for d in detectors() if d.checks_explanations),
            preprocessing=prepared.preprocessing,
            device=prepared.device,
            layer=configuration.layer or explainer.choose_layer(first_input(prepared)),
            batch_size=configuration.batch_size,
            workers=0,
            sampled=np.ones(len(few), bool),
        )
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder), "examination", few.ids)
            begun = time.monotonic()
            sweep(plan, few, store, observer)
            checked = time.monotonic() - begun
            concluded = conclude(plan.detectors, measured(store, prepared, plan.layer, 0))
        rate = _rate(plan, prepared)
        engine = explainer.describe()
        operations = explainer.operations(first_input(prepared))
    return Examination(
        architecture=whole.loaded.architecture,
        outputs=whole.loaded.outputs,
        classes=whole.classes,
        preprocessing=whole.preprocessing.describe(),
        engine=engine,
        layer=plan.layer,
        trust=concluded.trust,
        checks=concluded.checks,
        skipped=concluded.skipped,
        operations=operations,
        images=len(whole.dataset),
        images_per_second=rate,
        seconds=len(whole.dataset) / rate + checked,
        notes=whole.notes,
    )


def _rate(plan: Sweep, prepared: Prepared) -> float:
    """Return images/s of decoding and explaining, on the second batch of the same images."""
    paths = [p for p in prepared.dataset.paths if read_image(p).image is not None]
    seconds = 0.0
    for _ in range(2):  # the first one warms up
        begun = time.monotonic()
        images = [read_image(path).image for path in paths]
        x = torch.stack([plan.preprocessing.apply(i) for i in images if i is not None])
        plan.explainer.attribute(x.to(plan.device), None, [plan.layer]).maps.cpu()
        seconds = time.monotonic() - begun
    return len(paths) / seconds


def described(found: Examination) -> list[str]:
    """Return an examination as lines for the terminal."""
    lines = [
        f"model          {found.architecture}, {found.outputs} outputs: {', '.join(found.classes)}",
        f"preprocessing  {found.preprocessing}",
        f"relevance      {found.engine}",
        f"concept layer  {found.layer}",
        *(f"note           {note}" for note in found.notes),
        "",
        f"maps           {found.trust}",
        *(f"  {check.status:<9}{check.id}: {check.statement}" for check in found.checks),
        *(f"  skipped  {skip.detector}: {skip.reason}" for skip in found.skipped),
        "",
    ]
    if found.operations:
        lines.append("operation             calls  rule")
        lines += [f"  {name:<20}{calls:>5}  {rule}" for name, rule, calls in found.operations]
        lines.append("")
    minutes = found.seconds / 60
    cost = f"{minutes:.0f} min" if minutes >= 2 else f"{found.seconds:.0f} s"
    lines.append(
        f"a full audit   {found.images} images at {found.images_per_second:.1f} images/s: "
        f"about {cost}, the checks included"
    )
    return lines
