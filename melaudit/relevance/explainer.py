"""Explain what a model decides: one face for every engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from zennit.core import Composite

from melaudit.errors import RelevanceError
from melaudit.relevance import gradcam
from melaudit.relevance.arithmetic import exact
from melaudit.relevance.attention import Attention, Source, attention
from melaudit.relevance.attention import join as join_attention
from melaudit.relevance.attention_record import recording
from melaudit.relevance.batches import Parts, join
from melaudit.relevance.engines.choice import build_engine, choose_engine, other_engine
from melaudit.relevance.engines.composites import (
    PIXEL_BOUNDS,
    Bound,
    composite_name,
    find_composite,
)
from melaudit.relevance.interface import Attribution
from melaudit.relevance.model.acceptance import accepted, explainable, logits_differ, model_errors
from melaudit.relevance.model.intact import copied, remember_hooks, remember_state
from melaudit.relevance.model.layer_outputs import features, layer_output, taking
from melaudit.relevance.model.layers import channels as count_channels
from melaudit.relevance.model.layers import concept_layer, detail_layers, find_layer
from melaudit.relevance.model.outputs import find_logits, predictions
from melaudit.relevance.model.randomisation import cascade
from melaudit.relevance.model.suppression import suppressed
from melaudit.relevance.places import Places, both_sides


class Explainer:
    """Compute relevance (LRP) and concept relevance (CRP) of one model's decisions.

    The explained quantity is the target's logit, and relevance starts with that value: positive
    relevance is evidence for the target. One logit z is explained as z for class 1, -z for class 0.

        with Explainer(model) as explainer:
            attribution = explainer.attribute(x, None, [explainer.choose_layer(x)])

    Hooks and canonizers go on the model once, at the first use, and come off at the end of the
    `with` or by `close()`. Until then the model is in evaluation mode and frozen; afterwards it is
    what it was. Without `with` it works the same and is closed by `close()`.

    Parameters
    ----------
    model
        Any torch module that maps images (N, C, H, W) to something with logits in it
        (see `outputs.find_logits`), in float32 or float64.
    composite
        Name of a composite (`composites.NAMES`) or a zennit Composite.
    engine
        "dataflow", "zennit", or "auto": see `engines.choose_engine`. "gradient_x_input" and
        "occlusion" follow no rules, so that composite, bounds and biased mean nothing to them.
    canonizer
        For zennit only: "auto", "none", or a name from `canonizers.CANONIZERS`.
    num_classes
        Number of outputs, where a model returns several matrices.
    bounds
        Lowest and highest pixel after preprocessing, for `epsilon_gamma_box`.
    biased
        For dataflow: let biases take their share of relevance under rules of one sign, as they do
        in zennit, instead of handing it on.
    """

    target_default = "the predicted class"
    """What is explained where no target is given."""

    def __init__(
        self,
        model: nn.Module,
        composite: str | Composite = "epsilon_plus_flat",
        engine: str = "auto",
        canonizer: str = "auto",
        num_classes: int | None = None,
        bounds: tuple[Bound, Bound] = PIXEL_BOUNDS,
        biased: bool = False,
    ) -> None:
        self.model = explainable(model)
        self.num_classes = num_classes
        self.output_difference: float | None = None
        """Largest difference between the engine's logits of the first image and the model's own,
        over the largest of the latter; None before the first use."""
        self._composite = composite_name(composite)
        rules = find_composite(composite, bounds)
        engine = choose_engine(engine, canonizer)
        self._settings = engine, canonizer, bounds, biased
        self._rules = composite
        self._engine = build_engine(engine, self.model, rules, canonizer, num_classes, biased)
        self._layer: str | None = None
        self._first: Tensor | None = None
        self._undo: ExitStack | None = None
        self._channels: dict[str, int] = {}
        self._sources: dict[str, Source | None] = {}
        self._parts = Parts()

    def __enter__(self) -> Explainer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Take everything off the model; the explainer may be used again."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo.close()

    def attribute(
        self,
        x: Tensor,
        target: Tensor | None,
        layers: Sequence[str],
        attention: str | None = None,
        outputs: Sequence[str] = (),
    ) -> Attribution:
        """Explain the images x (N, C, H, W) for the classes target (N,), with concepts at `layers`.

        One forward and one backward pass give everything; None explains the predicted classes.
        A batch that does not fit into memory is taken in parts, and so are those after it.
        `attention` names a layer: the model's own weights for its channels are taken from the same
        pass; where they are is found once, on the first image. `outputs` names layers whose own
        outputs are taken from it as well.
        """
        x = self._images(x)
        target = self._asked(x, target)
        for layer in layers:
            find_layer(self.model, layer)
        source = None if attention is None else self._source(x, attention)

        def explain(x: Tensor, target: Tensor | None) -> Attribution:
            with recording(self.model, source) as record, taking(self.model, outputs) as taken:
                found = self._engine.attribute(x, target, layers)
            return replace(found, attention=record.weights(len(x)), outputs=taken)

        with self._entered(x):
            return join(self._parts(x, target, explain))

    def lrp(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """Return the maps (N, H, W): the relevance of the input, summed over its channels."""
        return self.attribute(x, target, ()).maps

    def concepts(
        self, x: Tensor, target: Tensor | None, layers: Sequence[str]
    ) -> dict[str, Tensor]:
        """Return, per layer, the relevance (N, channels) of its channels, summed over space."""
        return dict(self.attribute(x, target, layers).concepts)

    def crp(self, x: Tensor, target: Tensor | None, layer: str, channels: Sequence[int]) -> Tensor:
        """Return the conditional maps (N, len(channels), H, W): what passes through each channel.

        The pass starts at the layer, so nothing goes round it. Take a layer that every path to the
        logits passes (as `choose_layer` does), else the maps show only part of the evidence.
        """
        x = self._images(x)
        target = self._asked(x, target)
        count = self._count(x, layer)
        beyond = [c for c in channels if not 0 <= c < count]
        if beyond:
            raise RelevanceError(f"layer {layer} has channels 0 to {count - 1}, not {beyond[0]}")
        if not channels:
            return x.new_empty(len(x), 0, *x.shape[2:])
        return self._conditional(
            x, target, lambda x, t: self._engine.conditional(x, t, layer, channels)
        )

    def places(self, x: Tensor, target: Tensor | None, layer: str, mask: Tensor) -> Places:
        """Return what each channel of a layer looks at inside and outside of a mask (H, W).

        That is what its conditional map sums to there: of all channels, or with zennit of the
        strongest ones (see the module `places`).
        """
        x = self._images(x)
        self._count(x, layer)
        masks = both_sides(mask, x)
        sums = self._conditional(
            x, self._asked(x, target), lambda x, t: self._engine.within(x, t, layer, masks)
        )
        return Places(layer, sums[:, 0], sums[:, 1])

    def _count(self, x: Tensor, layer: str) -> int:
        """Return how many channels the layer has."""
        find_layer(self.model, layer)
        if layer not in self._channels:
            self._channels[layer] = count_channels(self.model, x, layer, self.num_classes)
        return self._channels[layer]

    def _conditional(
        self, x: Tensor, target: Tensor | None, ask: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        def run(x: Tensor, target: Tensor | None) -> Tensor:
            assert target is not None
            return ask(x, target).detach()

        with self._entered(x):
            if target is None:
                with torch.no_grad():
                    target = predictions(find_logits(self.model(x), self.num_classes))
            return torch.cat(self._parts(x, target, run))

    def grad_cam(self, x: Tensor, target: Tensor | None, layer: str) -> gradcam.GradCam:
        """Explain x (N, C, H, W) by Grad-CAM at the layer; None explains the predicted classes.

        The model is run as it is, without rules or canonizers; no engine has a part in it.
        """
        x = self._images(x)
        target = self._asked(x, target)
        with self._bare(x):
            parts = self._parts(
                x, target, lambda x, t: gradcam.grad_cam(self.model, x, t, layer, self.num_classes)
            )
        return gradcam.join(parts)

    def attention(self, x: Tensor, layer: str | None = None) -> Attention | None:
        """Return the model's own attention over the channels of the layer, None if it has none.

        Without a layer the concept layer is meant (see `choose_layer`).
        """
        x = self._images(x)
        layer = self.choose_layer(x) if layer is None else layer
        with self._bare(x):
            parts = self._parts(
                x, None, lambda x, _: attention(self.model, x, layer, self.num_classes)
            )
        return join_attention(parts)

    @property
    def layer(self) -> str:
        """The concept layer, chosen by a dry run on the first image seen (see `choose_layer`)."""
        if self._layer is None and self._first is not None:
            self.choose_layer(self._first)
        if self._layer is None:
            raise RelevanceError(
                "the concept layer is found by running the model once, and it has seen no image "
                "yet; call choose_layer(x) first"
            )
        return self._layer

    def choose_layer(self, x: Tensor) -> str:
        """Return the concept layer, found by a dry run on the first image of x (N, C, H, W).

        Raises RelevanceError when the model has none (see `layers.concept_layer`).
        """
        x = self._images(x)[:1]
        with model_errors(x):
            self._layer = concept_layer(self.model, x, self.num_classes)
        return self._layer

    def detail_layers(self, x: Tensor, sides: Sequence[int]) -> dict[int, str]:
        """Return side -> the layer that tells details apart at so many places a side, if any.

        Found by a dry run on the first image of x (N, C, H, W); see `layers.detail_layers`.
        """
        x = self._images(x)[:1]
        with self._bare(x):
            return detail_layers(self.model, x, sides, self.num_classes)

    def operations(self, x: Tensor) -> tuple[tuple[str, str, int], ...]:
        """Return (operation, rule, calls): what the engine does with each part of the model."""
        x = self._images(x)[:1]
        with self._entered(x):
            return self._engine.operations(x)

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (N, K) of the model as it was given, with no engine on it.

        What is on the model is taken off first and put back at the next use, so that these are the
        model's own outputs and those of `attribute` can be held against them.
        """
        x = self._images(x)

        def forward(x: Tensor, target: Tensor | None) -> Tensor:
            return find_logits(self.model(x), self.num_classes)

        with self._given(x), torch.no_grad():
            return torch.cat(self._parts(x, None, forward))

    def features(self, x: Tensor, layer: str) -> tuple[Tensor, Tensor]:
        """Return the logits (N, K), as `logits` does, and the layer's mean channels (N, channels).

        The latter place an image among others as the model sees them; see `features.features`.
        """
        x = self._images(x)

        def forward(x: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
            return features(self.model, x, layer, self.num_classes)

        with self._given(x):
            parts = self._parts(x, None, forward)
        return torch.cat([logits for logits, _ in parts]), torch.cat([means for _, means in parts])

    def outputs(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return what layers give for x (N, C, H, W), each (N, channels, h, w), forward only."""
        x = self._images(x)

        def forward(x: Tensor, target: Tensor | None) -> dict[str, Tensor]:
            with taking(self.model, layers) as taken, torch.no_grad():
                self.model(x)
            return dict(taken)

        with self._given(x):
            parts = self._parts(x, None, forward)
        return {layer: torch.cat([part[layer] for part in parts]) for layer in layers}

    def mean_map(self, x: Tensor, layer: str) -> Tensor:
        """Return what the layer gives, (channels, ...), on the mean over x (N, C, H, W)."""
        x = self._images(x)

        def total(x: Tensor, target: Tensor | None) -> Tensor:
            return layer_output(self.model, x, layer, self.num_classes)[1].sum(0)

        with self._given(x):
            return torch.stack(self._parts(x, None, total)).sum(0) / len(x)

    def suppressed(self, x: Tensor, layer: str, channels: Sequence[int], values: Tensor) -> Tensor:
        """Return the logits (N, K) with channels of the layer set to `values`, as of `mean_map`.

        The model is run as it was given, forward only; see the module `suppression`.
        """
        x = self._images(x)

        def forward(x: Tensor, target: Tensor | None) -> Tensor:
            return suppressed(self.model, x, layer, channels, values, self.num_classes)

        with self._given(x):
            return torch.cat(self._parts(x, None, forward))

    def randomised(self, depths: Sequence[float], seed: int) -> Iterator[Explainer]:
        """Yield for each depth an explainer, alike but of a copy with weights shuffled to there.

        A depth in (0, 1] is the share of the layers, from the output down (see
        `randomisation.cascade`). It is one copy, shuffled on, so that each explainer is of use
        until the next is asked for. Raises RelevanceError for a model that cannot be copied.
        """
        self.close()  # what is on the model must not be in the copy
        model = copied(self.model)
        engine, canonizer, _, biased = self._settings
        with self._alike(model, engine, canonizer, biased) as explainer:
            # What the engine does to the outputs is known from the model itself.
            explainer.output_difference = self.output_difference
            for _ in cascade(model, depths, seed):
                yield explainer
                explainer.close()  # the model's own weights are shuffled on, not canonizers'

    def both_engines(self) -> AbstractContextManager[tuple[Explainer, Explainer]] | None:
        """Return explainers with this engine and with the other, each on a copy of the model.

        Biases take their share in both, so the two must give the same maps. None where there is no
        other engine. On entering, raises ConfigurationError or RelevanceError when the other cannot
        take this composite or model.
        """
        other = other_engine(self._settings[0])
        return None if other is None else self._side_by_side(other)

    def describe(self) -> str:
        """Return method, engine, composite, canonizer and explained quantity in one line."""
        name = self._engine.name
        if not self.conserves:
            return f"{name}; explains the logit of {self.target_default}"
        return (
            f"LRP {self._composite} by {name}; explains the logit of {self.target_default}, "
            "started with its own value"
        )

    @property
    def engine(self) -> str:
        """The engine by the name it is chosen by: "dataflow", "zennit", ..."""
        return self._settings[0]

    @property
    def conserves(self) -> bool:
        """Whether maps are meant to sum to what they explain, as LRP's are."""
        return self._engine.conserves

    @contextmanager
    def _side_by_side(self, other: str) -> Iterator[tuple[Explainer, Explainer]]:
        engine, canonizer, _, _ = self._settings
        self.close()
        with (
            self._alike(copied(self.model), engine, canonizer, biased=True) as first,
            self._alike(copied(self.model), other, "auto", biased=True) as second,
        ):
            first.output_difference = self.output_difference
            yield first, second

    def _alike(self, model: nn.Module, engine: str, canonizer: str, biased: bool) -> Explainer:
        """Return an explainer of another model with the same rules and outputs."""
        rules = copy.copy(self._rules)
        if isinstance(rules, Composite):  # a composite goes on one model at a time
            rules.handles = type(rules.handles)()
        bounds = self._settings[2]
        return type(self)(model, rules, engine, canonizer, self.num_classes, bounds, biased)

    def _source(self, x: Tensor, layer: str) -> Source | None:
        """Return where the model's attention over the layer's channels is, found once."""
        if layer not in self._sources:
            found = self.attention(x[:1], layer)
            self._sources[layer] = None if found is None else found.source
        return self._sources[layer]

    @contextmanager
    def _entered(self, x: Tensor) -> Iterator[None]:
        """Put the engine on the model, if it is not there, and compute exactly meanwhile."""
        with torch.inference_mode(False), torch.autocast(x.device.type, enabled=False), exact():
            if self._undo is None:
                self._undo = self._enter(x[:1])
            yield

    @contextmanager
    def _given(self, x: Tensor) -> Iterator[None]:
        """Have the model as it was given, in evaluation mode, computing exactly."""
        with self._bare(x), torch.inference_mode(False):
            restore = remember_state(self.model)
            try:
                self.model.eval()
                yield
            finally:
                restore()

    @contextmanager
    def _bare(self, x: Tensor) -> Iterator[None]:
        """Take the engine off, whose hooks change gradients; its next use puts it on again."""
        self.close()
        with torch.autocast(x.device.type, enabled=False), exact(), model_errors(x):
            yield

    def _enter(self, image: Tensor) -> ExitStack:
        """Put the engine on the model; what comes back takes it off again.

        At the first use the engine's logits of one image are held against the model's own.
        """
        with ExitStack() as undo:
            undo.callback(remember_state(self.model))
            restore_hooks = remember_hooks(self.model)
            self.model.eval()
            self.model.requires_grad_(False)
            own = self._own_logits(image) if self.output_difference is None else None
            undo.push(lambda failure, *_: restore_hooks() if failure else None)
            undo.enter_context(self._engine)
            if own is not None:
                logits = self._engine.attribute(image, None, ()).logits
                self.output_difference = logits_differ(logits, own, self._engine.name)
                self._first = image
            return undo.pop_all()

    def _own_logits(self, image: Tensor) -> Tensor:
        """Return the logits (1, K) of one image (1, C, H, W), with no engine on the model."""
        with model_errors(image), torch.no_grad():
            own = find_logits(self.model(image), self.num_classes)
        if len(own) != 1:
            raise RelevanceError(
                f"for one image the model gave {tuple(own.shape)}; expected logits (1, K), "
                "without the axis of images squeezed away"
            )
        return own

    def _images(self, x: Tensor) -> Tensor:
        return accepted(x, self.model)

    def _asked(self, x: Tensor, target: Tensor | None) -> Tensor | None:
        return None if target is None else torch.as_tensor(target).to(x.device)
