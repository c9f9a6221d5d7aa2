"""The layer whose channels are the concepts, and how many channels a layer has.

A conditional map shows what reaches the input *through* a channel. It is the whole truth only if no
path goes round the layer, as the skip connection of a residual block goes round every layer inside
it. Therefore the layer is chosen in the graph of one forward pass: of the modules that give a
feature map with space left in it, those that every path from the input to the logits passes; and of
these the last one. Where features are tokens, it is the last one of which the logits depend on more
than one token: behind the last block of many transformers, only the class token is read.
"""

from __future__ import annotations

import difflib
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.utils.hooks import RemovableHandle

from melaudit.errors import NoConceptLayerError, RelevanceError
from melaudit.relevance.model.intact import remember_state
from melaudit.relevance.model.outputs import find_logits
from melaudit.relevance.model.tokens import channels_first, is_tokens

HEADS = ":heads"
"""Behind the name of a module with attention, it names its heads: a layer with one channel for each
of them. It is the output of the attention, before it is projected."""

Edge = tuple[Any, int]
"""A tensor's place in the graph: the node that made it, and which of the node's outputs it is."""


@dataclass(frozen=True)
class ModuleOutput:
    """The output of one call of one module."""

    name: str
    """The module's."""
    shape: tuple[int, ...]
    edge: Edge
    learned: bool
    """Whether the module, or one inside it, has parameters."""


def concept_layer(model: nn.Module, x: Tensor, num_classes: int | None = None) -> str:
    """Return the name of the layer whose channels are the model's concepts.

    It is the last module whose output is a feature map (N, C, h, w), h * w > 1, that every path
    from x (N, C, H, W) to the logits passes. Modules that return the same tensor count as one,
    under the outermost name: `layer4`, not `layer4.2.relu`. Pooling only coarsens a map, so the
    layer before it with the same channels is taken. Maps with one channel per output are class
    maps, not concepts. Tokens (N, T, D) or (N, h, w, D) count where no map follows them.

    Runs the model once on one image and leaves it as it was. Raises NoConceptLayerError when there
    is no such layer.
    """
    outputs, logits, image = _dry_run(model, x[:1], num_classes)
    passed = _on_every_path(outputs, logits, image)
    after_weights = list(itertools.dropwhile(lambda o: not o.learned, passed))
    tokens = [i for i, o in enumerate(after_weights) if o.learned and is_tokens(o.shape)]
    maps = [o for o in after_weights[tokens[-1] if tokens else 0 :] if _is_map(o)]
    if tokens and not maps:
        several = _read_at_several([after_weights[i] for i in tokens], logits)
        if several:
            return _outermost(several[-1], several)
        last_tokens = after_weights[tokens[-1]]
        raise NoConceptLayerError(
            f"the model's features are tokens {last_tokens.shape} (at {last_tokens.name}), and it "
            "reads one of them alone; name a layer before it mixes them with --layer"
        )
    maps = [o for o in maps if o.shape[1] != logits.shape[1]] or maps
    if not maps:
        raise NoConceptLayerError(
            "no layer gives a feature map (N, C, h, w) that every path from the input to the "
            f"logits passes; name one with --layer, for instance {_examples(outputs)}"
        )
    last = maps[-1]
    if not last.learned:
        same = [o for o in maps if o.learned and o.shape[1] == last.shape[1]]
        last = same[-1] if same else last
    return _outermost(last, maps)


def detail_layers(
    model: nn.Module, x: Tensor, sides: Sequence[int], num_classes: int | None = None
) -> dict[int, str]:
    """Return side -> the layer that tells details of an image apart at side x side positions.

    For a side s it is the last module whose output is a feature map of s x s positions or more
    that every path from x (N, C, H, W) to the logits passes. A side is left out where there is no
    such module, or where an earlier side has it. Runs the model once on one image and leaves it as
    it was.
    """
    passed = _on_every_path(*_dry_run(model, x[:1], num_classes))
    maps = [o for o in passed if _is_map(o)]
    named: dict[int, str] = {}
    for side in sides:
        fine = [o for o in maps if min(o.shape[2:]) >= side]
        if fine and (name := _outermost(fine[-1], fine)) not in named.values():
            named[side] = name
    return named


def channels(model: nn.Module, x: Tensor, layer: str, num_classes: int | None = None) -> int:
    """Return how many channels the layer has, by running the model on the first image of x.

    Raises RelevanceError for a layer that does not exist, does not run, or gives no channels.
    """
    find_layer(model, layer)
    outputs, _, _ = _dry_run(model, x[:1], num_classes)
    shapes = [o.shape for o in outputs if o.name == layer]
    if not shapes:
        raise RelevanceError(
            f"layer {layer} gave no differentiable tensor when the model ran; "
            f"name a layer the model uses, for instance {_examples(outputs)}"
        )
    if len(shapes[-1]) not in (2, 4) and not is_tokens(shapes[-1]):
        raise _no_channels(layer, shapes[-1])
    return shapes[-1][-1 if is_tokens(shapes[-1]) else 1]


def has_heads(layer: str) -> bool:
    """Whether a layer's channels are heads of attention: `blocks.3.attn:heads`."""
    return layer.endswith(HEADS)


