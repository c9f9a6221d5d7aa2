"""The made-up audit, once for all tests that only read it."""

from pathlib import Path

import pytest

from tests.mitigation.made_up_audit import MadeUp, made_up_audit


@pytest.fixture
def audit(tmp_path: Path) -> MadeUp:
    """Return an audit of a model with a ring shortcut."""
    return made_up_audit(tmp_path)
