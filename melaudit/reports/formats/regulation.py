"""Questions that rules for medical AI ask, and what an audit measured towards an answer.

Help for whoever writes a technical file, not legal advice: whether a rule applies, and whether what
an audit measured is enough for it, is for people to judge. Sources: Good Machine Learning Practice
(FDA, Health Canada and MHRA 2021), Regulation (EU) 2024/1689 (the AI Act), and the CLEAR Derm
consensus guidelines (Daneshjou et al. 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings, Rung
from melaudit.wording.detectors import artifact_of, is_artifact, passed_checks, title_of

DISCLAIMER = (
    "This table is help for whoever writes a technical file. It is not legal advice: whether a "
    "rule applies to this model, and whether these measurements are enough for it, is for people "
    "to judge."
)


@dataclass(frozen=True)
class Question:
    """A question that a rule asks and an audit helps to answer."""

    source: str
    asks: str
    """In our words."""
    answer: Callable[[Findings], str]
    """What this audit measured towards it."""


def _performance(findings: Findings) -> str:
    p = findings.performance
    if not p.n or p.accuracy is None:
        return "Not measured: the images had no labels."
    span = wording.percent_span(p.accuracy_low, p.accuracy_high, 1)
    auc = f"; area under the ROC curve {p.auc:.3f}" if wording.is_known(p.auc) else ""
    return (
        f"Accuracy {wording.rounded_percent(p.accuracy, 1)} (95 % interval {span}, n "
        f"{wording.count(p.n)}){auc}; recall of every class under Performance."
    )


def _robustness(findings: Findings) -> str:
    used = [f for f in findings.findings if f.rung.rank >= Rung.DEPENDENCE.rank]
    tested = [e for f in findings.findings for e in f.evidence if e.rung is Rung.DEPENDENCE]
    if used:
        named = "; ".join(f.title.rstrip(".") for f in used)
        return f"Changed images change decisions: {named}."
    if tested:
        figures = wording.many_unbroken(len(tested), "figure")
        return f"{figures} of dependence measured, none reached."
    return "Not measured: this audit has no figure of dependence."


def _artifacts(findings: Findings) -> str:
    found = {a for f in findings.findings if (a := artifact_of(findings, f)) is not None}
    absent = {n.artifact for n in findings.not_found if is_artifact(findings, n.artifact)} - found
    sentences = [
        f"{what}: {'; '.join(sorted(title_of(findings, artifact) for artifact in artifacts))}."
        for what, artifacts in (
            ("Findings about", found),
            ("Looked for, without a finding", absent),
        )
        if artifacts
    ]
    return " ".join(sentences) or "No artifact could be tested."


def _limits(findings: Findings) -> str:
    return (
        f"{wording.many_unbroken(len(findings.findings), 'finding')} with what each does not show; "
        f"{wording.many_unbroken(len(findings.not_found), 'test')} that found nothing with what "
        f"would have been seen; {wording.count(len(findings.skipped))} skipped with the reason."
    )


def _data(findings: Findings) -> str:
    i = findings.inputs
    return (
        f"{wording.many_unbroken(i.read, 'image')} of {findings.provenance.data} "
        f"read, {wording.not_used(i.lost, i.unseen_folders, 'not usable')}; fingerprint "
        f"{findings.provenance.data_fingerprint[:16]}."
    )


def _opportunities(findings: Findings) -> str:
    reached = [
        e.statement
        for f in findings.findings
        for e in f.evidence
        if e.rung is Rung.OPPORTUNITY and e.reached
    ]
    return reached[0] if reached else "No association of an artifact with a label was found."


def _oversight(findings: Findings) -> str:
    explanations = findings.explanations
    return f"Relevance maps are {explanations.status.value}: {passed_checks(explanations.checks)}."


def _log(findings: Findings) -> str:
    p = findings.provenance
    return (
        f"Dated {wording.date(p.started)}; command, seed {p.seed}, versions and hashes under "
        "Provenance. It must still be signed by a person."
    )


def _again(_: Findings) -> str:
    return "The command melaudit diff compares this audit with that of a later version."


QUESTIONS = (
    Question(
        "GMLP 3",
        "Are the data representative, and where may the model do worse?",
        _data,
    ),
    Question(
        "GMLP 6",
        "Is the design fit for the data, and are known risks (here: shortcuts) mitigated?",
        _opportunities,
    ),
    Question(
        "GMLP 8",
        "Was performance tested under clinically relevant conditions, confounders included?",
        _robustness,
    ),
    Question(
        "GMLP 9",
        "Are users told clearly about performance and known limitations?",
        _limits,
    ),
    Question("GMLP 10", "Is the model watched after a change or retraining?", _again),
    Question(
        "AI Act, Art. 10(2)(f)",
        "Were the data examined for biases that may harm health or safety?",
        _opportunities,
    ),
    Question(
        "AI Act, Art. 15(1) and (3)",
        "What accuracy does the system have, by which metrics?",
        _performance,
    ),
    Question(
        "AI Act, Art. 15(4)",
        "How robust is it to errors and inconsistencies of its inputs?",
        _robustness,
    ),
    Question(
        "AI Act, Annex IV 2(e)",
        "Which measures help people to interpret the output?",
        _oversight,
    ),
    Question(
        "AI Act, Annex IV 2(g)",
        "How was it validated: data, metrics, dated test reports?",
        _log,
    ),
    Question(
        "AI Act, Annex IV 3",
        "What can it not do, and which unintended outcomes can be foreseen?",
        _limits,
    ),
    Question(
        "CLEAR Derm, data",
        "Which image artifacts do the data hold, and are they associated with the diagnosis?",
        _artifacts,
    ),
    Question(
        "CLEAR Derm, technical assessment",
        "How well does it do, by which measures, on which images?",
        _performance,
    ),
    Question(
        "CLEAR Derm, technical assessment",
        "Was the model examined for bias and for what it decides by?",
        _robustness,
    ),
)
