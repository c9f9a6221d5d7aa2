"""Before the pass: model, data and preprocessing, loaded and made to fit each other."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from melaudit.artifacts.interface import Artifact
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.domain_choice import USUAL, ChosenDomain, choose_domain
from melaudit.audit.prepare.labels import (
    is_multi_label,
    labels_apart,
    refuse_single_label_settings,
)
from melaudit.audit.prepare.model_outputs import (
    answers_of,
    first_inputs,
    operated,
    understood,
)
from melaudit.domains.interface import Domain
from melaudit.domains.registry import FALLBACK
from melaudit.errors import ConfigurationError, DatasetError
from melaudit.images.class_map import offer
from melaudit.images.contents import contents_of
from melaudit.images.dataset import Dataset, open_dataset
from melaudit.images.grey_depth import white_of
from melaudit.images.imagefile import Read, read_image
from melaudit.images.knowledge import Knowledge, gather
from melaudit.images.preprocessing import Preprocessing, resolve
from melaudit.models.architectures import LoadedModel, load_model
from melaudit.observer import Observer
from melaudit.relevance.layout import lay_out
from melaudit.relevance.model.layers import find_layer


@dataclass(frozen=True)
class Prepared:
    """Everything that is settled before the first image is read."""

    loaded: LoadedModel
    dataset: Dataset
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    """In the order of the model's outputs."""
    positive: int | None
    device: torch.device
    notes: tuple[str, ...]
    """What was assumed or noticed on the way, each a sentence for the reader."""
    knowledge: Knowledge = field(default_factory=Knowledge)
    """What the user knows of the images besides their labels."""
    domain: ChosenDomain = USUAL
    """What kind of pictures these are."""
    label: str = ""
    """Which label of a multi-label model is audited; "" for any other model."""
    read: Read = read_image
    """What decodes the few images that are looked at apart from the pass."""

    def introduce(self, observer: Observer) -> None:
        """Tell the user what was understood, before time is spent on it."""
        observer.note(f"model: {self.loaded.name} is {self.loaded.architecture}")
        observer.note(f"data: {self.dataset.describe()}")
        observer.note(f"domain: {self.domain.domain.title}. {self.domain.why}")
        observer.note(f"preprocessing: {self.preprocessing.describe()}")
        for note in (*self.loaded.doubts, *self.notes):
            observer.note(f"note: {note}")


def with_contents(everything: Sequence[Prepared], observer: Observer) -> tuple[Prepared, ...]:
    """Note what every file holds, so that a change of any is noticed; all have the same files."""
    paths = everything[0].dataset.paths
    observer.stage("Reading the files", len(paths))
    contents = contents_of(paths, observer.advance)
    return tuple(
        replace(prepared, dataset=replace(prepared.dataset, contents=contents))
        for prepared in everything
    )


