"""What stands behind the accuracy of a made-up audit: calibration, curves, images, groups."""

from __future__ import annotations

from dataclasses import replace

from melaudit.findings import (
    Calibration,
    ConfusedPair,
    CurvePoint,
    Discrimination,
    Example,
    Figure,
    GroupPerformance,
    GroupRange,
    OperatingPoint,
    Performance,
    ReliabilityBin,
)


def with_details(
    plain: Performance, target: str, label: str, mistakes: tuple[str, ...], right: tuple[str, ...]
) -> Performance:
    """Return a performance with every detail, of one class and the given images."""
    return replace(
        plain,
        resampled="patients",
        calibration=Calibration(
            target=target,
            n=1000,
            error=Figure(0.062, 0.04, 0.09),
            error_usual=0.021,
            error_usual_high=0.035,
            brier=Figure(0.071, 0.058, 0.085),
            brier_constant=0.25,
            bins=tuple(
                ReliabilityBin(p, Figure(seen, seen - 0.05, min(seen + 0.05, 1.0)), 250)
                for p, seen in ((0.02, 0.06), (0.2, 0.25), (0.8, 0.7), (0.97, 0.9))
            ),
        ),
        discrimination=(discrimination(target),),
        surest_mistakes=tuple(Example(i, label, target, 0.99) for i in mistakes),
        unsure_right=tuple(Example(i, target, target, 0.51) for i in right),
        ranges=(
            GroupRange(
                "site",
                target,
                GroupPerformance(target, "torso", 80, 0.95, 0.88, 0.98),
                GroupPerformance(target, label, 25, 0.6, 0.41, 0.77),
                2,
                3,
                20,
            ),
            GroupRange("site", label, None, None, 1, 4, 20),
        ),
    )


def discrimination(target: str, threshold: float | None = 0.3) -> Discrimination:
    """Return how well one class is told from the rest."""
    return Discrimination(
        target=target,
        n=500,
        n_others=500,
        auc=Figure(0.9712, 0.96, 0.98),
        average_precision=Figure(0.968, 0.95, 0.98),
        operating=OperatingPoint(
            threshold, Figure(0.9, 0.87, 0.93), Figure(0.91, 0.88, 0.94), Figure(0.92, 0.89, 0.94)
        ),
        curve=tuple(
            CurvePoint(1 - k / 10, min(1.0, 2 * k / 10), k / 10, 1 - k / 20) for k in range(11)
        ),
    )


def confused(label: str, predicted: str) -> ConfusedPair:
    """Return a pair of classes that are confused."""
    return ConfusedPair(label, predicted, 12, 60, Figure(0.2, 0.12, 0.32))
