"""An audit in the experiment tracker that a script already uses.

Nothing is imported: a tracker counts only when the script itself has imported it and has a
run open, so an audit never contacts a server by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from melaudit.findings import Findings, Severity
from melaudit.wording.figures import is_known

FILES = ("report.html", "findings.json")


def figures(findings: Findings) -> dict[str, float]:
    """Return the figures of an audit by names such as "melaudit/accuracy", finite ones alone."""
    p = findings.performance
    known: dict[str, float | None] = {
        "accuracy": p.accuracy,
        "auc": p.auc,
        "images_read": float(findings.inputs.read),
        "findings": float(len(findings.findings)),
    }
    for severity in Severity:
        of = sum(f.severity is severity for f in findings.findings)
        known[f"findings_{severity.value}"] = float(of)
    return {f"melaudit/{k}": float(v) for k, v in known.items() if v is not None and is_known(v)}


def log(findings: Findings, folder: Path | None = None) -> tuple[str, ...]:
    """Log to every tracker that is imported and has a run; return their names."""
    files = [] if folder is None else [folder / name for name in FILES if (folder / name).exists()]
    tags = {"melaudit.verdict": findings.verdict.value, "melaudit.reason": findings.reason}
    logged = []
    for name, one in (("mlflow", _mlflow), ("wandb", _wandb)):
        module = sys.modules.get(name)
        if module is not None and one(module, figures(findings), tags, files):
            logged.append(name)
    return tuple(logged)


def _mlflow(
    mlflow: Any, metrics: Mapping[str, float], tags: Mapping[str, str], files: list[Path]
) -> bool:
    if mlflow.active_run() is None:
        return False
    mlflow.log_metrics(dict(metrics))
    mlflow.set_tags(dict(tags))
    for file in files:
        mlflow.log_artifact(str(file), "melaudit")
    return True


def _wandb(
    wandb: Any, metrics: Mapping[str, float], tags: Mapping[str, str], files: list[Path]
) -> bool:
    if wandb.run is None:
        return False
    wandb.log(dict(metrics))
    wandb.run.summary.update(dict(tags))
    for file in files:
        wandb.save(str(file), base_path=str(file.parent), policy="now")
    return True
