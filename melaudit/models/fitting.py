"""Fitting: compare weights with an architecture, name by name and shape by shape."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from melaudit.models.builders import Builder
from melaudit.models.head_stack import HeadLayer, stack, stacked_layers
from melaudit.models.libraries.interface import Shapes
from melaudit.models.training_states import is_training_state
from melaudit.models.weightless import PLACEHOLDER_CLASSES
from melaudit.wording.names import visible

_AUXILIARY = re.compile(r"(AuxLogits|aux1|aux2)\.")
_HAVE_AUXILIARY = ("googlenet", "inception_v3")
_COUNTER = "num_batches_tracked"
_MAX_SHOWN = 3


@dataclass(frozen=True)
class Head:
    """The last layer, as it is in the weights."""

    place: str
    """The module that it replaces: "fc", "classifier.1", "classifier"."""
    inner: str
    """The names from there to the linear layer: "1", or "" if the place itself is that layer."""
    outputs: int
    bias: bool
    layers: tuple[HeadLayer, ...] = ()
    """The layers with weights, if there are several; then `inner` is ""."""


@dataclass(frozen=True)
class Fit:
    """How weights compare with an architecture; they fit if nothing is left over or missing."""

    missing: tuple[str, ...]
    """Names that the architecture has and the weights do not."""
    unexpected: tuple[str, ...]
    """Names that the weights have and the architecture does not."""
    misshapen: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    """Names, each with the shape in the weights and the shape that the architecture expects."""
    agreeing: int
    """Number of names whose shapes agree."""
    head: Head | None = None
    replaced: bool = False
    """Whether the head is another one than the architecture's own."""
    auxiliary: tuple[str, ...] = ()
    """Names of heads that only training uses; they are left out."""

    @property
    def fits(self) -> bool:
        """Whether the weights can be loaded, except for the counters of batches."""
        differing = () if self.grey else self.misshapen
        return not (self.unexpected or differing or self.needed)

    @property
    def grey(self) -> str:
        """The name of the first layer's weight if it takes one channel in place of three; or ""."""
        return self.misshapen[0][0] if self.channels == 1 else ""

    @property
    def needed(self) -> tuple[str, ...]:
        """The missing names that matter: not counters of batches, nor states of the training."""
        return tuple(key for key in self.missing if not _does_not_matter(key))

    @property
    def likeness(self) -> float:
        """Share of all names that agree, 0 to 1."""
        differing = len(self.missing) + len(self.unexpected) + len(self.misshapen)
        return self.agreeing / max(self.agreeing + differing, 1)

    @property
    def channels(self) -> int | None:
        """Channels of the images that the weights are for, if only that does not fit; else None."""
        if self.needed or self.unexpected or len(self.misshapen) != 1:
            return None
        _, found, expected = self.misshapen[0]
        same = (
            len(found) == 4 == len(expected)
            and found[:1] + found[2:] == expected[:1] + expected[2:]
        )
        return found[1] if same and expected[1] == 3 else None

    def differences(self) -> str:
        """Describe what does not fit: the first few names of each kind, and how many there are."""
        parts = []
        if self.needed:
            parts.append(f"{len(self.needed)} tensors are missing ({_first(self.needed)})")
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} are unexpected ({_first(self.unexpected)})")
        if self.misshapen:
            each = [f"{key} is {got}, expected {want}" for key, got, want in self.misshapen]
            parts.append(f"{len(each)} have another shape ({_first(tuple(each), '; ')})")
        return ", ".join(parts)


def compare(found: Shapes, expected: Shapes) -> Fit:
    """Compare the names and shapes in the weights with those expected."""
    both = [key for key in expected if key in found]
    misshapen = [(key, found[key], expected[key]) for key in both if found[key] != expected[key]]
    return Fit(
        missing=tuple(key for key in expected if key not in found),
        unexpected=tuple(key for key in found if key not in expected),
        misshapen=tuple(misshapen),
        agreeing=len(both) - len(misshapen),
    )


def fit(builder: Builder, found: Shapes) -> Fit:
    """Compare weights with a named architecture, whose number of classes is free.

    The head may have been replaced by one linear layer, alone or in a Sequential with layers
    without weights, in the place of the head or of the module that holds it.
    """
    auxiliary: tuple[str, ...] = ()
    if builder.name in _HAVE_AUXILIARY:
        auxiliary = tuple(key for key in found if _AUXILIARY.match(key))
        found = {key: shape for key, shape in found.items() if key not in auxiliary}
    signature = builder.signature()
    best: Fit | None = None
    for expected, head, replaced in _variants(signature.shapes, signature.heads, found):
        candidate = compare(found, expected)
        if best is None or (candidate.fits, candidate.likeness) > (best.fits, best.likeness):
            best = Fit(
                candidate.missing,
                candidate.unexpected,
                candidate.misshapen,
                candidate.agreeing,
                head,
                replaced,
                auxiliary,
            )
    assert best is not None
    return best


