"""One mitigation from an audit's folder to new weights, their proof and its page."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from melaudit.audit.conclude.assembly import Clock
from melaudit.audit.prepare.model_outputs import first_inputs
from melaudit.audit.prepare.provenance import versions
from melaudit.errors import CheckpointError, ConfigurationError
from melaudit.findings import Method, Mitigated
from melaudit.mitigation.audited import Audited, opened
from melaudit.mitigation.head import features_of
from melaudit.mitigation.mitigate import Outcome, choose, mitigated
from melaudit.mitigation.statement import outcome_of, statement
from melaudit.mitigation.surgery import install, replaced, write
from melaudit.observer import Observer
from melaudit.relevance.model.outputs import find_logits
from melaudit.reports import write_mitigation_page
from melaudit.reports.formats.mitigation_file import add_mitigation

MAX_DEVIATION = 1e-2
"""By how much the logits of the model with its new weights may differ from those reckoned from its
features, relative to the largest: float32 or half precision in the file; not measured."""


def mitigate_audit(
    folder: Path,
    finding: str | None,
    method: Method,
    tolerance: float,
    out: Path,
    given: Mapping[str, Any],
    observer: Observer,
    *,
    command: str = "",
) -> Mitigated | None:
    """Mitigate a finding of the audit in a folder; None where there is nothing to mitigate.

    Writes the new weights to `out`, and mitigation.json and mitigation.html into the folder. Raises
    a MelauditError for everything a user can mend.
    """
    clock = Clock.start()
    if out.suffix != ".safetensors":
        raise ConfigurationError(
            f"--out {out} has no suffix .safetensors; the weights are written so"
        )
    with opened(folder, given, observer) as audited:
        cue = choose(audited, finding)
        if cue is None:
            return None
        observer.note(f"finding: {cue.finding.title}")
        found = mitigated(audited, cue, method, tolerance, observer)
        tensors = replaced(audited.configuration.model, found.before, found.after)
        _confirm(audited, found)
        proof, phrases = found.proof, cue.shown.artifact.phrases
        target = audited.table.classes[cue.target]
        said = statement(
            phrases,
            target,
            proof.dependence,
            proof.placebo,
            proof.figures,
            proof.groups,
            proof.others,
            tolerance,
        )
        outcome = outcome_of(proof.dependence, proof.groups, proof.others)
        note = {
            "changed": f"{found.before.name}: weight and bias; all other tensors as they were",
            "finding": cue.finding.id,
            "method": method.value,
            "from_sha256": audited.findings.provenance.model_sha256,
            "outcome": outcome.value,
            "what_came_of_it": said,
        }
        write(tensors, note, out)
        known = audited.findings.provenance
        made = Mitigated(
            finding=cue.finding.id,
            artifact=cue.finding.artifact or cue.finding.id,
            title=cue.shown.artifact.title,
            method=method,
            outcome=outcome,
            statement=said,
            target=target,
            dependence=proof.dependence,
            placebo=proof.placebo,
            figures=proof.figures,
            groups=proof.groups,
            others=proof.others,
            tolerance=tolerance,
            fitted_on=found.filled.counts,
            filled=found.filled.said,
            notes=_notes(found),
            layer=found.before.name,
            features=found.before.weight.shape[1],
            model=known.model,
            model_sha256=known.model_sha256,
            data_fingerprint=known.data_fingerprint,
            new_model=out.name,
            new_sha256=hashlib.sha256(out.read_bytes()).hexdigest(),
            command=command,
            started=clock.started.isoformat(timespec="seconds"),
            seconds=clock.seconds(),
            versions=versions(),
            seed=audited.table.seed,
        )
        add_mitigation(folder, made)
        write_mitigation_page(made, audited.findings, folder / "mitigation.html")
        return made


def _confirm(audited: Audited, found: Outcome) -> None:
    """Run the model with its new weights and hold it against what was reckoned from features.

    Raises CheckpointError where they differ.
    """
    prepared = audited.prepared
    x = first_inputs(prepared.dataset.paths, prepared.preprocessing, prepared.read)
    x = x.to(prepared.device)
    model = prepared.loaded.model
    with features_of(model, found.before) as look:
        reckoned = found.after.logits(look(x))
    layer = model.get_submodule(found.before.name)
    kept = copy.deepcopy(layer.state_dict())
    try:
        install(model, found.after)
        with torch.no_grad():
            logits = find_logits(model(x), prepared.loaded.outputs).float().cpu().numpy()
    finally:
        layer.load_state_dict(kept)
    apart = logits - reckoned
    if logits.shape[1] > 1:
        apart = apart - apart.mean(1, keepdims=True)
    if float(np.abs(apart).max()) > MAX_DEVIATION * max(1.0, float(np.abs(logits).max())):
        raise CheckpointError(
            f"the model with its new weights in {found.before.name} does not decide as reckoned "
            f"from its features (logits differ by {np.abs(apart).max():.3g}), so the proof would "
            "not hold; this layer may be used more than once"
        )


def _notes(found: Outcome) -> tuple[str, ...]:
    fits, proofs = len(found.halves.fit), len(found.halves.proof)
    return (
        f"The images were divided by patient into {fits:,} for fitting and {proofs:,} for the "
        "proof; those that the audit had put the artifact into are among the first.",
    )
