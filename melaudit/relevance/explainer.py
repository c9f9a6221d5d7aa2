"""Explain what a model decides: one class in front of every engine."""

# Long because: what users call of an explainer is one class.

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn
from zennit.core import Composite

from melaudit.errors import RelevanceError
from melaudit.logits import predictions
from melaudit.relevance import gradcam
from melaudit.relevance.attachment import Attachment
from melaudit.relevance.attention import Attention, Source, attention
from melaudit.relevance.attention import join as join_attention
from melaudit.relevance.attention_record import recording
from melaudit.relevance.batches import Chunks, join
from melaudit.relevance.dataflow.engine import DataflowEngine
from melaudit.relevance.engines.averages import unseen_averages
from melaudit.relevance.engines.choice import build_engine, choose_engine, other_engine
from melaudit.relevance.engines.composites import (
    DEFAULT_COMPOSITE,
    PIXEL_BOUNDS,
    Bound,
    composite_name,
    find_composite,
)
from melaudit.relevance.forward import Forward
from melaudit.relevance.interface import Attribution, Channels, Engine, TransformerPart, of_each
from melaudit.relevance.model.acceptance import accepted, explainable, model_errors
from melaudit.relevance.model.intact import copied
from melaudit.relevance.model.layer_outputs import taking
from melaudit.relevance.model.layers import channels as count_channels
from melaudit.relevance.model.layers import concept_layer, find_layer, has_heads
from melaudit.relevance.model.outputs import find_logits
from melaudit.relevance.model.randomisation import cascade
from melaudit.relevance.places import Places, both_sides

T = TypeVar("T")


@dataclass(frozen=True)
class _Method:
    """How relevance is computed, apart from the model; see `Explainer`."""

    composite: str | Composite
    engine: str
    canonizer: str
    num_classes: int | None
    bounds: tuple[Bound, Bound]
    biased: bool


