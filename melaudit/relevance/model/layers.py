"""The layer whose channels are the concepts, and what its channels are.

A conditional map says what reaches the input *through* a channel. It is the whole truth only where
no path goes round the layer, as the skip of a residual block does round every layer inside it. So
the layer is looked for in the graph that one forward pass leaves behind: among the modules whose
output is a feature map with space left in it, those that every path from the input to the logits
passes; of these the last one.
"""

from __future__ import annotations

import difflib
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from melaudit.errors import NoConceptLayerError, RelevanceError
from melaudit.relevance.model.intact import remember_state
from melaudit.relevance.model.outputs import find_logits

Edge = tuple[object, int]
"""A tensor's place in the graph: the node that made it and which of the node's outputs it is."""


@dataclass(frozen=True)
class Seen:
    """The output of one call of one module."""

    name: str
    shape: tuple[int, ...]
    edge: Edge
    learned: bool
    """Whether the module, or one inside it, has parameters."""


def concept_layer(model: nn.Module, x: Tensor, num_classes: int | None = None) -> str:
    """Return the name of the layer whose channels are the model's concepts.

    It is the last module whose output is a feature map (N, C, h, w), h * w > 1, that every path
    from x (N, C, H, W) to the logits passes. Modules that hand on the same tensor count as one, and
    the outermost names it: `layer4`, not `layer4.2.relu`. A pooling that follows only coarsens the
    map, so the layer before it with the same channels is taken; maps with one channel per output
    are class maps, not concepts.

    Runs the model once on one image and leaves it as it was. Raises NoConceptLayerError when there
    is no such layer, as in transformers, whose features are tokens.
    """
    seen, logits, image = _watch(model, x[:1], num_classes)
    calls = Counter(s.name for s in seen)
    gates = _gates(logits, image)
    passed = [s for s in seen if calls[s.name] == 1 and s.edge in gates]
    after_weights = list(itertools.dropwhile(lambda s: not s.learned, passed))
    tokens = [i for i, s in enumerate(after_weights) if s.learned and _is_tokens(s)]
    maps = [s for s in after_weights[tokens[-1] if tokens else 0 :] if _is_map(s)]
    if tokens and not maps:
        seen_last = after_weights[tokens[-1]]
        raise NoConceptLayerError(
            f"the model's features are tokens {seen_last.shape} (at {seen_last.name}), not a map "
            "with channels; name a layer that gives (N, C, h, w) with --layer"
        )
    maps = [s for s in maps if s.shape[1] != logits.shape[1]] or maps
    if not maps:
        raise NoConceptLayerError(
            "no layer gives a feature map (N, C, h, w) that every path from the input to the "
            f"logits passes; name one with --layer, for instance {_examples(seen)}"
        )
    last = maps[-1]
    if not last.learned:
        same = [s for s in maps if s.learned and s.shape[1] == last.shape[1]]
        last = same[-1] if same else last
    return _outermost(last, maps)


def detail_layers(
    model: nn.Module, x: Tensor, sides: Sequence[int], num_classes: int | None = None
) -> dict[int, str]:
    """Return side -> the layer that tells details of a picture apart at so many places a side.

    For a side s it is the last module whose output is a feature map of s x s positions or more
    that every path from x (N, C, H, W) to the logits passes; where there is none, or an earlier
    side has it, nothing. Runs the model once on one image and leaves it as it was.
    """
    seen, logits, image = _watch(model, x[:1], num_classes)
    calls = Counter(s.name for s in seen)
    gates = _gates(logits, image)
    maps = [s for s in seen if calls[s.name] == 1 and s.edge in gates and _is_map(s)]
    named: dict[int, str] = {}
    for side in sides:
        fine = [s for s in maps if min(s.shape[2:]) >= side]
        if fine and (name := _outermost(fine[-1], fine)) not in named.values():
            named[side] = name
    return named


def channels(model: nn.Module, x: Tensor, layer: str, num_classes: int | None = None) -> int:
    """Return how many channels the layer has, by running the model on the first image of x."""
    find_layer(model, layer)
    seen, _, _ = _watch(model, x[:1], num_classes)
    shapes = [s.shape for s in seen if s.name == layer]
    if not shapes:
        raise RelevanceError(
            f"layer {layer} gave no differentiable tensor when the model ran; "
            f"name a layer the model uses, for instance {_examples(seen)}"
        )
    if len(shapes[-1]) not in (2, 4):
        raise _no_channels(layer, shapes[-1])
    return shapes[-1][1]


def find_layer(model: nn.Module, layer: str) -> nn.Module:
    """Return the module called `layer`; RelevanceError with the nearest names if there is none."""
    modules: dict[str, nn.Module] = {name: m for name, m in model.named_modules() if name}
    if layer in modules:
        return modules[layer]
    near = difflib.get_close_matches(layer, modules, 3, 0.5) or list(model._modules)[-3:]
    raise RelevanceError(f"the model has no layer {layer!r}; did you mean {' or '.join(near)}?")


