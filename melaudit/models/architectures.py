"""Load a checkpoint into a model that runs, with no information but the file."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from melaudit.errors import CheckpointError, PreprocessingError
from melaudit.images.presets import Preset, preset_from_config
from melaudit.models.checkpoint import Weights, read_weights
from melaudit.models.confined import Answer, confined
from melaudit.models.dry_run import GREY, RGB, attempt, dry_run
from melaudit.models.factories import build_from_factory
from melaudit.models.fences import Limits
from melaudit.models.fitting import Fit, compare, install, load_into, take_grey
from melaudit.models.head_stack import described_stack
from melaudit.models.libraries.hugging_face import (
    FolderError,
    HuggingFace,
    is_hugging_face,
    quiet,
    refuse_code,
)
from melaudit.models.messages import first_line
from melaudit.models.output_choice import ModelOutput, choose_output, returning_only
from melaudit.models.recognition import Match, Naming, recognise, shapes_of
from melaudit.models.state_dicts import prefixes
from melaudit.models.training_states import without_states
from melaudit.wording.names import visible

_MEMORY_TO_BUILD = 4 * 2**30
_SECONDS_TO_BUILD = 60
"""To build a model as a config asks, beside its weights. Chosen: ViT-Base takes 2 seconds."""


_PLACEHOLDER = re.compile(r"LABEL_\d+")
"""What transformers calls classes that nobody named."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model that is ready to be audited, and what is known about it."""

    model: nn.Module
    """float32, on the CPU, in eval mode."""
    name: str
    """The checkpoint's file name, safe to show."""
    architecture: str
    """"torchvision resnet50", "timm vit_tiny_patch16_224", "factory module:function"."""
    outputs: int
    """Number of logits; a single logit is for class 1 of two."""
    input_size: int | None
    """The only side of images that the architecture accepts, in pixels; None if any will do."""
    preset: Preset | None
    """The preprocessing that came with the weights, if there was one."""
    class_names: tuple[str, ...] | None
    """In the order of the outputs; None if they did not come with the weights."""
    sha256: str
    """Of the file as it was loaded."""
    notes: tuple[str, ...] = ()
    """What was assumed or noticed, one sentence each for the reader."""
    channels: int = RGB
    """Of the images: 3 (RGB) or 1 (grey)."""
    returned: tuple[ModelOutput, ...] = ()
    """Everything the model returns that could be its logits; empty if there is no choice."""
    shift: tuple[float, ...] = ()
    """What the user's threshold subtracts from each of the logits; () for none."""
    meaning: str = "logits"
    """What the outputs are and how they decide, in a few words."""
    doubts: tuple[str, ...] = ()
    """Why what the outputs are may have been mistaken, so that no verdict can be given."""

    @property
    def num_classes(self) -> int:
        """Number of classes that the outputs distinguish."""
        return max(self.outputs, 2)

    def with_output(self, wanted: str | None, classes: int | None) -> LoadedModel:
        """Return the model reduced to one of its outputs, as `choose_output` chooses it.

        The module itself is changed. Raises CheckpointError if there is no such output.
        """
        chosen, notes = choose_output(self.returned, wanted, classes)
        if chosen is None:
            return self
        returning_only(self.model, chosen)
        return replace(self, outputs=chosen.width, notes=(*self.notes, *notes))


def load_model(
    path: Path,
    *,
    arch: str | None = None,
    factory: str | None = None,
    image_size: int | None = None,
) -> LoadedModel:
    """Load a checkpoint into the architecture that it belongs to; every weight must fit.

    `arch` names a classifier of torchvision ("resnet50") or timm ("timm:vit_tiny_patch16_224").
    `factory` names a user's function ("module:function", "path/to/file.py:function") that builds
    the model. Without either, the architecture is that of the folder's config, or the one whose
    names and shapes equal those of the weights. `image_size` is a side in pixels to try the model
    of a factory with. Nothing is downloaded, and no code in the
    checkpoint is run.

    Raises CheckpointError if the file cannot be read safely, or fits no architecture.
    """
    if arch and factory:
        raise CheckpointError(
            f"--arch {arch} and --factory {factory} were both given; expected one of them"
        )
    weights = read_weights(path)
    if factory:
        return _from_factory(path, weights, factory, image_size)
    if not arch and is_hugging_face(weights.config):
        return _from_hugging_face(path, weights, image_size)
    weights = without_states(weights)
    return _build(path, weights, *recognise(path, weights, arch))


