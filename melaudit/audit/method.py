"""Which method explains a run: the first of an order that holds on a few of the run's own images.

The order is LRP with the usual composite, LRP with other composites, gradient x input, occlusion.
A method holds when none of the checks of the maps fails. They run before the pass, on the sampled
images, and the pass takes over what they measured, so that nothing is measured twice. Whoever names
an engine, a canonizer or a composite gets that one and no other, and its maps may be unusable.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from melaudit.audit.conclude.conclusions import Checked, check_maps, trust
from melaudit.audit.conclude.table import measured
from melaudit.audit.leases import ALONE, Turns
from melaudit.audit.measure.measurer import CheckSample, Known, Measurer
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.sweep import sweep
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.preparation import Prepared
from melaudit.audit.prepare.provenance import run_id
from melaudit.audit.viewer import Viewer
from melaudit.choices import EngineName
from melaudit.detectors.interface import Detector
from melaudit.errors import DatasetError, NoConceptLayerError, RelevanceError
from melaudit.findings import CheckStatus, Operation, Subject, Trust
from melaudit.models.architectures import LoadedModel
from melaudit.observer import Observer
from melaudit.relevance import Explainer
from melaudit.relevance.engines.composites import DEFAULT_COMPOSITE
from melaudit.statistics.sampling import sample

AUTO = "auto"

OTHER_COMPOSITES = ("epsilon_gamma_box", "epsilon_alpha2_beta1_flat")
"""One for each other way to treat what speaks against: with less weight, or with more."""

WITHOUT_RULES = (EngineName.GRADIENT_X_INPUT, EngineName.OCCLUSION)
"""Engines that need no composite, the finer one first."""


@dataclass(frozen=True)
class Examined:
    """A method, and how its maps did on the sampled images."""

    configuration: Configuration
    """With the engine and the composite that make the maps."""
    layer: str
    """The concept layer; "" for a model without one, whose maps are audited all the same."""
    known: Known
    """What the checks measured."""
    checked: Checked
    notes: tuple[str, ...] = ()
    """Which methods were tried before and failed, each a sentence for the reader."""


def methods(configuration: Configuration) -> tuple[Configuration, ...]:
    """Return the configurations to try, in order: only the first if the user named a method."""
    named = (configuration.engine, configuration.canonizer, configuration.composite)
    first = settled(configuration)
    if named != (AUTO, AUTO, AUTO):
        return (first,)
    others = [dataclasses.replace(first, composite=name) for name in OTHER_COMPOSITES]
    without = [dataclasses.replace(first, engine=name) for name in WITHOUT_RULES]
    return (first, *others, *without)


def settled(configuration: Configuration) -> Configuration:
    """Return the configuration with a composite named."""
    if configuration.composite != AUTO:
        return configuration
    return dataclasses.replace(configuration, composite=DEFAULT_COMPOSITE)


def explain(configuration: Configuration, loaded: LoadedModel, device: torch.device) -> Explainer:
    """Return the explainer that the configuration asks for, on the device."""
    configuration = settled(configuration)
    return Explainer(
        loaded.model.to(device),
        composite=configuration.composite,
        engine=configuration.engine,
        canonizer=configuration.canonizer,
        num_classes=loaded.outputs,
    )


@contextlib.contextmanager
def viewing(configuration: Configuration, prepared: Prepared, layer: str) -> Iterator[Viewer]:
    """Have the model looked through by the method that the configuration asks for."""
    with explain(configuration, prepared.loaded, prepared.device) as explainer:
        yield Viewer(
            explainer,
            prepared.preprocessing,
            prepared.device,
            layer,
            configuration.batch_size,
            prepared.loaded.shift,
        )


def choose_method(
    configuration: Configuration,
    prepared: Prepared,
    detectors: Sequence[Detector],
    observer: Observer,
    folder: Path,
    turns: Turns = ALONE,
) -> Examined:
    """Return the first method whose maps hold; the first of all, with a note, when none does.

    Those of the detectors that check maps decide whether they hold. What they measure is kept in
    stores under `folder`, so that a run that is resumed finds it there; `turns` says which of
    several processes measures it. Raises RelevanceError when no method can be applied to the model
    at all.
    """
    layer, without = _concept_layer(configuration, prepared)
    checks = tuple(d for d in detectors if d.subject is Subject.EXPLANATIONS)
    failed: list[Examined] = []
    refusals: list[RelevanceError] = []
    notes: list[str] = []
    for attempt in methods(configuration):
        try:
            examined = _examine(attempt, prepared, checks, layer, observer, folder, turns)
        except RelevanceError as error:
            refusals.append(error)
            notes.append(f"{_name(attempt)} cannot be applied to this model: {error}")
        else:
            if examined.checked.trust is not Trust.UNUSABLE:
                tried = _tell(notes, attempt, observer)
                return dataclasses.replace(examined, notes=(*without, *tried))
            failed.append(examined)
            notes.append(f"{_name(attempt)} fails on this model ({_failures(examined)})")
    if not failed:
        raise refusals[0]
    if len(notes) > 1:
        notes.append("no method of explanation holds on this model")
    tried = _tell(notes, failed[0].configuration, observer) if len(notes) > 1 else ()
    return dataclasses.replace(failed[0], notes=(*without, *tried))


def first_input(prepared: Prepared) -> Tensor:
    """Return the first readable image as the model's input (1, 3, H, W), for a dry run."""
    for path in prepared.dataset.paths:
        image = prepared.read(path).image
        if image is not None:
            return prepared.preprocessing.apply(image)[None].to(prepared.device)
    raise DatasetError(
        f"none of the {len(prepared.dataset.paths)} images can be read; check that they are "
        "JPEG, PNG, TIFF, BMP, WEBP or GIF files"
    )


