"""The model run forward as it was given: its own outputs, with no engine on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from melaudit.relevance.batches import Chunks
from melaudit.relevance.model.acceptance import accepted, explainable, model_errors
from melaudit.relevance.model.folding import Folded, folded
from melaudit.relevance.model.intact import remember_state
from melaudit.relevance.model.layer_outputs import features, layer_output, outputs
from melaudit.relevance.model.layers import detail_layers
from melaudit.relevance.model.outputs import find_logits
from melaudit.relevance.model.suppression import suppressed
from melaudit.relevance.switches import exact


class Forward:
    """Run one model forward, in evaluation mode, without gradients, TF32 or autocast.

    Every method takes images x (N, C, H, W), moves them to the model's device and precision, and
    leaves the model as it was. A batch that does not fit into memory is processed in chunks. All
    raise RelevanceError for what is not a batch of images, for a model that fails on them, and for
    a layer that the model does not have.

    Parameters
    ----------
    model
        Any torch module that maps images (N, C, H, W) to something with logits in it
        (see `outputs.find_logits`), in float32 or float64.
    num_classes
        Number of outputs, where a model returns several matrices.
    release
        Called before each run: takes an engine off the model, if one is on it. Engines change
        gradients and may change outputs.
    """

    def __init__(
        self,
        model: nn.Module,
        num_classes: int | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.model, self.num_classes = explainable(model), num_classes
        self._release = release
        self.chunks = Chunks()
        self._settled = False
        self._folded: Folded | None = None
        self._folding_tried = False

    def settle(self) -> None:
        """Say that the weights stay what they are from here on.

        What is run from then on is a copy in which BatchNorms are folded into convolutions, where
        the model has such, so that answers differ from the model's own by rounding. `logits` is
        always the model itself.
        """
        self._settled = True

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (N, K) of the model itself."""
        x = accepted(x, self.model)
        with self._intact(x):
            return self._logits(x, self.model)

    def answers(self, x: Tensor) -> Tensor:
        """Return the logits (N, K), by the copy where the model is settled."""
        x = accepted(x, self.model)
        with self._running(x) as model:
            return self._logits(x, model)

    def _logits(self, x: Tensor, model: nn.Module) -> Tensor:
        def forward(x: Tensor, target: Tensor | None) -> Tensor:
            return find_logits(model(x), self.num_classes)

        with torch.no_grad():
            return torch.cat(self.chunks(x, None, forward))

    def features(self, x: Tensor, layer: str) -> tuple[Tensor, Tensor]:
        """Return the logits (N, K) and the layer's mean channels (N, channels).

        The means place an image among others as the model sees them; see `layer_outputs.features`.
        """
        x = accepted(x, self.model)
        with self._running(x, layer) as model:
            chunks = self.chunks(x, None, lambda x, _: features(model, x, layer, self.num_classes))
        logits, means = zip(*chunks, strict=True)
        return torch.cat(logits), torch.cat(means)

    def outputs(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return layer -> its output, (N, channels, h, w)."""
        x = accepted(x, self.model)
        with self._intact(x):  # a copy would not pay: little of the model is run
            chunks = self.chunks(x, None, lambda x, _: outputs(self.model, x, layers))
        return {layer: torch.cat([chunk[layer] for chunk in chunks]) for layer in layers}

    def mean_map(self, x: Tensor, layer: str) -> Tensor:
        """Return the layer's output (channels, ...), averaged over the images x."""
        x = accepted(x, self.model)
        with self._running(x, layer) as model:

            def total(x: Tensor, target: Tensor | None) -> Tensor:
                return layer_output(model, x, layer, self.num_classes)[1].sum(0)

            return torch.stack(self.chunks(x, None, total)).sum(0) / len(x)

    def suppressed(
        self, x: Tensor, layer: str, sets: Sequence[Sequence[int]], values: Tensor
    ) -> Tensor:
        """Return the logits (N, sets, K) with each set of channels set to `values` (channels, ...).

        `mean_map` gives such values; see the module `suppression`.
        """
        x = accepted(x, self.model)
        with self._running(x, layer) as model:

            def forward(x: Tensor, target: Tensor | None) -> Tensor:
                return suppressed(model, x, layer, sets, values, self.num_classes)

            return torch.cat(self.chunks(x, None, forward))

    def detail_layers(self, x: Tensor, sides: Sequence[int]) -> dict[int, str]:
        """Return side -> the layer that tells details apart at side x side positions.

        The model is run once, on the first image of x; see `layers.detail_layers`.
        """
        x = accepted(x, self.model)[:1]
        with self.bare(x):
            return detail_layers(self.model, x, sides, self.num_classes)

    @contextmanager
    def bare(self, x: Tensor) -> Iterator[None]:
        """Take the engine off, compute exactly, and name the shape of x if the model fails on it.

        The next use of the engine puts it on again.
        """
        self._release()
        with self._exactly(x):
            yield

    @contextmanager
    def _exactly(self, x: Tensor) -> Iterator[None]:
        with torch.autocast(x.device.type, enabled=False), exact(), model_errors(x):
            yield

    @contextmanager
    def _running(self, x: Tensor, layer: str = "") -> Iterator[nn.Module]:
        """Yield what is to be run: the copy, or the model where the copy's layer is another."""
        if self._settled and not self._folding_tried:
            self._folding_tried = True
            with self._intact(x):
                self._folded = folded(self.model, x, self.num_classes)
        quick = self._folded
        if quick is None or layer in quick.changed:
            with self._intact(x):
                yield self.model
            return
        with self._exactly(x), torch.inference_mode(False):
            yield quick.model

    @contextmanager
    def _intact(self, x: Tensor) -> Iterator[None]:
        """Have the bare model in evaluation mode, where gradients could be followed."""
        with self.bare(x), torch.inference_mode(False):
            restore = remember_state(self.model)
            try:
                self.model.eval()
                yield
            finally:
                restore()