def from_module(module: nn.Module, image_size: int | None = None) -> LoadedModel:
    """Describe a module in memory; a copy of it is audited, and the module stays unchanged.

    `image_size` is a side in pixels to try it with. Raises CheckpointError if it cannot be copied,
    or returns no logits.
    """
    try:
        model = copy.deepcopy(module).to("cpu", torch.float32).eval()
    except Exception as error:  # copying a user's module can fail in any way
        raise CheckpointError(
            f"the module cannot be copied ({type(error).__name__}: {first_line(error)}); expected "
            "a torch.nn.Module whose tensors are parameters or buffers: save its state_dict and "
            "give --factory"
        ) from error
    ran = dry_run(model, image_size)
    cls = type(module)
    return LoadedModel(
        model=model,
        name=visible(cls.__name__),
        architecture=f"module {visible(cls.__module__)}.{visible(cls.__qualname__)}",
        outputs=ran.outputs,
        input_size=ran.input_size,
        preset=None,
        class_names=None,
        sha256=_digest(module.state_dict()),
        notes=ran.notes,
        channels=ran.channels,
        returned=ran.returned,
    )


def _build(path: Path, weights: Weights, match: Match, notes: tuple[str, ...]) -> LoadedModel:
    builder, found = match.builder, match.fit
    if found.head is None:
        raise CheckpointError(
            f"{visible(str(path))} is a {builder} without a layer that classifies; expected the "
            "weights of a trained classifier, not of a feature extractor"
        )
    model = builder.build(found.head.outputs)
    if found.replaced:
        install(model, found.head)
    if found.grey:
        take_grey(model, found.grey)
        notes += ("The first layer takes images of one channel: they are turned into grey.",)
    tensors = match.naming(weights.tensors)
    tensors = {key: tensors[key] for key in tensors if key not in found.auxiliary}
    notes += load_into(model, tensors)
    side = builder.bound_size()
    if found.replaced:
        notes += (_try_head(model, path, match, side),)
    notes = (*match.naming.notes(), *notes, *builder.notes(), *_auxiliary_note(found))
    loaded = _described(path, weights, model, str(builder), found.head.outputs, side, notes)
    return replace(loaded, channels=GREY if found.grey else RGB)


def _from_hugging_face(path: Path, weights: Weights, image_size: int | None) -> LoadedModel:
    try:
        folder = HuggingFace(weights.config)
        with quiet():
            # Settings come from the file, and could ask for a model without end.
            confined(partial(_tried, folder, weights, path), visible(str(path)), _limits(weights))
            model = folder.build(weights.tensors)
    except FolderError as error:
        raise CheckpointError(f"{visible(str(path))} {error}") from error
    ran = dry_run(model, image_size or folder.side)
    loaded = _described(path, weights, model, str(folder), ran.outputs, ran.input_size, ran.notes)
    return replace(loaded, channels=ran.channels, returned=ran.returned)


def _tried(folder: HuggingFace, weights: Weights, path: Path) -> Answer:
    try:
        return {}, {"tensors": len(folder.build(weights.tensors).state_dict())}
    except FolderError as error:
        raise CheckpointError(f"{visible(str(path))} {error}") from error


def _limits(weights: Weights) -> Limits:
    """Return what it may take to give weights to a model that a config describes."""
    size = sum(t.numel() * t.element_size() for t in weights.tensors.values())
    return Limits(4 * size + _MEMORY_TO_BUILD, _SECONDS_TO_BUILD)


def _from_factory(path: Path, weights: Weights, spec: str, image_size: int | None) -> LoadedModel:
    model = build_from_factory(spec).to("cpu", torch.float32).eval()
    expected = shapes_of(model.state_dict())
    tried = [
        (some, Naming(prefix), compare(Naming(prefix)(shapes_of(some.tensors)), expected))
        for some in (weights, without_states(weights))  # the model may have such states itself
        for prefix in prefixes(some.tensors)
    ]
    weights, naming, found = max(tried, key=lambda each: (each[2].fits, each[2].likeness))
    if not found.fits:
        raise CheckpointError(
            f"{visible(str(path))} does not fit the model of --factory {visible(spec)}: "
            f"{found.differences()}"
        )
    notes = load_into(model, naming(weights.tensors))
    ran = dry_run(model, image_size)
    notes = (*naming.notes(), *notes, *ran.notes)
    architecture = f"factory {visible(_shareable(spec))}"
    loaded = _described(path, weights, model, architecture, ran.outputs, ran.input_size, notes)
    return replace(loaded, channels=ran.channels, returned=ran.returned)