def choose_device(name: str) -> torch.device:
    """Return the device named, or for "auto" the first GPU, else the CPU.

    Raises ConfigurationError for a device that is not known or not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"device {name!r} cannot be used: {reason}") from error
    return device


def load(
    configuration: Configuration, model: LoadedModel | None = None
) -> tuple[LoadedModel, Preprocessing, torch.device]:
    """Return the model (loaded unless one is given), its preprocessing, and where to run it.

    Raises CheckpointError, PreprocessingError, ConfigurationError, or RelevanceError for a concept
    layer that the model does not have.
    """
    device = choose_device(configuration.device)
    loaded = model or load_model(
        configuration.model,
        arch=configuration.arch,
        factory=configuration.factory,
        image_size=configuration.image_size,
    )
    if model is None:  # it is nobody else's
        lay_out(loaded.model, device)
    if configuration.layer is not None:
        find_layer(loaded.model, configuration.layer)
    preprocessing = resolve(
        loaded.preset,
        image_size=configuration.image_size,
        mean=configuration.mean,
        std=configuration.std,
        crop=configuration.crop,
        bound_size=loaded.input_size,
        spec=configuration.preprocess,
        channels=loaded.channels,
        resize=configuration.resize,
        pad=configuration.pad,
    )
    return loaded, preprocessing, device


def prepare(
    configuration: Configuration, model: LoadedModel | None = None, read: Read = read_image
) -> Prepared:
    """Load the model (unless one is given) and the data, and make classes and pictures fit.

    The first images are decoded by `read`. Of a multi-label model, the first label is taken. Raises
    CheckpointError, DatasetError, PreprocessingError or ConfigurationError.
    """
    return prepare_each(configuration, model, read)[0]


def prepare_each(
    configuration: Configuration, model: LoadedModel | None = None, read: Read = read_image
) -> tuple[Prepared, ...]:
    """Return what `prepare` does: one, or for a multi-label model one for each of its labels.

    Raises as `prepare`.
    """
    loaded, preprocessing, device = load(configuration, model)
    dataset = open_dataset(
        configuration.data,
        classes=configuration.classes,
        image_root=configuration.image_root,
        image_column=configuration.image_column,
        label_column=configuration.label_column,
        class_map=configuration.class_map,
        task=configuration.task,
    )
    white, said = white_of(dataset.paths, read, configuration.white)
    preprocessing = replace(preprocessing, white=white, warnings=(*preprocessing.warnings, *said))
    read = functools.partial(read, white=white)
    chosen = choose_domain(configuration.domain, dataset.paths, read)
    head = configuration.output if len(loaded.returned) > 1 else None
    loaded = loaded.with_output(head, len(dataset.classes) or len(dataset.marks) or None)
    # Before anything else is made of the model: whether it is what everything else takes it for.
    x = first_inputs(dataset.paths, preprocessing, read).to(device)
    loaded.model.to(device)
    parts: Sequence[tuple[str, LoadedModel, Dataset]] = [("", loaded, dataset)]
    answers = answers_of(loaded, x)
    one_class = bool((dataset.labels >= 0).any())
    marked = len(dataset.marks)
    if is_multi_label(configuration.task, answers, loaded.outputs, marked, one_class):
        refuse_single_label_settings(configuration)
        wanted = None if head else configuration.output
        if wanted is None:  # several labels have the same images
            dataset = _drawn(dataset, configuration)
        parts = labels_apart(loaded, dataset, configuration.classes, wanted)
    elif configuration.output is not None and head is None:
        loaded.with_output(configuration.output, None)  # says that there is no choice
    prepared = Prepared(
        loaded, dataset, preprocessing, (), None, device, (), domain=chosen, read=read
    )
    return tuple(
        _answered(replace(prepared, loaded=part, dataset=data, label=label), configuration, x)
        for label, part, data in parts
    )


def _drawn(dataset: Dataset, configuration: Configuration) -> Dataset:
    """Return as many images as the user wants, or all."""
    limit = configuration.limit
    return dataset if limit is None else dataset.with_limit(limit, configuration.seed)


def _answered(prepared: Prepared, configuration: Configuration, x: Tensor) -> Prepared:
    """Make the classes fit, and understand the outputs on the first images x (N, C, H, W)."""
    loaded, dataset = prepared.loaded, _drawn(prepared.dataset, configuration)
    classes = fit_classes(loaded, dataset, configuration.positive)
    named = classes[1] if prepared.label else configuration.positive
    positive, assumed = choose_positive(classes, named, prepared.domain.domain)
    loaded = understood(loaded, x, configuration.outputs)
    loaded = operated(loaded, configuration.threshold, positive, classes)
    warnings = prepared.preprocessing.warnings
    return replace(
        prepared,
        loaded=loaded,
        dataset=dataset,
        classes=classes,
        positive=positive,
        notes=(*loaded.notes, *dataset.notes, *warnings, *assumed),
    )


def informed(
    prepared: Prepared, configuration: Configuration, artifacts: Sequence[Artifact]
) -> Prepared:
    """Add what the user knows of the images; it replaces what the finders of `artifacts` see.

    Raises DatasetError for a table or folder that cannot be understood.
    """
    knowledge = gather(
        prepared.dataset.ids,
        [artifact.id for artifact in artifacts],
        object_masks=configuration.object_masks,
        artifact_labels=configuration.artifact_labels,
        artifact_masks=configuration.artifact_masks,
    )
    return replace(prepared, knowledge=knowledge, notes=(*prepared.notes, *knowledge.notes))


def fit_classes(
    loaded: LoadedModel, dataset: Dataset, positive: str | None = None
) -> tuple[str, ...]:
    """Return one name per output of the model.

    Raises DatasetError when the data's classes are not as many as the model's.
    """
    if not dataset.classes:  # no labels: only the model can tell
        return loaded.class_names or tuple(f"class {i}" for i in range(loaded.num_classes))
    if len(dataset.classes) == loaded.num_classes:
        return dataset.classes
    said = (
        f"the model tells {loaded.num_classes} classes apart but the data has "
        f"{len(dataset.classes)} ({', '.join(dataset.classes[:12])}"
        f"{' ...' if len(dataset.classes) > 12 else ''})"
    )
    if len(loaded.returned) > 1:
        said += f"; its outputs are {', '.join(map(str, loaded.returned))} (--output NAME)"
    if len(dataset.classes) < loaded.num_classes:
        raise DatasetError(
            f"{said}; pass --classes with one name per output of the model, in their order; names "
            "without images are allowed"
        )
    if loaded.num_classes == 2:
        option = offer(dataset.classes, loaded.class_names, positive)
        raise DatasetError(
            f"{said}; say which of them make up each class of the model, for example {option} "
            "(NAME= leaves the images of a label out)"
        )
    raise DatasetError(
        f"{said}; join or leave out labels with --class-map {dataset.classes[0]}=CLASS,... (NAME= "
        "leaves the images of a label out), or name another column with --label-column"
    )


def choose_positive(
    classes: tuple[str, ...], name: str | None, domain: Domain = FALLBACK
) -> tuple[int | None, tuple[str, ...]]:
    """Return the index of the class that matters, and a note when it was recognised by name.

    A domain knows the names; "1" means it in every field, where two classes are numbered.
    """
    if name is not None:
        if name not in classes:
            raise ConfigurationError(
                f"positive class {name!r} is not among the classes {', '.join(classes)}"
            )
        return classes.index(name), ()
    for known in (*domain.positive, "1"):
        if known == "1" and len(classes) > 2:  # a number among others, not the one that matters
            continue
        for index, candidate in enumerate(classes):
            if candidate.casefold() == known:
                note = f"The class that matters is taken to be {candidate!r}; --positive says so."
                return index, (note,)
    return None, ()
