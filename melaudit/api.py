"""The audit as one function call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from melaudit.observer import Silent
from melaudit.result import Audit

if TYPE_CHECKING:
    from torch import nn

    from melaudit.audit.prepare.configuration import Configuration
    from melaudit.models.architectures import LoadedModel


def audit(
    model: str | Path | nn.Module, data: str | Path, *, progress: bool = True, **options: Any
) -> Audit:
    """Audit a model on images and return the findings; the report is written to `out`.

    What is returned shows itself in a notebook, gives pandas tables (`to_pandas`), holds itself
    against a policy (`gate`) and renders every other report (`render`).

    `model` is a checkpoint or a module at hand; `data` a folder of images, an image folder with a
    folder per class, or a table. `options` are those of `melaudit run`, with underscores:
    `classes=("benign", "malignant")`, `image_size=128`, `out="audit"`; settings of detectors of
    other packages are tables by name, `detectors={"watermark": {"limit": 0.5}}`. Images are decoded
    in this process unless `workers` says otherwise, because worker processes need a script that is
    guarded by `if __name__ == "__main__":`. A settings file beside the model is not read.

    Raises a MelauditError for everything a user can mend.

        >>> findings = melaudit.audit("ckpt.pt", "images", image_size=128)  # doctest: +SKIP
        >>> findings.verdict, [f.title for f in findings.findings]          # doctest: +SKIP
    """
    configuration, loaded = _asked(model, data, options)
    from melaudit.audit.runner import run
    from melaudit.terminal import Terminal

    if not progress:
        return Audit.of(run(configuration, Silent(), model=loaded), configuration.out)
    with Terminal() as terminal:
        return Audit.of(run(configuration, terminal, model=loaded), configuration.out)


def audit_labels(
    model: str | Path | nn.Module, data: str | Path, *, progress: bool = True, **options: Any
) -> dict[str, Audit]:
    """Audit a multi-label model and return label -> findings; each label has a report in `out`.

    Its outputs are questions of their own (is there an effusion? a fracture?), which a table with a
    column of 0 and 1 for each label answers. q-values are corrected over all labels. Arguments and
    errors are those of `audit`; a model that is not multi-label has one audit, of the label "".
    """
    configuration, loaded = _asked(model, data, options)
    from melaudit.audit.runner import run_each
    from melaudit.terminal import Terminal

    if not progress:
        audits = run_each(configuration, Silent(), model=loaded)
    else:
        with Terminal() as terminal:
            audits = run_each(configuration, terminal, model=loaded)
    return {each.label: Audit.of(each.findings, configuration.out / each.folder) for each in audits}


def load(folder: str | Path) -> Audit:
    """Read the output folder of an earlier audit.

    Raises StoreError when it holds no findings.json of this melaudit.
    """
    return Audit.load(folder)


def _asked(
    model: str | Path | nn.Module, data: str | Path, options: dict[str, Any]
) -> tuple[Configuration, LoadedModel | None]:
    """Return the settings, and the model if it is at hand."""
    from melaudit.audit.prepare.configuration import Configuration, typed
    from melaudit.audit.prepare.first_look import first_look

    path = Path(model) if isinstance(model, str | Path) else Path("module")
    settings = typed({"workers": 0, **options, "model": path, "data": Path(data)}, "audit()")
    configuration = Configuration(**settings)
    if isinstance(model, str | Path):
        first_look(configuration)  # before torch is imported, which takes seconds
        return configuration, None
    return configuration, _loaded(model, configuration.image_size)


def _loaded(module: nn.Module, image_size: int | None) -> LoadedModel:
    """Describe a module at hand as if it had been loaded from a checkpoint."""
    from melaudit.models.architectures import from_module

    return from_module(module, image_size)
