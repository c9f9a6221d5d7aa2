"""Relevance by zennit's own hooks, and conditional maps by zennit-crp."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from crp.attribution import CondAttribution
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from zennit.core import Composite

from melaudit.errors import ConfigurationError, RelevanceError, out_of_memory
from melaudit.logits import predictions
from melaudit.relevance.engines.canonizers import canonizer_name, find_canonizer
from melaudit.relevance.interface import Attribution, Channels, of_each
from melaudit.relevance.model.intact import remember_hooks, remember_state
from melaudit.relevance.model.layers import channel_sums, find_layer, first_tensor
from melaudit.relevance.model.outputs import find_logits, start_relevance
from melaudit.relevance.places import sums_by_maps

CONDITIONS_PER_PASS = 8
"""Conditional maps made in one backward pass: more need more memory and are no faster."""

OUTPUT = "the logits"
"""The name of the model's output in conditions; no module can have it by accident."""


class ZennitEngine:
    """LRP by zennit, CRP by zennit-crp; `composite` gives the rules, `canonizer` is a name.

    Hooks and canonizers are put on the model once, on entering; zennit-crp, which would do so at
    every call, gets an empty composite. What biases absorb is not recorded, so there is no ledger:
    `Attribution.absorbed` is None.

    Raises ConfigurationError where both the composite and the name bring canonizers or the name is
    unknown, and RelevanceError for a canonizer that does not fit the model.
    """

    conserves = True

    def __init__(
        self,
        model: nn.Module,
        composite: Composite,
        canonizer: str = "auto",
        num_classes: int | None = None,
    ) -> None:
        self.model, self.composite, self.num_classes = model, composite, num_classes
        if composite.canonizers and canonizer not in ("auto", "none"):
            raise ConfigurationError(
                f"the composite brings canonizers of its own, so {canonizer!r} would be applied on "
                "top of them; leave out one or the other"
            )
        self._canonizer = None if composite.canonizers else find_canonizer(canonizer, model)
        own = " and ".join(map(canonizer_name, composite.canonizers))
        by = own or canonizer_name(self._canonizer)
        self.name = f"zennit {version('zennit')}, zennit-crp {version('zennit-crp')}, {by}"
        self._undo: ExitStack | None = None
        self._watched: dict[str, RemovableHandle] = {}
        self._wanted: frozenset[str] = frozenset()
        self._taken: dict[str, Tensor] = {}
        self._crp: CondAttribution | None = None

    def __enter__(self) -> ZennitEngine:
        with ExitStack() as undo:
            undo.callback(remember_state(self.model))
            restore_hooks = remember_hooks(self.model)
            undo.push(lambda failure, *_: restore_hooks() if failure else None)
            self.model.eval()
            for instance in self._canonizer.apply(self.model) if self._canonizer else ():
                undo.callback(instance.remove)
            undo.callback(self.composite.remove)
            self.composite.register(self.model)
            self.model.requires_grad_(False)
            self._crp = CondAttribution(_Logits(self.model, self.num_classes), no_param_grad=False)
            self._crp.MODEL_OUTPUT_NAME = OUTPUT
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        undo, self._undo, self._crp = self._undo, None, None
        for handle in self._watched.values():
            handle.remove()
        self._watched.clear()
        if undo is not None:
            undo.close()

    def attribute(self, x: Tensor, target: Tensor | None, layers: Sequence[str]) -> Attribution:
        """Explain `target` (N,) for x (N, C, H, W): one forward and one backward pass for all.

        Raises RelevanceError when the model's output does not depend on x or on a layer, or when
        zennit cannot go through the model.
        """
        with self._observing(layers), _clear_errors(), torch.enable_grad():
            image = x.detach().clone().requires_grad_()
            logits = find_logits(self.model(image), self.num_classes)
            target = predictions(logits.detach()) if target is None else target
            start = start_relevance(logits.detach(), target)
            (relevance,) = torch.autograd.grad(logits, image, start)
        missing = [layer for layer in layers if layer not in self._taken]
        if missing:
            raise RelevanceError(
                f"no relevance passes {', '.join(missing)}: the model does not use it for its "
                "logits, or not in a way gradients can follow; name another layer"
            )
        return Attribution(
            logits=logits.detach(),
            start=start.sum(1),
            maps=relevance.sum(1),
            concepts={layer: self._taken[layer] for layer in layers},
            target=target,
        )

    def operations(self, x: Tensor) -> tuple[tuple[str, str, int], ...]:
        """Return (type of module, zennit's rule for it, modules); other operations are not seen."""
        counts: Counter[tuple[str, str]] = Counter()
        context: dict[Any, Any] = {}
        for name, module in self.model.named_modules():
            hook = self.composite.module_map(context, name, module)
            if hook is not None or not list(module.children()):
                rule = f"rule {type(hook).__name__}" if hook is not None else "plain gradient"
                counts[type(module).__name__, rule] += 1
        return tuple((name, rule, count) for (name, rule), count in counts.most_common())

    def conditional(self, x: Tensor, target: Tensor, layer: str, channels: Channels) -> Tensor:
        """Return (N, k, H, W): zennit-crp's map for each channel of the layer.

        The backward pass starts at the layer with the channel's relevance there, so nothing goes
        round it. Take a layer that every path passes (see `layers`).
        """
        assert self._crp is not None, "the engine is entered before use"
        find_layer(self.model, layer)
        restore = remember_hooks(self.model)
        try:
            with _clear_errors(), torch.enable_grad():
                maps = [
                    self._one_image(x[i : i + 1], int(target[i]), layer, chosen)
                    for i, chosen in enumerate(of_each(channels, len(x)).tolist())
                ]
        finally:
            restore()  # zennit-crp leaves its own hooks behind when a pass fails
        return torch.stack(maps)

    def within(self, x: Tensor, target: Tensor, layer: str, masks: Tensor) -> Tensor:
        """Return (N, m, channels): what each channel's conditional map sums to in masks (m, H, W).

        Only the strongest channels' maps are made; the others are NaN.
        """
        relevance = self.attribute(x, target, [layer]).concepts[layer]

        def maps(x: Tensor, target: Tensor, channels: Sequence[int]) -> Tensor:
            return self.conditional(x, target, layer, channels)

        return sums_by_maps(maps, x, target, relevance, masks)

    def _one_image(self, x: Tensor, target: int, layer: str, channels: Sequence[int]) -> Tensor:
        def start(logits: Tensor) -> Tensor:
            return start_relevance(logits, torch.full((len(logits),), target, device=logits.device))

        assert self._crp is not None
        results = self._crp.generate(
            x.detach().clone().requires_grad_(),
            [{f"model.{layer}": [channel], OUTPUT: slice(None)} for channel in channels],
            init_rel=start,
            batch_size=CONDITIONS_PER_PASS,
            exclude_parallel=True,  # start at the layer, so that nothing goes round it
            verbose=False,
        )
        return torch.cat([result.heatmap for result in results])

    @contextmanager
    def _observing(self, layers: Sequence[str]) -> Iterator[None]:
        """Note the relevance of these layers while the `with` lasts.

        A layer gets its hook when it is first named.
        """
        for layer in layers:
            if layer not in self._watched:
                module = find_layer(self.model, layer)
                self._watched[layer] = module.register_forward_hook(partial(self._follow, layer))
        self._taken.clear()
        self._wanted = frozenset(layers)
        try:
            yield
        finally:
            self._wanted = frozenset()

    def _follow(self, layer: str, module: nn.Module, inputs: object, output: object) -> None:
        tensor: Any = first_tensor(output)  # torch has no type for register_hook
        if layer in self._wanted and tensor is not None:
            tensor.register_hook(partial(self._take, layer))

    def _take(self, layer: str, relevance: Tensor) -> None:
        """Note a layer's relevance, summed over space and over all calls of the module."""
        sums = channel_sums(relevance.detach(), layer)
        self._taken[layer] = self._taken[layer] + sums if layer in self._taken else sums


class _Logits(nn.Module):
    """The model with only its logits as output, as zennit-crp expects it."""

    def __init__(self, model: nn.Module, num_classes: int | None) -> None:
        super().__init__()
        self.model, self.num_classes = model, num_classes

    def forward(self, x: Tensor) -> Tensor:
        return find_logits(self.model(x), self.num_classes)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn errors in hooks and graphs into a RelevanceError that says what to do."""
    try:
        yield
    except (RuntimeError, AttributeError, TypeError, ValueError, IndexError) as error:
        if out_of_memory(error):
            raise
        raise RelevanceError(
            f"zennit cannot pass relevance through this model ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no message'}); use --engine dataflow"
        ) from error