def channel_sums(relevance: Tensor, layer: str) -> Tensor:
    """Sum the relevance of a layer over space: (N, C, h, w) or (N, C) -> (N, C)."""
    if relevance.ndim == 4:
        return relevance.sum((2, 3))
    if relevance.ndim == 2:
        return relevance
    raise _no_channels(layer, tuple(relevance.shape))


def _no_channels(layer: str, shape: tuple[int, ...]) -> RelevanceError:
    return RelevanceError(
        f"layer {layer} gives {shape}; concepts need channels: name a layer that gives (N, C, h, w)"
    )


def first_tensor(output: object) -> Tensor | None:
    """Return the tensor among a module's outputs that hooks act on: the output or its first part.

    None where there is none, or none that gradients reach.
    """
    while isinstance(output, tuple | list) and output:
        output = output[0]
    if isinstance(output, Tensor) and output.requires_grad:
        return output
    return None


def _outermost(one: Seen, among: Sequence[Seen]) -> str:
    """Return the outermost name of a tensor: `layer4`, not `layer4.2.relu`."""
    same_tensor = [s.name for s in among if s.edge == one.edge]
    return min(same_tensor, key=lambda name: name.count("."))


def _is_map(seen: Seen) -> bool:
    """Whether an output is (N, C, h, w) with space left."""
    return len(seen.shape) == 4 and seen.shape[2] * seen.shape[3] > 1 and not _is_tokens(seen)


def _is_tokens(seen: Seen) -> bool:
    """Whether an output is (N, T, D), or (N, h, w, D) as windowed transformers have it.

    A square map tells the two orders of axes apart.
    """
    if len(seen.shape) == 4:
        return seen.shape[1] == seen.shape[2] != seen.shape[3] and seen.shape[1] > 1
    return len(seen.shape) == 3 and seen.shape[1] > 1


def _watch(
    model: nn.Module, x: Tensor, num_classes: int | None
) -> tuple[list[Seen], Tensor, Tensor]:
    """Run the model once; return the modules' outputs as they came, the logits and the input."""
    seen: list[Seen] = []
    handles: list[RemovableHandle] = []
    for name, module in model.named_modules():
        if name:
            learned = next(module.parameters(), None) is not None
            handles.append(module.register_forward_hook(partial(_note, seen, name, learned)))
    restore = remember_state(model)
    try:
        model.eval()
        with torch.inference_mode(False), torch.enable_grad():
            image = x.detach().clone().requires_grad_()
            logits = find_logits(model(image), num_classes)
    finally:
        for handle in handles:
            handle.remove()
        restore()
    return seen, logits, image


def _note(
    seen: list[Seen], name: str, learned: bool, module: nn.Module, inputs: object, output: object
) -> None:
    """Note, as a forward hook, what a module gave.

    Its place in the graph is noted at once: an in-place operation later moves the tensor on.
    """
    tensor = first_tensor(output)
    if tensor is not None and tensor.grad_fn is not None:
        edge = (tensor.grad_fn, tensor.output_nr)
        seen.append(Seen(name, tuple(tensor.shape), edge, learned))


def _gates(logits: Tensor, image: Tensor) -> set[Edge]:
    """Return the places in the graph that every path from the logits to the image passes.

    A place is one when the paths that reach it times those that go on from it to the image are
    all the paths there are. The counts are exact (Python's integers), if long in dense networks.
    """
    root = logits.grad_fn
    order = _parents_first(root)
    onward: dict[object, int] = {}
    for node in reversed(order):
        is_image = getattr(node, "variable", None) is image
        onward[node] = is_image + sum(onward[n] for n, _ in _next(node))
    arriving: Counter[Edge] = Counter({(root, logits.output_nr): 1})
    reached: Counter[object] = Counter({root: 1})
    for node in order:
        for edge in _next(node):
            arriving[edge] += reached[node]
            reached[edge[0]] += reached[node]
    return {edge for edge, n in arriving.items() if 0 < n * onward[edge[0]] == onward[root]}


def _parents_first(root: object) -> list[object]:
    """Order the graph's nodes so that each comes before those it leads to."""
    done: dict[object, None] = {}
    entered: set[object] = set()
    stack: list[tuple[object, bool]] = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        if leaving:
            done[node] = None
        elif node not in entered:
            entered.add(node)
            stack.append((node, True))
            stack.extend((n, False) for n, _ in _next(node) if n not in entered)
    return list(reversed(done))


def _next(node: Any) -> list[Edge]:
    """Return the places a node leads to, towards the input."""
    return [] if node is None else [(n, i) for n, i in node.next_functions if n is not None]


def _examples(seen: list[Seen]) -> str:
    names = [s.name for s in seen if len(s.shape) == 4]
    return ", ".join(dict.fromkeys(names[-3:])) or "a convolution's"
