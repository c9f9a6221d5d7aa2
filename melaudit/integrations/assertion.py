"""An audit as an assertion: of a test, or of the end of a training."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melaudit import api
from melaudit.policy import DEFAULT, Policy, Waiver, read_policy

if TYPE_CHECKING:
    from torch import nn

    from melaudit.gate import GateResult
    from melaudit.result import Audit


def assert_no_shortcut(
    model: str | Path | nn.Module,
    data: str | Path,
    *,
    allow: Iterable[str] = (),
    policy: str | Path | Policy | None = None,
    progress: bool = False,
    **options: Any,
) -> Audit:
    """Audit a model, and return the audit if the gate passes.

    `allow` are ids of findings, or patterns like dark_ring*, that do not count. `policy` is a file
    of TOML or a `Policy`; without one, findings from high on fail. Everything else as in
    `melaudit.audit`. What too few images or edits leave open is no pass: the policy's table [pass]
    says what may stay open.

    Raises AssertionError where the gate fails or cannot be decided, with each rule that did not
    pass and the place of the report; MelauditError for everything a user can mend.
    """
    __tracebackhide__ = True
    rules = terms(allow, policy)
    audit = api.audit(model, data, progress=progress, **options)
    require_pass(audit, audit.gate(rules))
    return audit


def terms(allow: Iterable[str] = (), policy: str | Path | Policy | None = None) -> Policy:
    """Return a policy under which some findings, by id or pattern, do not count.

    Raises ConfigurationError for a policy that cannot be read, TypeError for a single text as
    `allow`, whose letters would each be a pattern.
    """
    if isinstance(allow, str):
        raise TypeError(f"allow is the text {allow!r}; give a list of ids: allow=[{allow!r}]")
    asked = DEFAULT if policy is None else policy
    read = asked if isinstance(asked, Policy) else read_policy(Path(asked))
    allowed = tuple(
        Waiver(pattern, "whoever wrote the assertion", "it is in `allow`", datetime.date.max)
        for pattern in allow
    )
    return replace(read, waivers=(*read.waivers, *allowed))


def require_pass(audit: Audit, result: GateResult) -> None:
    """Raise AssertionError, with every rule that did not pass, where the gate did not."""
    __tracebackhide__ = True
    if result.outcome.value == "pass":
        return
    cannot = "cannot be decided" if result.outcome.value == "inconclusive" else "fails"
    lines = [f"the gate {cannot}: {audit.reason}"]
    lines += [
        f"  {rule.outcome.value}: {rule.title}. {rule.statement}"
        for rule in result.rules
        if rule.outcome.value != "pass"
    ]
    if audit.folder is not None:
        lines.append(f"  report: {audit.folder / 'report.html'}")
    raise AssertionError("\n".join(lines))