class Explainer:
    """Compute relevance (LRP) and concept relevance (CRP) of one model's decisions.

    The explained quantity is the target's logit, and relevance starts with that value: positive
    relevance is evidence for the target. One logit z is explained as z for class 1, -z for class 0.

        with Explainer(model) as explainer:
            attribution = explainer.attribute(x, None, [explainer.choose_layer(x)])

    Hooks and canonizers go on the model once, at the first use. They come off at the end of the
    `with`, or by `close()` where there is no `with`. Until then the model is in evaluation mode
    and frozen; afterwards it is what it was.

    Every method that takes images x (N, C, H, W) moves them to the model's device and precision. A
    batch that does not fit into memory is processed in chunks, and so are those after it. All
    methods raise RelevanceError for what is not a batch of images, for targets that the model has
    no outputs for, for layers and channels that it does not have, and for a model that fails on the
    images or that the engine cannot explain.

    Parameters
    ----------
    model
        Any torch module that maps images (N, C, H, W) to something with logits in it
        (see `outputs.find_logits`), in float32 or float64.
    composite
        Name of a composite (`composites.NAMES`) or a zennit Composite.
    engine
        "dataflow", "zennit", or "auto": see `engines.choose_engine`. "gradient_x_input" and
        "occlusion" follow no rules, so composite, bounds and biased mean nothing to them.
    canonizer
        For zennit only: "auto", "none", or a name from `canonizers.CANONIZERS`.
    num_classes
        Number of outputs, where a model returns several matrices.
    bounds
        Lowest and highest pixel after preprocessing, for `epsilon_gamma_box`.
    biased
        For dataflow: let biases absorb their share of relevance under rules of one sign, as they
        do in zennit, instead of handing it on.

    Raises ConfigurationError for an unknown name, and RelevanceError for a model that cannot be
    explained or that the canonizer does not fit.
    """

    def __init__(
        self,
        model: nn.Module,
        composite: str | Composite = DEFAULT_COMPOSITE,
        engine: str = "auto",
        canonizer: str = "auto",
        num_classes: int | None = None,
        bounds: tuple[Bound, Bound] = PIXEL_BOUNDS,
        biased: bool = False,
    ) -> None:
        self.model, self.num_classes = explainable(model), num_classes
        rules = find_composite(composite, bounds)
        engine = choose_engine(engine, canonizer)
        self._method = _Method(composite, engine, canonizer, num_classes, bounds, biased)
        built = build_engine(engine, self.model, rules, canonizer, num_classes, biased)
        self._attachment = Attachment(built, self.model, num_classes)
        self.forward = Forward(self.model, num_classes, release=self.close)
        """The model run forward as it was given, for those who need no relevance."""
        self._chunks = Chunks()
        self._channels: dict[str, int] = {}
        self._sources: dict[str, Source | None] = {}

    def __enter__(self) -> Explainer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def fits(self) -> int | None:
        """Images known to fit into memory; None as long as every batch did."""
        known = [chunks.fits for chunks in (self._chunks, self.forward.chunks) if chunks.fits]
        return min(known, default=None)

    def take_as_compared(self) -> None:
        """Say that this engine's logits were compared with this model's own, and were the same.

        Otherwise the first use does that on one image.
        """
        self._attachment.checked = True

    def close(self) -> None:
        """Take everything off the model; the explainer may be used again."""
        self._attachment.remove()

    def attribute(
        self,
        x: Tensor,
        target: Tensor | None,
        layers: Sequence[str],
        attention: str | None = None,
        outputs: Sequence[str] = (),
    ) -> Attribution:
        """Explain the classes target (N,) for images x (N, C, H, W), with concepts at `layers`.

        One forward and one backward pass give everything. None explains the predicted classes.
        `attention` names a layer: the model's own weights for its channels are taken from the same
        pass; where they are is found once, on the first image. `outputs` names layers whose own
        outputs are taken from the pass as well.
        """
        x = accepted(x, self.model)
        target = _on_device(target, x)
        for layer in layers:
            self._find(layer)
        source = None if attention is None else self._source(x, attention)

        def explain(x: Tensor, target: Tensor | None) -> Attribution:
            with recording(self.model, source) as record, taking(self.model, outputs) as taken:
                found = self._engine.attribute(x, target, layers)
            return replace(found, attention=record.weights(len(x)), outputs=taken)

        with self._attachment.entered(x):
            return join(self._chunks(x, target, explain))

    def lrp(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """Return the maps (N, H, W): the relevance of the input, summed over its channels."""
        return self.attribute(x, target, ()).maps

    def concepts(
        self, x: Tensor, target: Tensor | None, layers: Sequence[str]
    ) -> dict[str, Tensor]:
        """Return layer -> the relevance (N, channels) of its channels, summed over space."""
        return dict(self.attribute(x, target, layers).concepts)

    def crp(self, x: Tensor, target: Tensor | None, layer: str, channels: Channels) -> Tensor:
        """Return the conditional maps (N, k, H, W): what passes through each of k channels.

        `channels` are the same for all images, or (N, k) int64, each image's own.
        The backward pass starts at the layer, so nothing goes round it. Take a layer that every
        path to the logits passes (as `choose_layer` does); at others the maps show only part of
        the evidence. So do those of the heads of attention (see `heads`), past which there is
        always a way. Source: Achtibat et al., Nature Machine Intelligence 5, 2023.
        """
        x = accepted(x, self.model)
        target = _on_device(target, x)
        chosen = self._of_each(x, layer, channels)
        if not chosen.shape[1]:
            return x.new_empty(len(x), 0, *x.shape[2:])
        found = self._conditional(
            x, target, lambda x, t, own: self._engine.conditional(x, t, layer, own), chosen
        )
        return torch.cat(found).detach()

    def places(self, x: Tensor, target: Tensor | None, layer: str, mask: Tensor) -> Places:
        """Return how much each channel of a layer looks inside and outside of a mask (H, W).

        That is what its conditional map sums to there: of all channels, or with zennit of the
        strongest ones (see the module `places`).
        """
        x = accepted(x, self.model)
        self._count(x, layer)
        masks = both_sides(mask, x)
        found = self._conditional(
            x, _on_device(target, x), lambda x, t, _: self._engine.within(x, t, layer, masks)
        )
        sums = torch.cat(found).detach()
        return Places(layer, sums[:, 0], sums[:, 1])

    def looks(
        self, x: Tensor, target: Tensor, layer: str, channels: Channels, mask: Tensor
    ) -> tuple[Tensor, Places]:
        """Return what `crp` and `places` do; with dataflow, from one forward pass for both."""
        if not isinstance(self._engine, DataflowEngine):
            return self.crp(x, target, layer, channels), self.places(x, target, layer, mask)
        x = accepted(x, self.model)
        own, engine = self._of_each(x, layer, channels), self._engine
        masks = both_sides(mask, x)
        found = self._conditional(
            x,
            _on_device(target, x),
            lambda x, t, own: engine.looks(x, t, layer, own, masks),
            own,
        )
        maps, sums = (torch.cat(parts).detach() for parts in zip(*found, strict=True))
        return maps, Places(layer, sums[:, 0], sums[:, 1])

    def grad_cam(self, x: Tensor, target: Tensor | None, layer: str) -> gradcam.GradCam:
        """Explain the classes target (N,) for x (N, C, H, W) by Grad-CAM at the layer.

        None explains the predicted classes. The model is run as it was given, without rules or
        canonizers; no engine takes part.
        """
        x = accepted(x, self.model)
        with self.forward.bare(x):
            found = self._chunks(
                x,
                _on_device(target, x),
                lambda x, t: gradcam.grad_cam(self.model, x, t, layer, self.num_classes),
            )
        return gradcam.join(found)

    def attention(self, x: Tensor, layer: str | None = None) -> Attention | None:
        """Return the model's own attention over the channels of the layer, None if it has none.

        Without a layer the concept layer is meant (see `choose_layer`).
        """
        x = accepted(x, self.model)
        layer = self.choose_layer(x) if layer is None else layer
        if has_heads(layer):
            return None
        with self.forward.bare(x):
            found = self._chunks(
                x, None, lambda x, _: attention(self.model, x, layer, self.num_classes)
            )
        return join_attention(found)

    def choose_layer(self, x: Tensor) -> str:
        """Return the concept layer, found by a dry run on the first image of x (N, C, H, W).

        Raises NoConceptLayerError when the model has none (see `layers.concept_layer`).
        """
        x = accepted(x, self.model)[:1]
        with model_errors(x):
            return concept_layer(self.model, x, self.num_classes)

    def heads(self, x: Tensor) -> dict[str, int]:
        """Return the model's heads of attention: a layer's name -> how many, in their order.

        Such a layer, `blocks.3.attn:heads`, has one channel for each head, wherever layers and
        channels are asked for: what the head's mixture of values passes on. A dry run on the first
        image of x; empty for a model without attention, and for other engines than dataflow.
        """
        x = accepted(x, self.model)[:1]
        with self._attachment.entered(x):
            engine = self._engine
            return engine.heads(x) if isinstance(engine, DataflowEngine) else {}

    def transformer_parts(self, x: Tensor) -> tuple[TransformerPart, ...]:
        """Return what the engine meets of a transformer in the model, on the first image of x.

        Attention, linear layers on every position, both or neither. Only dataflow looks.
        """
        x = accepted(x, self.model)[:1]
        with self._attachment.entered(x):
            engine = self._engine
            return engine.transformer_parts(x) if isinstance(engine, DataflowEngine) else ()

    def operations(self, x: Tensor) -> tuple[tuple[str, str, int], ...]:
        """Return (operation, rule, calls): what the engine does with each part of the model."""
        x = accepted(x, self.model)[:1]
        with self._attachment.entered(x):
            return self._engine.operations(x)

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (N, K) of the model as it was given, with no engine on it.

        What is on the model is taken off first and put back at the next use, so that these are the
        model's own outputs and those of `attribute` can be compared with them.
        """
        return self.forward.logits(x)

    def randomised(self, depths: Sequence[float], seed: int) -> Iterator[Explainer]:
        """Yield for each depth an explainer of a copy of the model, its weights shuffled to there.

        A depth in (0, 1] is the share of the layers, from the output down (see
        `randomisation.cascade`). There is one copy, which is shuffled on: use each explainer
        before the next is asked for. Raises RelevanceError for a model that cannot be copied.
        """
        self.close()  # what is on the model must not be in the copy
        model = copied(self.model)
        with self._alike(model, self._method) as explainer:
            for _ in cascade(model, depths, seed):
                yield explainer
                explainer.close()  # the model's own weights are shuffled on, not canonizers'

    def both_engines(self, x: Tensor) -> AbstractContextManager[tuple[Explainer, Explainer]] | None:
        """Return explainers with this engine and with the other, each on a copy of the model.

        Biases absorb their share in both, so the two must give the same maps for images like
        x (N, C, H, W). None where there is no other engine. On entering, raises ConfigurationError
        or RelevanceError when the other engine cannot take this composite or model, or is known to
        get it wrong.
        """
        other = other_engine(self.engine)
        return None if other is None else self._side_by_side(other, x)

    def describe(self) -> str:
        """Return method, engine, composite, canonizer and explained quantity in one line."""
        name = self._engine.name
        if not self.conserves:
            return f"{name}; explains the logit of the predicted class"
        return (
            f"LRP {composite_name(self._method.composite)} by {name}; explains the logit of the "
            "predicted class, started with its own value"
        )

    @property
    def engine(self) -> str:
        """The engine by the name it is chosen by: "dataflow", "zennit", ..."""
        return self._method.engine

    @property
    def conserves(self) -> bool:
        """Whether maps are meant to sum to what they explain, as LRP's are."""
        return self._engine.conserves

    @property
    def _engine(self) -> Engine:
        return self._attachment.engine

    @contextmanager
    def _side_by_side(self, other: str, x: Tensor) -> Iterator[tuple[Explainer, Explainer]]:
        own = replace(self._method, biased=True)
        self.close()
        if other == "zennit":
            averages = unseen_averages(self.model, lambda: self.logits(x[:1]))
            if averages:
                raise RelevanceError(
                    f"zennit does not follow {averages[0]}: it spreads relevance evenly there; an "
                    "nn.AdaptiveAvgPool2d or nn.AvgPool2d in its place it does follow"
                )
        with (
            self._alike(copied(self.model), own) as first,
            self._alike(copied(self.model), replace(own, engine=other, canonizer="auto")) as second,
        ):
            # The other engine may change the outputs where this one does not.
            second._attachment.checked = False
            yield first, second

    def _alike(self, model: nn.Module, method: _Method) -> Explainer:
        """Return an explainer of a copy of the model, by the same method or one much like it."""
        rules = copy.copy(method.composite)
        if isinstance(rules, Composite):  # a composite goes on one model at a time
            rules.handles = type(rules.handles)()
        explainer = type(self)(model, **{**vars(method), "composite": rules})
        # What the engine does to the outputs is known from the model itself.
        explainer._attachment.checked = self._attachment.checked
        return explainer

    def _conditional(
        self,
        x: Tensor,
        target: Tensor | None,
        ask: Callable[[Tensor, Tensor, Tensor], T],
        own: Tensor | None = None,
    ) -> list[T]:
        """Ask the engine, chunk by chunk, for what depends on a target; it chooses none by itself.

        `own` (N, k) int64 is cut into chunks as the images are.
        """

        def run(x: Tensor, asked: Tensor | None) -> T:
            assert asked is not None
            return ask(x, asked[:, 0], asked[:, 1:])

        with self._attachment.entered(x):
            if target is None:
                with torch.no_grad():
                    target = predictions(find_logits(self.model(x), self.num_classes))
            more = [] if own is None else [own]
            return self._chunks(x, torch.cat([target[:, None], *more], 1), run)

    def _of_each(self, x: Tensor, layer: str, channels: Channels) -> Tensor:
        """Return the channels (N, k) of each image, all of which the layer has."""
        count, chosen = self._count(x, layer), of_each(channels, len(x))
        if chosen.shape[:1] != x.shape[:1]:
            raise RelevanceError(f"channels of {len(chosen)} images for {len(x)} images")
        beyond = chosen[(chosen < 0) | (chosen >= count)].tolist()
        if beyond:
            raise RelevanceError(f"layer {layer} has channels 0 to {count - 1}, not {beyond[0]}")
        return chosen.to(x.device)

    def _count(self, x: Tensor, layer: str) -> int:
        """Return how many channels the layer has."""
        self._find(layer)
        if layer not in self._channels:
            if has_heads(layer):
                with self._attachment.entered(x):
                    found = self._engine.attribute(x[:1], None, [layer])
                self._channels[layer] = found.concepts[layer].shape[1]
            else:
                self._channels[layer] = count_channels(self.model, x, layer, self.num_classes)
        return self._channels[layer]

    def _find(self, layer: str) -> None:
        """Raise RelevanceError for a layer that the model does not have, or the engine not see."""
        find_layer(self.model, layer)
        if has_heads(layer) and self.engine != "dataflow":
            raise RelevanceError(
                f"{self._engine.name} does not see heads of attention, as {layer} asks for; use "
                "--engine dataflow"
            )

    def _source(self, x: Tensor, layer: str) -> Source | None:
        """Return where the model's attention over the layer's channels is, found once."""
        if layer not in self._sources:
            found = self.attention(x[:1], layer)
            self._sources[layer] = None if found is None else found.source
        return self._sources[layer]


def _on_device(target: Tensor | None, x: Tensor) -> Tensor | None:
    return None if target is None else torch.as_tensor(target).to(x.device)
