"""Which method explains a run: the first of an order that holds on a few of the run's own images.

The order is LRP with the usual composite, LRP with other composites, gradient x input, occlusion.
For a model with parts of a transformer (attention, or linear layers that work on every position)
the first of all is a composite that is chosen by how faithful its maps are on a few images.
A method holds when none of the checks of the maps fails. They run before the pass, on the sampled
images, and the pass takes over what they measured, so that nothing is measured twice. Whoever names
an engine, a canonizer or a composite gets that one and no other, and its maps may be unusable.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
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
from melaudit.detectors.checks.faithfulness import Faithfulness
from melaudit.detectors.interface import Detector
from melaudit.errors import DatasetError, NoConceptLayerError, RelevanceError
from melaudit.findings import CheckStatus, Operation, Subject, Trust
from melaudit.measurements import Array
from melaudit.models.architectures import LoadedModel
from melaudit.observer import Observer
from melaudit.relevance import Explainer
from melaudit.relevance.engines.composites import DEFAULT_COMPOSITE, DEFAULT_GAMMA, candidates
from melaudit.relevance.interface import TransformerPart
from melaudit.relevance.model.layers import HEADS, has_heads
from melaudit.statistics.estimates import mean
from melaudit.statistics.sampling import sample
from melaudit.wording.sentences import many

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
    """How the method was chosen: each a sentence for the reader."""


def methods(configuration: Configuration, chosen: str = "") -> tuple[Configuration, ...]:
    """Return the configurations to try, in order: only the first if the user named a method.

    `chosen`: the composite to begin with, where it was chosen for this model.
    """
    first = settled(configuration)
    if not is_free(configuration):
        return (first,)
    names = [chosen] * bool(chosen) + [DEFAULT_COMPOSITE, *OTHER_COMPOSITES]
    by_rules = [dataclasses.replace(first, composite=name) for name in dict.fromkeys(names)]
    without = [dataclasses.replace(first, engine=name) for name in WITHOUT_RULES]
    return (*by_rules, *without)


def is_free(configuration: Configuration) -> bool:
    """Whether the user named neither engine nor canonizer nor composite."""
    named = (configuration.engine, configuration.canonizer, configuration.composite)
    return named == (AUTO, AUTO, AUTO)


def settled(configuration: Configuration) -> Configuration:
    """Return the configuration with a composite named: the usual one."""
    if configuration.composite != AUTO:
        return configuration
    return dataclasses.replace(configuration, composite=DEFAULT_COMPOSITE)


def suited(
    configuration: Configuration, loaded: LoadedModel, device: torch.device, x: Tensor
) -> Configuration:
    """Return the configuration with a composite that suits the model, without a choice by images.

    x (N, 3, H, W) is what the model is tried on. Whoever has a data set lets `choose_method` choose
    the most faithful composite.
    """
    if not is_free(configuration) or not transformer_parts(configuration, loaded, device, x):
        return settled(configuration)
    return dataclasses.replace(configuration, composite=DEFAULT_GAMMA)


def transformer_parts(
    configuration: Configuration, loaded: LoadedModel, device: torch.device, x: Tensor
) -> tuple[TransformerPart, ...]:
    """Return what the model has of a transformer; nothing where it cannot be run as it is."""
    with explain(configuration, loaded, device) as explainer, contextlib.suppress(RelevanceError):
        return explainer.transformer_parts(x)
    return ()


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
def viewing(
    configuration: Configuration, prepared: Prepared, layer: str, *, compared: bool = False
) -> Iterator[Viewer]:
    """Have the model looked through by the method that the configuration asks for.

    `compared` says that the outputs of its engine are known to be the model's own.
    """
    with explain(configuration, prepared.loaded, prepared.device) as explainer:
        explainer.forward.settle()
        if compared:
            explainer.take_as_compared()
        yield Viewer(
            explainer,
            prepared.preprocessing,
            prepared.device,
            layer,
            configuration.batch_size,
            prepared.loaded.shift,
        )


def looking(method: Examined, prepared: Prepared) -> contextlib.AbstractContextManager[Viewer]:
    """Have the model looked through by a method whose checks ran, now or earlier in the run."""
    compared = bool(len(method.known.rows))  # on the first image of them
    return viewing(method.configuration, prepared, method.layer, compared=compared)


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
    rows = _to_check(configuration, prepared)
    composite, chosen = _choose_composite(configuration, prepared, layer, observer, folder, turns)
    for attempt in methods(configuration, composite):
        try:
            examined = _examine(attempt, prepared, checks, layer, observer, folder, turns, rows)
        except RelevanceError as error:
            refusals.append(error)
            notes.append(f"{_name(attempt)} cannot be applied to this model: {error}")
        else:
            if examined.checked.trust is not Trust.UNUSABLE:
                tried = _tell(notes, attempt, observer)
                return dataclasses.replace(examined, notes=(*without, *chosen, *tried))
            failed.append(examined)
            notes.append(f"{_name(attempt)} fails on this model ({_failures(examined)})")
    if not failed:
        raise refusals[0]
    if len(notes) > 1:
        notes.append("no method of explanation holds on this model")
    tried = _tell(notes, failed[0].configuration, observer) if len(notes) > 1 else ()
    return dataclasses.replace(failed[0], notes=(*without, *chosen, *tried))


def _choose_composite(
    configuration: Configuration,
    prepared: Prepared,
    layer: str,
    observer: Observer,
    folder: Path,
    turns: Turns,
) -> tuple[str, tuple[str, ...]]:
    """Return the composite that suits a model like a transformer, and how it was chosen.

    "" for a model without parts of a transformer, or where the user named a method. In such models
    linear layers work on every position, with inputs of both signs, and which rule suits them
    differs from model to model. Every candidate is measured by the check `faithfulness` (see
    `faithful_enough`), on the same images and against the same random deletions. What it measured
    stays in a store: who resumes a run, or shares it, chooses the same. The images are other ones
    than those that the checks of the maps look at, where there are as many: what was chosen suits
    the images that chose it best, and would be judged too well by them.
    """
    loaded, device = prepared.loaded, prepared.device
    if not is_free(configuration):
        return "", ()
    parts = transformer_parts(configuration, loaded, device, first_input(prepared))
    if not parts:
        return "", ()
    # One random deletion is enough to compare: it is the same for all composites.
    faithful = Faithfulness(draws=1)
    found: dict[str, Array] = {}
    rows = _to_check(configuration, prepared)
    left = np.setdiff1d(np.arange(len(prepared.dataset.ids)), rows)
    apart = len(left) >= len(rows)
    if apart:
        few = sample(prepared.dataset.labels[left], configuration.check_images, configuration.seed)
        rows = left[np.flatnonzero(few)]
    for name in candidates(attention=TransformerPart.ATTENTION in parts):
        attempt = dataclasses.replace(configuration, composite=name)
        with contextlib.suppress(RelevanceError):
            known = _examine(
                attempt, prepared, (faithful,), layer, observer, folder, turns, rows
            ).known
            advantage = known.columns.get(f"{faithful.id}.advantage", np.zeros(0))
            if np.isfinite(advantage).any():
                found[name] = advantage
    if not found:
        return DEFAULT_GAMMA, ()
    taken, best = faithful_enough(found, configuration.seed)
    means = {name: float(np.nanmean(gains)) for name, gains in found.items()}
    others = ", ".join(f"{name} {gain:+.2f}" for name, gain in means.items() if name != best)
    images = int(np.isfinite(found[best]).sum())
    which = "" if taken == best else f" {taken} is taken: it was not shown to be less faithful."
    same = "" if apart else " The checks of the maps look at the same images, for want of others."
    note = (
        f"The model has {' and '.join(parts)}, as transformers have. Of {len(found)} composites, "
        f"{best} was the most faithful on {many(images, 'image')}: without what its maps mark the "
        f"logit falls by {means[best]:.2f} more than without as much elsewhere ({others}).{which}"
        f"{same}"
    )
    observer.note(f"note: {note}")
    return taken, (note,)


def faithful_enough(found: Mapping[str, Array], seed: int) -> tuple[str, str]:
    """Return the composite to take, and the one that was most faithful on average.

    found: composite -> how faithful it was on each image (n,), NaN where unknown, in the order in
    which they are preferred. Taken is the first one that is not shown to be less faithful than the
    best: the 95 % interval of the difference, image by image, does not lie above zero.
    """
    best = max(found, key=lambda name: float(np.nanmean(found[name])))
    for name, gains in found.items():
        behind = found[best] - gains
        behind = behind[np.isfinite(behind)]
        if name == best or (len(behind) and mean(behind, seed).low <= 0):
            return name, best
    raise AssertionError("the best one is among them")


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


def _to_check(configuration: Configuration, prepared: Prepared) -> NDArray[np.int64]:
    """Return the rows of the images on which the maps are checked."""
    labels, seed = prepared.dataset.labels, configuration.seed
    return np.flatnonzero(sample(labels, configuration.check_images, seed))


def _concept_layer(configuration: Configuration, prepared: Prepared) -> tuple[str, tuple[str, ...]]:
    """Return the concept layer, or "" for a model that has none; and a note on it."""
    if configuration.layer:
        heads = (
            "What is said of channels is said of the heads of attention of "
            f"{configuration.layer.removesuffix(HEADS)}: channel 0 is "
            "the first head. Evidence also passes beside them, through the skip connection.",
        )
        return configuration.layer, heads if has_heads(configuration.layer) else ()
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
    rows: NDArray[np.int64],
) -> Examined:
    """Run the checks of the maps on the images of some rows."""
    dataset = prepared.dataset
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
