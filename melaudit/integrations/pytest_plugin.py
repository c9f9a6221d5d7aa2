"""The plugin of pytest: one fixture. Every run of pytest imports this, so it imports little.

def test_it_takes_no_shortcut(assert_no_shortcut):
    assert_no_shortcut("ckpt.pt", "images", image_size=224, allow=["ruler*"])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from melaudit.result import Audit


@pytest.fixture
def assert_no_shortcut(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> Callable[..., Audit]:
    """Return `melaudit.integrations.assertion.assert_no_shortcut` for this test.

    Reports lie in the test's `tmp_path` unless `out` says otherwise. Verdict, outcome of the gate
    and place of the report are properties of the test, which `--junit-xml` writes.
    """
    return assertion(tmp_path, record_property)


def assertion(place: Path, note: Callable[[str, object], None]) -> Callable[..., Audit]:
    """Return the assertion, whose reports lie in `place` and which notes what came of each."""
    made: list[Audit] = []

    def check(
        model: Any, data: Any, *, allow: Iterable[str] = (), policy: Any = None, **options: Any
    ) -> Audit:
        __tracebackhide__ = True
        from melaudit import api
        from melaudit.integrations.assertion import require_pass, terms

        rules = terms(allow, policy)
        folder = place / f"audit-{len(made) + 1}"
        audit = api.audit(model, data, **{"out": folder, "progress": False, **options})
        made.append(audit)
        result = audit.gate(rules)
        note("melaudit-verdict", audit.verdict.value)
        note("melaudit-gate", result.outcome.value)
        note("melaudit-report", str((audit.folder or folder) / "report.html"))
        require_pass(audit, result)
        return audit

    return check
