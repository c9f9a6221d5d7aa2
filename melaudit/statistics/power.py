"""The smallest effect that a test would have detected."""

from __future__ import annotations

import math

from scipy import optimize, stats


def minimum_detectable_odds_ratio(
    n: int, exposed: float, cases: float, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """Return the smallest odds ratio above 1 that a 2 x 2 table of n would have shown.

    `exposed` and `cases` are the shares (0 to 1) with the artifact and of the class; the test is
    the two-sided comparison of two proportions by the arcsine transform (Cohen 1988, ch. 6).
    None when no odds ratio, however large, would have been seen.
    """
    n_exposed, n_other = n * exposed, n * (1 - exposed)
    if min(n_exposed, n_other) < 1 or not 0 < cases < 1:
        return None
    needed = (stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * math.sqrt(
        1 / n_exposed + 1 / n_other
    )

    def rates(log_ratio: float) -> tuple[float, float]:
        """Shares of cases among exposed and others that keep the overall share of cases."""
        ratio = math.exp(log_ratio)

        def excess(other: float) -> float:
            among = ratio * other / (1 - other + ratio * other)
            return exposed * among + (1 - exposed) * other - cases

        other = float(optimize.brentq(excess, 0.0, 1.0 - 1e-15))
        return ratio * other / (1 - other + ratio * other), other

    def surplus(log_ratio: float) -> float:
        first, second = rates(log_ratio)
        return 2 * (math.asin(math.sqrt(first)) - math.asin(math.sqrt(second))) - float(needed)

    largest = math.log(1e4)
    if surplus(largest) < 0:
        return None
    return math.exp(float(optimize.brentq(surplus, 0.0, largest)))


def minimum_detectable_difference(
    spread: float, n_first: int, n_second: int, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """Return the smallest difference of two means that would have been seen, in units of `spread`.

    `spread` is the standard deviation within the groups (Cohen 1988, ch. 2); None without images.
    """
    if n_first < 1 or n_second < 1 or not math.isfinite(spread):
        return None
    z = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
    return z * spread * math.sqrt(1 / n_first + 1 / n_second)


def minimum_detectable_paired_share(
    n: int, *discordant: float, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """Return the smallest change of a share, on n pairs, that the paired test would have seen.

    `discordant` are the shares of pairs (0 to 1) that change in either of the conditions compared:
    they make up the noise (Connor 1987, with what was measured in place of a guess). At least one
    pair is taken to change, and at least six must, or no exact test of signs falls below 5 %.
    """
    if n < 6:
        return None
    noise = min(1.0, max(sum(discordant), 1 / n))
    z = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
    least = max(z * math.sqrt(noise / n), 6 / n)
    return least if least <= 1 else None
