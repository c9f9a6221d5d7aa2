"""What detectors say, corrected over what they are asked together."""

from __future__ import annotations

from collections.abc import Sequence

from melaudit.audit.conclude.conclusions import Said, worded
from melaudit.detectors.interface import Result


def said(results: Sequence[Result]) -> list[Said]:
    """Correct and word the results of one detector as if a run had no other."""
    return worded(results)[0]
