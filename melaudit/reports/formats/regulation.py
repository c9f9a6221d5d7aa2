"""Questions that rules for medical AI ask, and what an audit measured towards an answer.

Help for whoever writes a technical file, not legal advice: whether a rule applies, and whether what
an audit measured is enough for it, is for people to judge. Sources: Good Machine Learning Practice
(FDA, Health Canada and MHRA 2021), Regulation (EU) 2024/1689 (the AI Act), the CLEAR Derm consensus
guidelines (Daneshjou et al. 2022), the FDA's draft guidance on AI-enabled device software functions
(January 2025), MDCG 2025-6 on the AI Act beside the regulations for medical devices, the
questionnaire of the German notified bodies (IG-NB), and the draft IEC 63450.
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
    domains: tuple[str, ...] = ()
    """Domains in which it is asked; empty for all."""

    def asked_of(self, findings: Findings) -> bool:
        """Tell whether the question is asked of these pictures; of unknown ones all are."""
        return not self.domains or findings.domain.id in ("", *self.domains)


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


def _use(findings: Findings) -> str:
    use = findings.intended_use
    if use is None:
        return "Not stated to this audit: [intended_use] in melaudit.toml."
    said = [use.purpose, use.population, use.reference_standard]
    return " ".join(f"{text.rstrip('.')}." for text in said if text) or "Stated without a text."


def _accepted(findings: Findings) -> str:
    use = findings.intended_use
    if use is None or not use.acceptance:
        return "No limits were stated: [intended_use.acceptance] in melaudit.toml."
    return " ".join(limit.statement for limit in use.acceptance)


def _groups(findings: Findings) -> str:
    columns = findings.performance.columns
    if not columns:
        return "Not measured: the table of images has no column of patients, sites or sources."
    return f"Share of right predictions by {', '.join(c.column for c in columns)}, with intervals."


def _by_chance(findings: Findings) -> str:
    p = findings.performance
    if not p.n or not wording.is_known(p.chance):
        return "Not measured: the images had no labels."
    passed = sum(c.passed for c in findings.controls)
    return (
        f"Accuracy {wording.rounded_percent(p.accuracy, 1)}; always naming the most frequent class "
        f"gives {wording.rounded_percent(p.chance, 1)}. The audit passed {passed} of "
        f"{wording.many_unbroken(len(findings.controls), 'test')} of itself."
    )


def _surest(findings: Findings) -> str:
    p = findings.performance
    if not p.surest_mistakes and not p.unsure_right:
        return "Not listed by this audit."
    wrong = wording.many_unbroken(len(p.surest_mistakes), "wrong prediction")
    right = wording.many_unbroken(len(p.unsure_right), "right one")
    return (
        f"{wrong} with the highest probability and {right} with the lowest are named under "
        "performance in findings.json."
    )


def _again(_: Findings) -> str:
    return "The command melaudit diff compares this audit with that of a later version."


QUESTIONS = (
    Question(
        "FDA draft, January 2025",
        "What is the model for, on whom, and by which reference standard was it judged?",
        _use,
    ),
    Question(
        "FDA draft, January 2025",
        "Does performance differ between groups, and where may bias come from?",
        _groups,
    ),
    Question(
        "MDCG 2025-6",
        "Does the model keep to the limits of accuracy and robustness that its purpose sets?",
        _accepted,
    ),
    Question(
        "IG-NB questionnaire",
        "Which factors may bias it, and can the label leak into the picture?",
        _opportunities,
    ),
    Question("IG-NB questionnaire", "Could it be right only by chance?", _by_chance),
    Question(
        "IG-NB questionnaire",
        "Which cases is it surest of, and least sure of?",
        _surest,
    ),
    Question(
        "IEC 63450 (draft)",
        "Does the output stay as it should when the input is changed in a known way "
        "(metamorphic tests)?",
        _robustness,
    ),
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
        ("dermoscopy",),
    ),
    Question(
        "CLEAR Derm, technical assessment",
        "How well does it do, by which measures, on which images?",
        _performance,
        ("dermoscopy",),
    ),
    Question(
        "CLEAR Derm, technical assessment",
        "Was the model examined for bias and for what it decides by?",
        _robustness,
        ("dermoscopy",),
    ),
)
