"""What came of a mitigation, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from melaudit.artifacts.interface import Phrases
from melaudit.findings import CueChange, Measured, Outcome, Paired
from melaudit.mitigation.proof import grown, reduced_by_half
from melaudit.wording.sentences import many


def outcome_of(
    dependence: CueChange, groups: Sequence[Measured], others: Sequence[CueChange]
) -> Outcome:
    """Return what a mitigation came to."""
    if not dependence.flips.falls:
        return Outcome.NOT_REDUCED
    costs = any(group.lost for group in groups) or bool(grown(others))
    return Outcome.AT_A_COST if costs else Outcome.REDUCED


def per_1000(share: float) -> str:
    """Return a share as a whole number of 1,000."""
    return f"{round(1000 * share):,}"


def change_in_words(share: Paired) -> str:
    """Return "from 450 to 12 of 1,000, by 438 [395 to 480]"."""
    low, high = sorted((abs(share.ci_low), abs(share.ci_high)))
    same = share.ci_low * share.ci_high > 0
    ends = (low, high) if same else (share.ci_low, share.ci_high)
    span = " to ".join(per_1000(end) for end in ends)
    size = per_1000(abs(share.change) if same else share.change)
    return f"from {per_1000(share.before)} to {per_1000(share.after)} of 1,000, by {size} [{span}]"


def points_in_words(share: Paired) -> str:
    """Return "from 97.3 to 92.0 %, by -5.3 points [-10.1 to -0.4]"."""
    low, high = 100 * share.ci_low, 100 * share.ci_high
    return (
        f"from {100 * share.before:.1f} to {100 * share.after:.1f} %, by "
        f"{100 * share.change:+.1f} points [{low:+.1f} to {high:+.1f}]"
    )


def statement(
    phrases: Phrases,
    target: str,
    dependence: CueChange,
    placebo: CueChange,
    figures: Sequence[Measured],
    groups: Sequence[Measured],
    others: Sequence[CueChange],
    tolerance: float,
) -> str:
    """Return what a mitigation did, what it cost, and what the same retraining does by itself."""
    flips = dependence.flips
    done = f"Decisions that turn to {target} when the {phrases.thing} is put in, beyond the placebo"
    on = f"on {many(flips.n, 'image')} that no step had used"
    if flips.falls:
        half = "" if reduced_by_half(dependence) else "; that is less than half of it"
        said = [f"{done}, are reduced {change_in_words(flips)}, {on}{half}."]
    else:
        said = [f"{done}, are not clearly reduced: {change_in_words(flips)}, {on}."]
    said.append(
        "A placebo mitigation, the same retraining with shuffled labels of the artifact, goes "
        f"{change_in_words(placebo.flips)}."
    )
    accuracy = next((m.share for m in figures if m.name.startswith("accuracy")), None)
    if accuracy is not None:
        said.append(
            f"Accuracy on {many(accuracy.n, f'{phrases.lacking} image')} goes "
            f"{points_in_words(accuracy)}."
        )
    lost = [group for group in groups if group.lost]
    if lost:
        each = "; ".join(f"{g.name}: {points_in_words(g.share)} (n {g.share.n:,})" for g in lost)
        said.append(f"More than {100 * tolerance:g} points are lost in {each}.")
    elif groups:
        said.append(f"No group loses more than {100 * tolerance:g} points.")
    more = grown(others)
    if more:
        each = "; ".join(f"{o.title}: {change_in_words(o.flips)}" for o in more)
        said.append(f"Decisions follow something else more than before: {each}.")
    elif others:
        said.append(
            f"Of {many(len(others), 'other artifact')}, decisions follow none clearly more than "
            "before."
        )
    return " ".join(said)
