"""How a command ends: what it prints of an audit or a gate, which files it writes, and its code.

Exit codes: 0 pass (or warn), 1 findings that fail, 2 could not run, 3 inconclusive, 4 internal
error, 130 interrupted.
"""

from __future__ import annotations

import datetime
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from melaudit.choices import Sharing
from melaudit.errors import ConfigurationError
from melaudit.findings import Findings, Severity, Verdict
from melaudit.terminal import Terminal, printable

if TYPE_CHECKING:
    from melaudit.gate import GateResult
    from melaudit.policy import Policy
    from melaudit.reports.formats.interface import Format

EXIT = {"pass": 0, "warn": 0, "fail": 1, "inconclusive": 3}
"""By the word of a verdict or of a gate's outcome."""
INTERNAL, INTERRUPTED = 4, 130

_STYLE = {
    Verdict.PASS: "bold green",
    Verdict.WARN: "bold yellow",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "bold magenta",
}


def sharing(no_images: bool, blur: bool) -> Sharing | None:
    """Return the mode of sharing that two flags ask for; None when neither is given.

    Raises ConfigurationError when both are.
    """
    if no_images and blur:
        raise ConfigurationError("--no-images and --blur exclude each other; give one of them")
    return Sharing.NO_IMAGES if no_images else Sharing.BLUR if blur else None


def tell(findings: Findings, report: Path, *, quiet: bool) -> None:
    """Print an audit's verdict and what it rests on to stderr."""
    from melaudit.reports.formats.text import finding_rows, head, tail

    terminal = Terminal()
    style = _STYLE[findings.verdict]
    if quiet:
        terminal.print(f"{findings.verdict.upper()}  {head(findings)[0]}", style=style)
        return
    terminal.print(f"\n{findings.verdict.upper()}", style=style)
    for line in head(findings):
        terminal.print(line)
    rows = finding_rows(findings)
    if rows:
        terminal.table(("Severity", "Reached", "Finding", "Figure"), rows)
    for line in tail(findings):
        terminal.print(line)
    terminal.print(f"Report: {report}")


@dataclass(frozen=True)
class Gate:
    """A policy and a baseline, ready to judge an audit."""

    policy: Policy
    baseline: Findings | None

    @classmethod
    def open(
        cls, policy: Path | None, baseline: Path | None, fail_on: Severity | None = None
    ) -> Gate:
        """Read the files; without a policy, fail from a severity on (high unless given)."""
        from melaudit.policy import DEFAULT, Policy, read_policy

        known = None if baseline is None else findings_of(baseline)
        if policy is not None:
            return cls(read_policy(policy), known)
        return cls(DEFAULT if fail_on is None else Policy(fail_on=fail_on), known)

    def judge(self, findings: Findings) -> GateResult:
        """Hold an audit against the policy, today."""
        from melaudit.gate import judge

        today = datetime.datetime.now(datetime.UTC).date()
        return judge(findings, self.policy, today=today, baseline=self.baseline)

    def tell(self, result: GateResult, *, quiet: bool = False, err: bool = True) -> None:
        """Print the rules and the outcome."""
        click.echo(f"Gate: {result.outcome.upper()}", err=err)
        if quiet:
            return
        for rule in result.rules:
            line = f"  {rule.outcome.value:<13} {rule.title}. {rule.statement}"
            click.echo(printable(line), err=err)
        for identity, waiver in result.waived:
            line = f"  waived        {identity}, until {waiver.expires} by {waiver.owner}"
            click.echo(printable(line), err=err)
        for identity in result.known:
            click.echo(printable(f"  known         {identity}, as in the baseline"), err=err)
        for note in result.notes:
            click.echo(printable(f"  note          {note}"), err=err)


def write(files: Mapping[Format, Path], findings: Findings, result: GateResult) -> None:
    """Write an audit in each format to its file.

    Raises StoreError when a file cannot be written.
    """
    from melaudit.publish import publish

    for form, path in files.items():
        publish(path, form.render(findings, result).encode("utf-8"))


def open_page(page: Path) -> None:
    """Open a page in the user's browser; say so where there is none."""
    if not webbrowser.open(page.resolve().as_uri()):
        click.echo(
            f"melaudit: no browser was found; open {printable(str(page))} yourself", err=True
        )


def findings_of(path: Path) -> Findings:
    """Read the findings of an output folder, or of a findings.json.

    Raises StoreError when there are none.
    """
    from melaudit.reports.formats.json_file import read_findings

    return read_findings(path)