def find_layer(model: nn.Module, layer: str) -> nn.Module:
    """Return the module called `layer`; RelevanceError with the nearest names if there is none.

    Heads of attention are no module's output: of `blocks.3.attn:heads` it is `blocks.3.attn`.
    """
    layer = layer.removesuffix(HEADS)
    modules: dict[str, nn.Module] = {name: m for name, m in model.named_modules() if name}
    if layer in modules:
        return modules[layer]
    near = difflib.get_close_matches(layer, modules, 3, 0.5) or list(model._modules)[-3:]
    raise RelevanceError(f"the model has no layer {layer!r}; did you mean {' or '.join(near)}?")


def channel_sums(relevance: Tensor, layer: str) -> Tensor:
    """Return the relevance of a layer summed over space, (N, C): of maps, tokens or (N, C).

    Raises RelevanceError for other shapes.
    """
    if relevance.ndim == 4 or is_tokens(relevance.shape):
        return channels_first(relevance).flatten(2).sum(2)
    if relevance.ndim == 2:
        return relevance
    raise _no_channels(layer, tuple(relevance.shape))


def _no_channels(layer: str, shape: tuple[int, ...]) -> RelevanceError:
    return RelevanceError(
        f"layer {layer} gives {shape}; concepts need channels: name a layer that gives "
        "(N, C, h, w) or tokens (N, T, D)"
    )


def first_tensor(output: object) -> Tensor | None:
    """Return the tensor of a module's output that hooks act on: itself, or its first item.

    None where there is none, or none that gradients reach.
    """
    while isinstance(output, tuple | list) and output:
        output = output[0]
    if isinstance(output, Tensor) and output.requires_grad:
        return output
    return None


def _outermost(one: ModuleOutput, among: Sequence[ModuleOutput]) -> str:
    """Return the outermost name of a tensor: `layer4`, not `layer4.2.relu`."""
    same_tensor = [o.name for o in among if o.edge == one.edge]
    return min(same_tensor, key=lambda name: name.count("."))


def _is_map(output: ModuleOutput) -> bool:
    """Whether an output is (N, C, h, w) with space left."""
    shape = output.shape
    return len(shape) == 4 and shape[2] * shape[3] > 1 and not is_tokens(shape)


def _read_at_several(outputs: Sequence[ModuleOutput], logits: Tensor) -> list[ModuleOutput]:
    """Return those outputs of which the logits depend on more than one token.

    What counts is whether there is a way, not a weight: a head may be zero before training. So NaN
    is sent back from the logits, and arrives, zero times NaN being NaN, wherever there is a way.
    """
    edges = [GradientEdge(*output.edge) for output in outputs]
    grad: Callable[..., tuple[Tensor | None, ...]] = torch.autograd.grad
    ways = torch.full_like(logits, torch.nan)
    found = grad([logits], edges, [ways], allow_unused=True)
    return [
        output
        for output, gradient in zip(outputs, found, strict=True)
        if gradient is not None and int(gradient.flatten(1, -2).isnan().any(-1).sum(1).max()) > 1
    ]


def _dry_run(
    model: nn.Module, x: Tensor, num_classes: int | None
) -> tuple[list[ModuleOutput], Tensor, Tensor]:
    """Run the model once; return the modules' outputs in their order, the logits and the input."""
    outputs: list[ModuleOutput] = []
    handles: list[RemovableHandle] = []
    for name, module in model.named_modules():
        if name:
            learned = next(module.parameters(), None) is not None
            handles.append(module.register_forward_hook(partial(_note, outputs, name, learned)))
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
    return outputs, logits, image


def _note(
    outputs: list[ModuleOutput],
    name: str,
    learned: bool,
    module: nn.Module,
    inputs: object,
    output: object,
) -> None:
    """Note, as a forward hook, what a module returned.

    Its place in the graph is noted at once: an in-place operation later moves the tensor on.
    """
    tensor = first_tensor(output)
    if tensor is not None and tensor.grad_fn is not None:
        edge = (tensor.grad_fn, tensor.output_nr)
        outputs.append(ModuleOutput(name, tuple(tensor.shape), edge, learned))


def _on_every_path(
    outputs: Sequence[ModuleOutput], logits: Tensor, image: Tensor
) -> list[ModuleOutput]:
    """Return the outputs that every path passes, of modules that ran once."""
    calls = Counter(output.name for output in outputs)
    bottlenecks = _bottlenecks(logits, image)
    return [o for o in outputs if calls[o.name] == 1 and o.edge in bottlenecks]


def _bottlenecks(logits: Tensor, image: Tensor) -> set[Edge]:
    """Return the places in the graph that every path from the logits to the image passes.

    A place is one of them if the number of paths that reach it, times the number of paths from it
    to the image, is the number of all paths. The counts are exact (Python's integers), though long
    in dense networks.
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
    """Order the graph's nodes so that each one comes before those it leads to."""
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
    """Return the places that a node leads to, towards the input."""
    return [] if node is None else [(n, i) for n, i in node.next_functions if n is not None]


def _examples(outputs: Sequence[ModuleOutput]) -> str:
    names = [o.name for o in outputs if len(o.shape) == 4]
    return ", ".join(dict.fromkeys(names[-3:])) or "a convolution's"
