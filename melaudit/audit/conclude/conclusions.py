"""From measured columns to findings: checks, claims, correction, and only then wording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from melaudit.audit.conclude.registers import (
    attention,
    has_registers,
    held_both_ways,
    without_registers,
)
from melaudit.audit.conclude.soundness import sound
from melaudit.detectors.claim import Claim, Worded
from melaudit.detectors.interface import Detector, Result
from melaudit.errors import ends_the_run
from melaudit.findings import (
    Check,
    CheckStatus,
    Drift,
    Evidence,
    Failed,
    Finding,
    NotFound,
    Reaction,
    Rung,
    SkinTone,
    Skipped,
    Subject,
    Test,
    Trust,
    severity_of,
)
from melaudit.measurements import Measurements
from melaudit.statistics.correction import settle

Said = Check | Drift | Finding | NotFound | Reaction | SkinTone | Skipped
"""What is left to say of a result once it is corrected."""


@dataclass(frozen=True)
class Checked:
    """What the checks of the maps say of them."""

    checks: tuple[Check, ...]
    trust: Trust
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class Conclusions:
    """What is left of all claims of a run once its tests are corrected."""

    findings: tuple[Finding, ...]
    """The most severe first."""
    not_found: tuple[NotFound, ...]
    skipped: tuple[Skipped, ...]
    reactions: tuple[Reaction, ...]
    """The strongest first."""
    tests: tuple[Test, ...]
    """Every test that could have carried a finding, with its q-value over all of them."""
    drift: tuple[Drift, ...] = ()
    skin_tone: SkinTone | None = None


def check_maps(detectors: Sequence[Detector], measurements: Measurements) -> Checked:
    """Let the checks of the maps conclude."""
    results = [r for d in detectors if _checks(d) for r in _results(d, measurements)]
    checks = tuple(r for r in results if isinstance(r, Check))
    skipped = tuple(r for r in results if isinstance(r, Skipped))
    return Checked(checks, trust(checks, skipped), skipped)


def trust(checks: Sequence[Check], skipped: Sequence[Skipped] = ()) -> Trust:
    """Join the checks: one failure makes the maps unusable, one doubt degrades them.

    Trust is earned by checks that were made: where fewer than half of those asked could answer, the
    maps are not checked. `skipped` are the checks that could not.
    """
    statuses = {check.status for check in checks}
    if CheckStatus.FAIL in statuses:
        return Trust.UNUSABLE
    answered = {check.id for check in checks}
    silent = {s.detector for s in skipped} - answered
    if not answered or len(answered) < len(silent):
        return Trust.NOT_CHECKED
    return Trust.TRUSTED if statuses == {CheckStatus.PASS} else Trust.DEGRADED


@dataclass(frozen=True)
class Uncorrected:
    """What detectors and groups say of one model, before any test is corrected."""

    results: tuple[Result, ...]
    above_chance: bool
    """Whether the predictions follow the labels."""


def gathered(
    detectors: Sequence[Detector], measurements: Measurements, also: Sequence[Claim[Any]] = ()
) -> Uncorrected:
    """Let the detectors conclude.

    `measurements` carry the outcome of `check_maps`; `also` are claims of no detector (on groups).
    """
    results = _concluding(detectors, measurements)
    if has_registers(measurements):
        bare = _concluding(detectors, without_registers(measurements))
        looks = attention(bare, settle([claim.tested for claim in _claims(bare)]))
        results = [held_both_ways(result, looks) for result in results]
    return Uncorrected((*results, *also), measurements.above_chance)


def _concluding(detectors: Sequence[Detector], measurements: Measurements) -> list[Result]:
    return [r for d in detectors if not _checks(d) for r in _results(d, measurements)]


def conclude(
    detectors: Sequence[Detector], measurements: Measurements, also: Sequence[Claim[Any]] = ()
) -> Conclusions:
    """Gather the claims, correct the tests of all of them together, and word what is left.

    As `gathered`.
    """
    return conclude_together([gathered(detectors, measurements, also)])[0]


def conclude_together(parts: Sequence[Uncorrected]) -> list[Conclusions]:
    """Correct the tests of all parts of a run together, and word what is left of each."""
    settled = settle([tuple(c.tested for c in _claims(part.results)) for part in parts])
    return [
        _concluded(*_worded(part.results, tested), part.above_chance)
        for part, tested in zip(parts, settled, strict=True)
    ]


def _claims(results: Sequence[Result]) -> list[Claim[Any]]:
    return [r for r in results if isinstance(r, Claim)]


def _concluded(said: list[Said], tests: list[Test], above_chance: bool) -> Conclusions:
    if not above_chance:
        said = [_without_model(result) for result in said]
    findings = [r for r in said if isinstance(r, Finding)]
    return Conclusions(
        findings=tuple(sorted(findings, key=lambda f: (-f.severity.rank, -f.confidence, f.id))),
        not_found=tuple(r for r in said if isinstance(r, NotFound)),
        skipped=tuple(r for r in said if isinstance(r, Skipped)),
        reactions=tuple(sorted((r for r in said if isinstance(r, Reaction)), key=_strength)),
        tests=tuple(tests),
        drift=tuple(r for r in said if isinstance(r, Drift)),
        skin_tone=next((r for r in said if isinstance(r, SkinTone)), None),
    )


def _strength(reaction: Reaction) -> float:
    """Return what sorts the strongest reaction first: the largest effect."""
    used = [e for e in reaction.evidence if e.rung is Rung.DEPENDENCE]
    return -max((abs(e.estimate) for e in used), default=0.0)


def worded(results: Sequence[Result]) -> tuple[list[Said], list[Test]]:
    """Correct the tests of all claims together, and return what is said, in the order of results.

    A claim that cannot be worded, or says more than its evidence carries, is a `Skipped`.
    """
    return _worded(results, settle([claim.tested for claim in _claims(results)]))


def _worded(results: Sequence[Result], corrected: Sequence[Any]) -> tuple[list[Said], list[Test]]:
    """Word claims with their tests, which are corrected, in the same order."""
    settled = iter(corrected)
    said: list[Said] = []
    tests: list[Test] = []
    for result in results:
        if not isinstance(result, Claim):
            said.append(result)
            continue
        tested = next(settled)
        try:
            evidence = tuple(sound(e) for e in result.evidence(tested))
            held = [_held(sound(r), evidence) for r in result.word(tested, evidence)]
        except Exception as error:  # a claim may be anybody's
            if ends_the_run(error):
                raise
            said.append(Failed.by(result.detector or result.id, error))
        else:
            said += held
            tests += _tests(result.id, evidence)
    return said, tests


def _without_model(result: Said) -> Said:
    """Refuse what is claimed of a model whose predictions do not follow the labels.

    Nothing that it does is a shortcut to them; what the data alone show stays.
    """
    if isinstance(result, Reaction):
        return Skipped(result.artifact, "the predictions do not follow the labels")
    if not isinstance(result, Finding):
        return result
    if all(e.rung is Rung.OPPORTUNITY for e in result.evidence if e.reached):
        return result
    return Skipped(result.detector, "the predictions do not follow the labels")


def _tests(claim: str, evidence: Sequence[Evidence]) -> list[Test]:
    return [
        Test(claim, e.name, e.n, e.p_value, e.q_value)
        for e in evidence
        if e.p_value is not None and e.q_value is not None
    ]


def _held(worded: Worded, evidence: Sequence[Evidence]) -> Worded:
    """Return a result if it claims no more than its evidence carries.

    Raises ValueError otherwise: a detector may be anybody's, and a report must not say more than
    was shown.
    """
    if not isinstance(worded, Finding):
        return worded
    rungs = {e.rung for e in worded.evidence if e.reached}
    if not set(worded.evidence) <= set(evidence):
        raise ValueError(f"{worded.id} has evidence that its claim did not give for correction")
    if not rungs or worded.rung is not max(rungs, key=lambda rung: rung.rank):
        highest = max(rungs, key=lambda rung: rung.rank).value if rungs else "none"
        raise ValueError(
            f"{worded.id} claims {worded.rung}; the highest rung it reached: {highest}"
        )
    most = severity_of({*rungs, Rung.OPPORTUNITY}, {e.rung for e in worded.evidence})
    if worded.severity.rank > most.rank:
        raise ValueError(f"{worded.id} has severity {worded.severity}; its evidence carries {most}")
    return worded


def _checks(detector: Detector) -> bool:
    return detector.subject is Subject.EXPLANATIONS


def _results(detector: Detector, measurements: Measurements) -> Sequence[Result]:
    """Let one detector conclude; its failure is a result, not the end of the run."""
    try:
        results = detector.conclude(measurements)
        wrong = [r for r in results if not isinstance(r, Claim | Check | NotFound | Skipped)]
        if wrong:
            raise TypeError(
                f"it returned {type(wrong[0]).__name__}; a detector returns Claim, Check, NotFound "
                "or Skipped (a finding is worded from a Claim, once its tests are corrected)"
            )
        return [_returned(result, detector) for result in results]
    except Exception as error:
        if ends_the_run(error):
            raise
        failed = Failed.by(detector.id, error)
        if _checks(detector):  # a check that cannot answer must not look passed
            broken = Check(detector.id, CheckStatus.DEGRADED, None, float("nan"), failed.reason)
            return (broken, failed)
        return (failed,)


def _returned(result: Result, detector: Detector) -> Result:
    """Return a result that findings.json can hold; a claim gets the name of its detector.

    Raises ValueError for one that it cannot hold.
    """
    if isinstance(result, Claim):
        if not isinstance(result.id, str) or not result.id:
            raise ValueError(f"it returned a claim with the id {result.id!r}; expected a name")
        return replace(result, detector=detector.id)
    if isinstance(result, Skipped) and not str(result.reason).strip():
        return Skipped(result.detector, "it gave no reason")
    return sound(result)