def _described(
    path: Path,
    weights: Weights,
    model: nn.Module,
    architecture: str,
    outputs: int,
    side: int | None,
    notes: tuple[str, ...],
) -> LoadedModel:
    """Add what the checkpoint says about itself to a model that its weights were loaded into."""
    names, name_notes = _class_names(weights.config, max(outputs, 2))
    preset, preset_notes = _preset(weights, path)
    return LoadedModel(
        model=model,
        name=visible(path.name),
        architecture=architecture,
        outputs=outputs,
        input_size=side,
        preset=preset,
        class_names=names,
        sha256=weights.sha256,
        notes=(
            *weights.notes,
            *notes,
            *_dead_head(model, outputs),
            *name_notes,
            *preset_notes,
        ),
    )


def _try_head(model: nn.Module, path: Path, match: Match, side: int | None) -> str:
    """Run a model whose head was rebuilt from its names; return a note on what was assumed."""
    head = match.fit.head
    assert head is not None
    channels = GREY if match.fit.grey else RGB
    if attempt(model, side or 224, channels).outputs != head.outputs:
        raise CheckpointError(
            f"{visible(str(path))} is a {match.builder} whose {head.place} was replaced by "
            "something that cannot be rebuilt from its names alone; give --factory "
            "FILE.py:FUNCTION, the function that builds your model"
        )
    if head.layers:
        return (
            f"The head ({head.place}) is not the architecture's own: it was taken to be "
            f"{described_stack(head.layers)}. Weights do not tell activations: if it has others "
            "than ReLU, give --factory."
        )
    return (
        f"The head ({head.place}) is not the architecture's own: it was taken to be one linear "
        "layer, with nothing beside it but layers that do nothing after training, such as Dropout."
    )


def _preset(weights: Weights, path: Path) -> tuple[Preset | None, tuple[str, ...]]:
    """Return the preprocessing that a folder declares; None and a note if it is not usable."""
    for config, name in (
        (weights.preprocessor, "preprocessor_config.json"),
        (weights.config, "config.json"),
    ):
        if not ({"image_mean", "do_normalize", "input_size", "pretrained_cfg"} & set(config)):
            continue
        try:
            refuse_code(config, name)
            return preset_from_config(config, f"{name} of {visible(path.name)}"), ()
        except (PreprocessingError, FolderError) as error:
            return None, (f"The preprocessing that came with the weights was not used: {error}.",)
    return None, ()


def _class_names(
    config: Mapping[str, Any], classes: int
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return the class names in a folder's config, or None and a note if they do not fit."""
    inner = config.get("pretrained_cfg")
    inner = inner if isinstance(inner, Mapping) else {}
    found = config.get("id2label") or config.get("label_names") or inner.get("label_names")
    if not found:
        return None, ()
    if isinstance(found, Mapping) and all(_PLACEHOLDER.fullmatch(str(v)) for v in found.values()):
        return None, ()
    if isinstance(found, Mapping):
        by_place = {str(place): str(name) for place, name in found.items()}
        names = [by_place.get(str(place), "") for place in range(len(by_place))]
    else:
        names = [str(name) for name in found] if isinstance(found, list) else []
    if len(names) != classes or not all(names) or len(set(names)) < len(names):
        return None, (
            f"The {len(names)} class names that came with the weights do not fit their {classes} "
            "classes and were not used.",
        )
    return tuple(map(visible, names)), ()


def _dead_head(model: nn.Module, outputs: int) -> tuple[str, ...]:
    heads = [
        module.weight
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and len(module.weight) == outputs
    ]
    if not heads or heads[-1].count_nonzero():
        return ()
    return ("The weights of the last layer are all zero: the model says the same of any image.",)


def _auxiliary_note(found: Fit) -> tuple[str, ...]:
    if not found.auxiliary:
        return ()
    return ("The auxiliary heads, which only training uses, were left out.",)


def _shareable(spec: str) -> str:
    """Remove the folders from the file of a factory, because a report must be safe to share."""
    source, colon, name = spec.rpartition(":")
    return f"{Path(source).name if source.endswith('.py') else source}{colon}{name}"


def _digest(state: Mapping[str, Any]) -> str:
    """Return the sha256 of the names, types, shapes and numbers of a state_dict."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key]
        if isinstance(value, Tensor):
            plain = value.detach().cpu().contiguous()
            digest.update(f"{key} {plain.dtype} {tuple(plain.shape)}\n".encode())
            digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
