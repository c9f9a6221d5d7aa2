"""An engine on a model: put on at the first use, checked against the model once, and taken off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError
from melaudit.relevance.interface import Engine
from melaudit.relevance.model.acceptance import check_logits, model_errors
from melaudit.relevance.model.intact import remember_hooks, remember_state
from melaudit.relevance.model.outputs import find_logits
from melaudit.relevance.switches import exact


class Attachment:
    """Puts one engine on one model when it is needed, and takes it off by `remove`.

    While the engine is on, the model is in evaluation mode and its weights are frozen. Afterwards
    the model is what it was.
    """

    def __init__(self, engine: Engine, model: nn.Module, num_classes: int | None = None) -> None:
        self.engine, self.model, self.num_classes = engine, model, num_classes
        self.checked = False
        """Whether the engine's logits are known to be the model's own."""
        self._undo: ExitStack | None = None

    @contextmanager
    def entered(self, x: Tensor) -> Iterator[Engine]:
        """Put the engine on, if it is not on yet, and compute exactly while the `with` lasts.

        At the first use the engine's logits of the first image of x (N, C, H, W) are compared with
        the model's own. Raises RelevanceError where they differ, where the model fails on the
        image, and where it does not give one row of logits for one image.
        """
        with torch.inference_mode(False), torch.autocast(x.device.type, enabled=False), exact():
            if self._undo is None:
                self._undo = self._enter(x[:1])
            yield self.engine

    def remove(self) -> None:
        """Take the engine off, if it is on."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo.close()

    def _enter(self, image: Tensor) -> ExitStack:
        """Put the engine on; return what takes it off."""
        with ExitStack() as undo:
            undo.callback(remember_state(self.model))
            restore_hooks = remember_hooks(self.model)
            self.model.eval()
            self.model.requires_grad_(False)
            own = None if self.checked else self._own_logits(image)
            undo.push(lambda failure, *_: restore_hooks() if failure else None)
            undo.enter_context(self.engine)
            if own is not None:
                logits = self.engine.attribute(image, None, ()).logits
                check_logits(logits, own, self.engine.name)
                self.checked = True
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
