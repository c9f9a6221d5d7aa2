"""What looking twice costs: no error rate grows by it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from melaudit.statistics.estimates import Tested, paired_mean, paired_share
from melaudit.statistics.looks import at_look, coverage_of, fewest_to_exclude


def test_the_errors_of_all_looks_add_up_to_that_of_one() -> None:
    for shares in ((1.0,), (0.4, 0.6), (0.2, 0.3, 0.5)):
        assert sum(1 - coverage_of(share) for share in shares) == pytest.approx(0.05)
        # A p-value of exactly its share's level is one of exactly .05.
        levels = [at_look(Tested(0, 0, 0, share * 0.05), share).p_value for share in shares]
        assert levels == pytest.approx([0.05] * len(shares))
    assert at_look(Tested(0, 0, 0, 0.9), 0.5).p_value == 1


@pytest.mark.parametrize("share", [1.0, 0.6, 0.4])
def test_so_many_images_of_which_none_turns_exclude_a_share_and_one_less_does_not(
    share: float,
) -> None:
    n, error = fewest_to_exclude(0.1, share), 0.025 * share

    def excluded(of: int) -> bool:
        exact = stats.binomtest(0, of).proportion_ci(1 - 2 * error, "exact").high
        own = paired_share(np.zeros(of), coverage=coverage_of(share)).high
        return bool(max(exact, own) < 0.1)

    assert excluded(n) and not excluded(n - 1)


def test_a_wider_coverage_gives_wider_intervals_and_the_same_test() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    whole, part = (paired_mean(values, 0, coverage=coverage_of(of)) for of in (1.0, 0.4))
    assert part.low < whole.low < whole.value < whole.high < part.high
    assert whole.p_value == part.p_value
