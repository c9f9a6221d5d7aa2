"""What an audit is expected to take: counted from what is planned, not from what was rehearsed."""

import numpy as np

from melaudit.audit.forecast import expected


def test_as_many_of_each_class_are_expected_to_show_an_artifact_as_of_a_few() -> None:
    known = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    shown = np.array([1, 0, 0, 0, 1, 1, 1, 0], bool)
    labels = np.repeat([0, 1, 2], [40, 20, 10])
    found = expected(shown, known, labels)
    assert [int(found[labels == label].sum()) for label in range(3)] == [10, 15, 0]
