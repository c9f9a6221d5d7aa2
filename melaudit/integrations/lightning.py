"""A callback of Lightning: an audit when the training ends.

from melaudit.integrations.lightning import AuditCallback

audit = AuditCallback("images", module="model", image_size=224, out="audit")
Trainer(callbacks=[audit]).fit(...)
audit.audit.gate().outcome
"""

from __future__ import annotations

import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    from lightning.pytorch import Callback
except ImportError:  # the older name of the same library
    from pytorch_lightning import Callback

from melaudit import api

if TYPE_CHECKING:
    from melaudit.result import Audit


class AuditCallback(Callback):  # type: ignore[misc]  # Lightning need not be installed here
    """Audits the trained network once `fit` has ended, in the process of rank 0."""

    def __init__(
        self, data: str | Path, *, module: str = "", progress: bool = False, **options: Any
    ) -> None:
        """Keep what the audit needs.

        `module` is the attribute of the LightningModule that holds the network, with dots where it
        lies deeper; the LightningModule itself unless it is given. Else as in `melaudit.audit`.
        """
        super().__init__()
        self.data, self.module, self.progress, self.options = data, module, progress, options
        self.audit: Audit | None = None
        """The audit, once the training has ended."""

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Audit, and log how many findings there are and whether the gate passes."""
        if not trainer.is_global_zero:
            return
        network = operator.attrgetter(self.module)(pl_module) if self.module else pl_module
        self.audit = api.audit(network, self.data, progress=self.progress, **self.options)
        passes = self.audit.gate().outcome.value == "pass"
        figures = {
            "melaudit/findings": float(len(self.audit.findings)),
            "melaudit/gate_passes": float(passes),
        }
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=trainer.global_step)
