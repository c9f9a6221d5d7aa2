"""The audit as one function call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from melaudit.findings import Findings

if TYPE_CHECKING:
    from torch import nn

    from melaudit.audit.architectures import LoadedModel


class Silent:
    """An observer that says nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Ignore it."""

    def advance(self, images: int, computed: bool = True) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""


def audit(
    model: str | Path | nn.Module, data: str | Path, *, progress: bool = True, **options: Any
) -> Findings:
    """Audit a model on images and return the findings; the report is written to `out`.

    `model` is a checkpoint or a module at hand; `data` a folder of images, an image folder with a
    folder per class, or a table. `options` are those of `melaudit run`, with underscores:
    `classes=("benign", "malignant")`, `image_size=128`, `out="audit"`. Images are decoded in this
    process unless `workers` says otherwise, because worker processes need a script that is
    guarded by `if __name__ == "__main__":`. A settings file beside the model is not read.

    Raises a MelauditError for everything a user can mend.

        >>> findings = melaudit.audit("ckpt.pt", "images", image_size=128)  # doctest: +SKIP
        >>> findings.verdict, [f.title for f in findings.findings]          # doctest: +SKIP
    """
    from melaudit.audit.configuration import Configuration, typed
    from melaudit.audit.runner import run
    from melaudit.terminal import Terminal

    path = Path(model) if isinstance(model, str | Path) else Path("module")
    settings = typed({"workers": 0, **options, "model": path, "data": Path(data)}, "audit()")
    loaded = None if isinstance(model, str | Path) else _loaded(model)
    if not progress:
        return run(Configuration(**settings), Silent(), model=loaded)
    with Terminal() as terminal:
        return run(Configuration(**settings), terminal, model=loaded)


def _loaded(module: nn.Module) -> LoadedModel:
    """Describe a module at hand as if it had been loaded from a checkpoint."""
    from melaudit.audit.architectures import from_module

    return from_module(module)
