"""What an audit is expected to take: counted from what is planned, not from what was rehearsed."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from melaudit.audit.forecast import CHOOSING, Forecast, expected


def test_as_many_of_each_class_are_expected_to_show_an_artifact_as_of_a_few() -> None:
    known = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    shown = np.array([1, 0, 0, 0, 1, 1, 1, 0], bool)
    labels = np.repeat([0, 1, 2], [40, 20, 10])
    found = expected(shown, known, labels)
    assert [int(found[labels == label].sum()) for label in range(3)] == [10, 15, 0]


def _seconds(n: int, **settings: int) -> float:
    """Return what discovery is expected to take of two classes of n images each."""
    of = SimpleNamespace(
        **({"edits": 40, "discover": 2, "corruption_images": 0, "seed": 0} | settings)
    )
    nothing: Any = None
    found = Forecast(
        cast(Any, SimpleNamespace(**vars(of), check_images=0)),
        0.0, 0.0, 1.0, 2.1, 0.0, 1.0, nothing, nothing, (),
    )  # fmt: skip
    stages = {stage.name: stage for stage in found.stages(np.repeat([0, 1], n))}
    stage = stages.get("Discovering artifacts")
    return 0.0 if stage is None else stage.seconds


def test_what_an_audit_discovers_itself_is_counted() -> None:
    # On each of two halves what 48 images of a class have is put into two others, beside what these
    # have; 6 candidates are put into 16 images, and two are tried: 4.5 pictures of each of 2 x 30
    # images, .1 s each, fewer where trials may end early.
    mined = 2 * 2 * 2 * 0.1
    candidates = 2 * 6 * 3 * 16 * 0.1
    trials = 0.7 * 4 * 4.5 * 0.1
    few = CHOOSING * 120 / 200 + mined * 60 + candidates + trials * 60
    assert _seconds(60) == pytest.approx(few)
    assert _seconds(1000) == pytest.approx(CHOOSING + mined * 96 + candidates + trials * 80)
    assert _seconds(60, discover=1) == pytest.approx(_seconds(60) - trials * 60 / 2)
    assert _seconds(60, discover=0) == _seconds(60, edits=0) == 0.0