def _variants(
    shapes: Shapes, heads: tuple[str, ...], found: Shapes
) -> Iterator[tuple[Shapes, Head | None, bool]]:
    """Yield the expected shapes with the architecture's own head, then with other heads."""
    own = next((found[f"{h}.weight"][0] for h in heads if found.get(f"{h}.weight")), None)
    head = None
    if heads and own is not None:
        head = Head(heads[0], "", own, f"{heads[0]}.bias" in shapes)
    yield _with_classes(shapes, own or PLACEHOLDER_CLASSES), head, False
    if len(heads) != 1:
        return
    parts = heads[0].split(".")
    for depth in range(len(parts), 0, -1):
        place = ".".join(parts[:depth])
        weights = [
            key
            for key, shape in found.items()
            if key.startswith(f"{place}.") and key.endswith(".weight") and len(shape) == 2
        ]
        width = _input_width(shapes, place)
        layers = stacked_layers(found, place) if len(weights) > 1 else ()
        if layers and layers[0].inputs == width:
            own_keys = {k: s for k, s in found.items() if k.startswith(f"{place}.")}
            rest = {k: s for k, s in shapes.items() if not k.startswith(f"{place}.")}
            last = layers[-1]
            yield {**rest, **own_keys}, Head(place, "", last.outputs, last.bias, layers), True
        if len(weights) != 1 or width is None:
            continue
        linear = weights[0].removesuffix(".weight")
        inner = linear.removeprefix(place).removeprefix(".")
        outputs, bias = found[weights[0]][0], f"{linear}.bias" in found
        rest = {key: s for key, s in shapes.items() if not key.startswith(f"{place}.")}
        added = {weights[0]: (outputs, width)} | ({f"{linear}.bias": (outputs,)} if bias else {})
        yield {**rest, **added}, Head(place, inner, outputs, bias), True


def _with_classes(shapes: Shapes, outputs: int) -> Shapes:
    return {
        key: (outputs, *shape[1:]) if shape[:1] == (PLACEHOLDER_CLASSES,) else shape
        for key, shape in shapes.items()
    }


def _input_width(shapes: Shapes, place: str) -> int | None:
    """Return the number of input features of the first layer with weights in a place."""
    for key, shape in shapes.items():
        if key.startswith(f"{place}.") and key.endswith(".weight") and len(shape) == 2:
            return shape[1]
    return None


def install(model: nn.Module, head: Head) -> None:
    """Put linear layers in the place of the head, inside the Sequentials that their names imply."""
    owner, _, name = head.place.rpartition(".")
    if head.layers:
        setattr(model.get_submodule(owner), name, stack(head.layers))
        return
    old = model.get_submodule(head.place)
    first = next(m for m in old.modules() if isinstance(m, nn.Linear))
    new: nn.Module = nn.Linear(first.in_features, head.outputs, bias=head.bias)
    for part in reversed(head.inner.split(".") if head.inner else []):
        if part.isdecimal():  # the layers before it have no weights, such as Dropout
            new = nn.Sequential(*(nn.Identity() for _ in range(int(part))), new)
        else:
            new = nn.Sequential(OrderedDict([(part, new)]))
    setattr(model.get_submodule(owner), name, new.eval())


def take_grey(model: nn.Module, weight: str) -> None:
    """Make the convolution of this weight take one channel in place of three."""
    layer = model.get_submodule(weight.removesuffix(".weight"))
    assert isinstance(layer, nn.Conv2d)
    layer.in_channels = 1
    layer.weight = nn.Parameter(torch.empty_like(layer.weight[:, :1]))


def load_into(model: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Load weights that fit into a model, and return notes."""
    own = model.state_dict()
    lacking = [key for key in own if key not in tensors]
    assert all(map(_does_not_matter, lacking))
    zeros = {
        key: torch.zeros(own[key].shape, dtype=own[key].dtype)
        if key.endswith(_COUNTER)
        else own[key]
        for key in lacking
    }
    # A model that was built without weights has no memory to copy them into.
    weightless = any(tensor.is_meta for tensor in own.values())
    state = OrderedDict({**tensors, **zeros})
    # Weights that fit are of the present version, and some models require its number.
    vars(state)["_metadata"] = getattr(own, "_metadata", None)
    model.load_state_dict(state, strict=True, assign=weightless)
    notes = []
    if any(key.endswith(_COUNTER) for key in lacking):
        notes.append(f"The counters of batches ({_COUNTER}) are missing, which changes nothing.")
    kept = tuple(key for key in lacking if not key.endswith(_COUNTER))
    if kept:
        notes.append(f"The weights lack {_first(kept)}; the model's own values were kept.")
    return tuple(notes)


def _does_not_matter(key: str) -> bool:
    return key.endswith(_COUNTER) or is_training_state(key)


def _first(names: tuple[str, ...], separator: str = ", ") -> str:
    shown = separator.join(visible(name)[:100] for name in names[:_MAX_SHOWN])
    return shown + (f"{separator}..." if len(names) > _MAX_SHOWN else "")
