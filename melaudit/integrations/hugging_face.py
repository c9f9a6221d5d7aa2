"""A callback of Hugging Face's Trainer: an audit when the training ends.

from melaudit.integrations.hugging_face import AuditCallback

audit = AuditCallback("images", image_size=224, out="audit")
Trainer(model, args, callbacks=[audit], ...).train()
audit.audit.gate().outcome
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from melaudit import api

if TYPE_CHECKING:
    from melaudit.result import Audit


class AuditCallback(TrainerCallback):  # type: ignore[misc]  # it need not be installed here
    """Audits the trained model once `train` has ended, in the first process."""

    def __init__(self, data: str | Path, *, progress: bool = False, **options: Any) -> None:
        """Keep what the audit needs, as in `melaudit.audit`.

        Classes are those of the model's `id2label` unless they are given. Size, mean and standard
        deviation must be given where they are not melaudit's own.
        """
        self.data, self.progress, self.options = data, progress, options
        self.audit: Audit | None = None
        """The audit, once the training has ended."""

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Audit the model that was trained."""
        if not state.is_world_process_zero:
            return
        model = kwargs["model"]
        names = getattr(model.config, "id2label", None) or {}
        named = {"classes": tuple(names[i] for i in sorted(names))} if names else {}
        self.audit = api.audit(
            model, self.data, progress=self.progress, **{**named, **self.options}
        )
