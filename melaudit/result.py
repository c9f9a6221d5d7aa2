"""The findings of an audit as a Python user holds them: shown, as tables, as files."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melaudit.errors import ConfigurationError
from melaudit.findings import Findings

if TYPE_CHECKING:
    import pandas as pd

    from melaudit.gate import GateResult
    from melaudit.policy import Policy


@dataclass(frozen=True)
class Audit(Findings):
    """The findings of an audit, with everything that can be made of them.

    In a notebook it shows itself. `folder` is where the report and its pictures are.
    """

    folder: Path | None = field(default=None, compare=False)

    @classmethod
    def of(cls, findings: Findings, folder: Path | None = None) -> Audit:
        """Return findings as an audit, with the folder that holds its report and pictures."""
        known = {f.name: getattr(findings, f.name) for f in fields(Findings)}
        return cls(**known, folder=folder)

    @classmethod
    def load(cls, folder: str | Path) -> Audit:
        """Read the output folder of an earlier audit.

        Raises StoreError when it holds no findings.json.
        """
        from melaudit.reports import read_findings

        return cls.of(read_findings(Path(folder)), Path(folder))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of findings.json, which names no folder."""
        return {name: value for name, value in super().to_dict().items() if name != "folder"}

    def to_pandas(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return two tables: one row per finding, and one per piece of evidence."""
        from melaudit.reports.formats.pandas_tables import evidence_frame, findings_frame

        return findings_frame(self), evidence_frame(self)

    def gate(self, policy: Policy | None = None, baseline: Findings | None = None) -> GateResult:
        """Hold the audit against a policy (by default: no finding from high on), today."""
        from melaudit.gate import judge
        from melaudit.policy import DEFAULT

        today = datetime.datetime.now(datetime.UTC).date()
        return judge(self, policy or DEFAULT, today=today, baseline=baseline)

    def render(self, name: str, *, sharing: str = "full") -> str:
        """Return the audit in an output format: "html", or the id of one in `FORMATS`.

        `FORMATS` is in melaudit.reports.formats.registry. A format that says how the gate ended
        says so of the default policy. `sharing` is "full", "blur" or "no-images" and counts for
        HTML alone. Raises ConfigurationError for another name, StoreError when HTML is asked for
        and the folder's record is missing.
        """
        from melaudit.reports.formats.registry import FORMATS

        formats = {f.id: f for f in FORMATS}
        if name == "html":
            return _html(self, sharing)
        if name not in formats:
            expected = ", ".join(("html", *formats))
            raise ConfigurationError(f"the format is {name!r}; expected one of {expected}")
        return formats[name].render(self, self.gate())

    def log(self) -> tuple[str, ...]:
        """Log figures and files to the trackers that are imported already (mlflow, wandb).

        Returns the names of those that were logged to; none is imported for it.
        """
        from melaudit.trackers import log

        return log(self, self.folder)

    def _repr_html_(self) -> str:
        from melaudit.reports.formats.notebook import to_notebook

        return to_notebook(self)


def _html(audit: Audit, sharing: str) -> str:
    from melaudit.reports import Sharing, read_record, render_report, shared

    if audit.folder is None:
        raise ConfigurationError("this audit has no folder; the HTML report needs its pictures")
    try:
        mode = Sharing(sharing)
    except ValueError:
        raise ConfigurationError(
            f"sharing is {sharing!r}; expected one of {', '.join(Sharing)}"
        ) from None
    return render_report(shared(read_record(audit.folder), mode))
