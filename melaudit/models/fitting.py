"""Fitting: does a set of weights belong to an architecture, name by name and shape by shape?"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from melaudit.models.builders import Builder, Shapes
from melaudit.models.weightless import PROBE
from melaudit.wording.names import visible

_AUXILIARY = re.compile(r"(AuxLogits|aux1|aux2)\.")
_HAVE_AUXILIARY = ("googlenet", "inception_v3")
_COUNTER = "num_batches_tracked"
_SHOWN = 3


@dataclass(frozen=True)
class Head:
    """The last layer, as the weights have it."""

    place: str
    """The module that it takes the place of: "fc", "classifier.1", "classifier"."""
    inner: str
    """The names from there to the linear layer: "" if it stands in that place itself, "1"."""
    outputs: int
    bias: bool


@dataclass(frozen=True)
class Fit:
    """How weights and an architecture compare; it fits if nothing is left over or lacking."""

    missing: tuple[str, ...]
    """Names that the architecture has and the weights lack."""
    unexpected: tuple[str, ...]
    """Names that the weights have and the architecture lacks."""
    misshapen: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    """Names with the shape that the weights have and the one that the architecture expects."""
    agreeing: int
    """How many names and shapes agree."""
    head: Head | None = None
    replaced: bool = False
    """Whether the head is not the architecture's own."""
    auxiliary: tuple[str, ...] = ()
    """Names of heads used in training only, which are left out."""

    @property
    def fits(self) -> bool:
        """Whether the weights can be loaded as they are, but for the counters of batches."""
        return not (self.unexpected or self.misshapen or self.needed)

    @property
    def needed(self) -> tuple[str, ...]:
        """The missing names that matter: counters of batches play no role after training."""
        return tuple(key for key in self.missing if not key.endswith(_COUNTER))

    @property
    def likeness(self) -> float:
        """The share of all names that agree, 0 to 1."""
        differing = len(self.missing) + len(self.unexpected) + len(self.misshapen)
        return self.agreeing / max(self.agreeing + differing, 1)

    @property
    def channels(self) -> int | None:
        """How many channels the images have if that, and nothing else, is why it does not fit."""
        if self.needed or self.unexpected or len(self.misshapen) != 1:
            return None
        _, found, expected = self.misshapen[0]
        same = (
            len(found) == 4 == len(expected)
            and found[:1] + found[2:] == expected[:1] + expected[2:]
        )
        return found[1] if same and expected[1] == 3 else None

    def differences(self) -> str:
        """List what does not fit: the first few names of each kind, and how many there are."""
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
    """Compare names and shapes, those that the weights have with those expected."""
    both = [key for key in expected if key in found]
    misshapen = [(key, found[key], expected[key]) for key in both if found[key] != expected[key]]
    return Fit(
        missing=tuple(key for key in expected if key not in found),
        unexpected=tuple(key for key in found if key not in expected),
        misshapen=tuple(misshapen),
        agreeing=len(both) - len(misshapen),
    )


def fit(builder: Builder, found: Shapes) -> Fit:
    """Compare weights with a named architecture, of which only the number of classes is free.

    Its head may have been replaced by one linear layer, bare or in a Sequential with layers that
    hold no weights, in the head's own place or in that of the module that holds it.
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
    """Yield what to expect: with the architecture's own head, then with others in its place."""
    own = next((found[f"{h}.weight"][0] for h in heads if found.get(f"{h}.weight")), None)
    head = None
    if heads and own is not None:
        head = Head(heads[0], "", own, f"{heads[0]}.bias" in shapes)
    yield _with_classes(shapes, own or PROBE), head, False
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
        key: (outputs, *shape[1:]) if shape[:1] == (PROBE,) else shape
        for key, shape in shapes.items()
    }


def _input_width(shapes: Shapes, place: str) -> int | None:
    """Return how many features the first layer with weights in a place takes."""
    for key, shape in shapes.items():
        if key.startswith(f"{place}.") and key.endswith(".weight") and len(shape) == 2:
            return shape[1]
    return None


def install(model: nn.Module, head: Head) -> None:
    """Put a linear layer into the head's place, in as many Sequentials as its name asks for."""
    owner, _, name = head.place.rpartition(".")
    old = model.get_submodule(head.place)
    first = next(m for m in old.modules() if isinstance(m, nn.Linear))
    new: nn.Module = nn.Linear(first.in_features, head.outputs, bias=head.bias)
    for part in reversed(head.inner.split(".") if head.inner else []):
        if part.isdecimal():  # what stood before it holds no weights: a Dropout, or nothing
            new = nn.Sequential(*(nn.Identity() for _ in range(int(part))), new)
        else:
            new = nn.Sequential(OrderedDict([(part, new)]))
    setattr(model.get_submodule(owner), name, new.eval())


def load_into(model: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Give a model its weights, which must fit, and return notes."""
    own = model.state_dict()
    lacking = [key for key in own if key not in tensors]
    assert all(key.endswith(_COUNTER) for key in lacking)
    zeros = {key: torch.zeros(own[key].shape, dtype=own[key].dtype) for key in lacking}
    # What was built without weights has nothing to copy them into.
    weightless = any(tensor.is_meta for tensor in own.values())
    state = OrderedDict({**tensors, **zeros})
    # Shapes that fit are of the present version, and some models insist on being told it.
    vars(state)["_metadata"] = getattr(own, "_metadata", None)
    model.load_state_dict(state, strict=True, assign=weightless)
    if lacking:
        return (f"The counters of batches ({_COUNTER}) are missing, which changes nothing.",)
    return ()


def _first(names: tuple[str, ...], separator: str = ", ") -> str:
    shown = separator.join(visible(name)[:100] for name in names[:_SHOWN])
    return shown + (f"{separator}..." if len(names) > _SHOWN else "")
