"""Two halves by patient, and draws that balance groups."""

import numpy as np

from melaudit.mitigation.groups import balanced, halves


def _set(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    present = rng.random(n) < np.where(labels, 0.4, 0.05)
    units = np.array([f"patient {i // 3}" for i in rng.permutation(n)], np.object_)
    return labels, present, units


def test_no_patient_is_in_both_halves_and_nobody_is_lost() -> None:
    labels, present, units = _set()
    both = halves(labels, present, units, np.arange(20), 0)
    assert not set(units[both.fit]) & set(units[both.proof])
    assert sorted([*both.fit, *both.proof]) == list(range(len(labels)))


def test_what_the_audit_changed_is_for_fitting() -> None:
    labels, present, units = _set()
    used = np.flatnonzero(~present)[:30]
    both = halves(labels, present, units, used, 0)
    assert set(used) <= set(both.fit)


def test_both_halves_have_about_as_many_of_each_group() -> None:
    labels, present, _ = _set()
    alone = np.arange(len(labels)).astype(np.object_)
    both = halves(labels, present, alone, np.empty(0, np.int64), 1)
    for label in (0, 1):
        for shown in (False, True):
            of = (labels == label) & (present == shown)
            assert abs(int(of[both.fit].sum()) - int(of[both.proof].sum())) <= 1


def test_images_without_a_label_are_in_neither() -> None:
    labels, present, units = _set(40)
    labels = np.where(np.arange(40) < 6, -1, labels)
    both = halves(labels, present, units, np.empty(0, np.int64), 0)
    assert not set(range(6)) & {*both.fit, *both.proof}


def test_a_draw_has_as_many_of_each_group() -> None:
    groups = np.repeat([0, 1, 3], [50, 7, 20])
    drawn = balanced(groups, np.random.default_rng(0))
    assert np.unique(groups[drawn], return_counts=True)[1].tolist() == [7, 7, 7]
    assert len(set(drawn.tolist())) == len(drawn)
