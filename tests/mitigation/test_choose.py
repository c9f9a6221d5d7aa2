"""Which finding is mitigated, and what is said where none can be."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from melaudit.errors import ConfigurationError
from melaudit.findings import Finding, Rung, Severity
from melaudit.mitigation.mitigate import choose


@dataclass(frozen=True)
class _Audited:
    findings: SimpleNamespace
    table: None = None
    artifacts: tuple[()] = ()


def _audited(*findings: Finding) -> Any:
    return cast(Any, _Audited(SimpleNamespace(findings=findings)))


def _finding(identity: str, rung: Rung) -> Finding:
    classes = ("malignant",)
    return Finding(
        identity, identity, "", Severity.HIGH, 1.0, rung, identity, classes, "", (), (), "", ""
    )  # fmt: skip


def test_what_was_discovered_is_refused_and_the_way_out_is_said() -> None:
    audited = _audited(_finding("discovered_1", Rung.HARM))
    for wanted in ("discovered_1", None):  # nobody is told that there is nothing
        with pytest.raises(ConfigurationError, match="melaudit new artifact NAME"):
            choose(audited, wanted)


def test_nothing_that_the_model_uses_is_nothing_to_mitigate() -> None:
    assert choose(_audited(), None) is None
    assert choose(_audited(_finding("discovered_1", Rung.OPPORTUNITY)), None) is None
    assert choose(_audited(_finding("metadata.site", Rung.OPPORTUNITY)), None) is None