def operations(viewer: Viewer, prepared: Prepared) -> tuple[Operation, ...]:
    """Return which rule each operation of the model got; empty where the engine keeps no list."""
    found = viewer.explainer.operations(first_input(prepared))
    return tuple(Operation(*each) for each in found)


def _concept_layer(configuration: Configuration, prepared: Prepared) -> tuple[str, tuple[str, ...]]:
    """Return the concept layer, or "" and a note for a model that has none."""
    if configuration.layer:
        return configuration.layer, ()
    image = first_input(prepared)
    with explain(configuration, prepared.loaded, prepared.device) as explainer:
        try:
            return explainer.choose_layer(image), ()
        except NoConceptLayerError as error:
            return "", (f"No channels are looked at: {error}.",)


def _examine(
    configuration: Configuration,
    prepared: Prepared,
    checks: tuple[Detector, ...],
    layer: str,
    observer: Observer,
    folder: Path,
    turns: Turns,
) -> Examined:
    """Run the checks of the maps on the sampled images."""
    dataset = prepared.dataset
    rows = np.flatnonzero(sample(dataset.labels, configuration.check_images, configuration.seed))
    few = dataclasses.replace(prepared, dataset=dataset.take(rows))
    with viewing(configuration, prepared, layer) as viewer:
        settings = {
            "engine": viewer.explainer.describe(),
            "layer": layer,
            "preprocessing": prepared.preprocessing.describe(),
            "device": prepared.device.type,
            "detectors": dataclasses.asdict(configuration.for_detectors),
            "seed": configuration.seed,
            "outputs": configuration.outputs,
            "shift": prepared.loaded.shift,
        }
        name = run_id(prepared.loaded.sha256, few.dataset, settings, [d.id for d in checks])
        store = Store(folder / f"checks-{name[:16]}", name, few.dataset.ids)
        every = CheckSample(np.ones(len(rows), bool))
        measurer = Measurer(viewer, few.dataset, checks, every)
        stage = f"Checking {_name(configuration)}"
        sweep([(measurer, store)], observer, read=prepared.read, stage=stage, turns=turns)
    if "row" not in store.names():  # not one of the few can be read, but others may be
        unknown = Checked((), trust(()), ())
        return Examined(configuration, layer, Known(rows[:0], {}), unknown)
    table = measured(store, few, layer, configuration.seed)
    known = Known(rows[store.column("row")], {n: store.column(n) for n in _measured(store)})
    return Examined(configuration, layer, known, check_maps(checks, table))


def _measured(store: Store) -> Iterator[str]:
    """Yield the names of the detectors' columns."""
    own = ("relevance.", "attention.")
    return (n for n in store.names() if "." in n and not n.startswith(own))


def _failures(examined: Examined) -> str:
    failed = [c for c in examined.checked.checks if c.status is CheckStatus.FAIL]
    return ", ".join(check.id.replace("_", " ") for check in failed)


def _name(configuration: Configuration) -> str:
    if configuration.engine in WITHOUT_RULES:
        return configuration.engine.replace("_", " ")
    return f"LRP {configuration.composite}"


def _tell(notes: list[str], used: Configuration, observer: Observer) -> tuple[str, ...]:
    """Tell the user what was tried, and return it in one sentence for the report."""
    if not notes:
        return ()
    sentence = f"{'; '.join(notes)}. The maps of this run are those of {_name(used)}."
    observer.note(f"note: {sentence}")
    return (sentence,)
