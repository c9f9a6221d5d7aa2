"""Does the decision of a group of images rest on the channels that mark it?

The marking channels are set to their mean on the rest of the class. This is done on images of the
group and on as many others of the class of which the model was as sure; only forward passes are
needed. The placebo sets as many other channels in the same way. The channels are chosen on some
images of the group and tried on others, so that a choice made by chance is not confirmed by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.groups.portrait import marking_channels, moments
from melaudit.detectors.rungs.trials import called, log_odds
from melaudit.findings import Suppression
from melaudit.measurements import Measurements, SomeRows
from melaudit.relevance.model.layers import has_heads
from melaudit.statistics.estimates import two_samples

MAX_TRIED = 24
"""Images of the group that are tried, and as many others of its class, at most. Limits the time."""
MIN_TRIED = 8
"""Images needed to try, and as many to choose the channels on. Chosen, not measured."""
MAX_USUAL = 48
"""Images of the rest of the class whose mean a suppressed channel gives, at most."""
MAX_MATCHED = 2000
"""Images of the rest among which those as sure are looked for, at most."""
CHANNELS_PER_SUPPRESSED = 16
"""One of so many channels of the layer is suppressed, those that mark the group most. Chosen,
not measured."""
MIN_CHANNELS = 4
"""Channels that are suppressed, at least. Chosen, not measured."""
PLACEBO_DRAWS = 3
"""Draws of as many other channels."""
NEAREST_CHANNELS = 10
"""Other channels, the nearest in mean relevance, among which one is drawn for each."""

Rows = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """The images on which suppression is tried, and those on which its channels were chosen."""

    tried: Rows
    """Images of the group."""
    others: Rows
    """As many of the rest of the class, as sure beforehand."""
    learned: Rows
    """Images of the group that the channels are chosen on."""
    usual: Rows
    """Images of the rest that the channels are chosen on, and whose mean they are set to."""


def suppress(
    inside: Rows, target: int, measurements: Measurements, laboratory: Laboratory
) -> Suppression | None:
    """Suppress the channels that mark the rows `inside` of the predicted class `target`.

    None where group or class are too small, or the model was not sure of the group to begin with,
    and where channels are heads of attention, which cannot be set by themselves.
    """
    if has_heads(measurements.layer):
        return None
    plan = design(inside, target, measurements)
    if plan is None:
        return None
    concepts = measurements["relevance.concepts"]
    channels = concepts.shape[1]
    count = max(MIN_CHANNELS, channels // CHANNELS_PER_SUPPRESSED)
    learned, others = (SomeRows(concepts, rows) for rows in (plan.learned, plan.usual))
    marking = [m.channel for m in marking_channels(learned, others, count)]
    if not marking or channels < 2 * len(marking):
        return None
    usual = laboratory.mean_map(plan.usual[:MAX_USUAL])
    rng = np.random.default_rng(measurements.seed)
    of_class = np.concatenate([plan.learned, plan.usual])
    strength, _ = moments(SomeRows(concepts, of_class))
    # The first set is none: what the model says of the images as they are, from the same pass.
    sets = [[], marking, *(placebo(marking, strength, rng) for _ in range(PLACEBO_DRAWS))]
    margins, decided = [], []
    for rows in (plan.tried, plan.others):
        logits = laboratory.suppressed(rows, sets, usual)
        margins.append(np.stack([log_odds(values, target) for values in logits]))
        decided.append(np.stack([called(values, target) for values in logits]))
    return _weighed(margins, decided, len(marking), plan, measurements)


def design(inside: Rows, target: int, measurements: Measurements) -> Design | None:
    """Choose who is tried; patients (or lesions) are either tried or chosen on, never both."""
    rng = np.random.default_rng(measurements.seed)
    rest = np.setdiff1d(np.flatnonzero(measurements.predictions == target), inside)
    groups = measurements.groups
    named = inside.astype(str) if groups is None else groups[inside].astype(str)
    distinct, images = np.unique(named, return_counts=True)
    names = rng.permutation(distinct)
    counts = np.cumsum(images[np.searchsorted(distinct, names)])
    half = min(MAX_TRIED, len(inside) // 2, len(rest) // 2)
    first = names[: int(np.searchsorted(counts, half, side="right"))]
    tried, learned = inside[np.isin(named, first)], inside[~np.isin(named, first)]
    if min(len(tried), len(learned), len(rest) - len(tried)) < MIN_TRIED:
        return None
    margins = log_odds(measurements.logits, target)
    if margins[tried].mean() <= 0:
        return None
    rest = np.sort(rng.permutation(rest)[:MAX_MATCHED])
    costs = np.abs(margins[tried][:, None] - margins[rest][None])
    _, chosen = linear_sum_assignment(costs)
    usual = rng.permutation(np.delete(rest, chosen))
    return Design(tried, rest[chosen], learned, usual)


def placebo(marking: Sequence[int], strength: Values, rng: np.random.Generator) -> list[int]:
    """Draw as many unmarked channels, each about as strong (channels,) as the one it stands for."""
    free = np.ones(len(strength), bool)
    free[list(marking)] = False
    drawn = []
    for channel in marking:
        left = np.flatnonzero(free)
        order = left[np.argsort(np.abs(strength[left] - strength[channel]), kind="stable")]
        one = int(rng.choice(order[:NEAREST_CHANNELS]))
        free[one] = False
        drawn.append(one)
    return drawn


def _weighed(
    margins: Sequence[Values],
    decided: Sequence[NDArray[np.bool_]],
    channels: int,
    plan: Design,
    measurements: Measurements,
) -> Suppression | None:
    """Hold what goes on the group against placebos and against the others.

    margins, decided: of the group and of the others, (1 plain + 1 marking + placebos, images).
    """
    sure = float(margins[0][0].mean())
    if sure <= 0:
        return None
    # A saturated output must not outweigh all others.
    lost = [np.clip(m[0] - m[1:], -50, 50) / sure for m in margins]
    beyond = [each[0] - each[1:].mean(0) for each in lost]
    names = measurements.groups
    held = None if names is None else (names[plan.tried], names[plan.others])
    estimate = two_samples(beyond[0], beyond[1], measurements.seed, held)
    changed = [(d[0] & ~d[1:]).sum(1) for d in decided]
    return Suppression(
        channels=channels,
        n=len(plan.tried),
        lost=float(lost[0][0].mean()),
        lost_others=float(lost[1][0].mean()),
        lost_placebo=float(lost[0][1:].mean()),
        beyond=estimate.value,
        beyond_low=estimate.low,
        beyond_high=estimate.high,
        p_value=estimate.p_value,
        changed=int(changed[0][0]),
        changed_others=int(changed[1][0]),
        changed_placebo=float(changed[0][1:].mean()),
    )
