"""annex.md, for a technical file: each finding as failure, effect, detectability and risk control.

The words are those of risk management for medical devices (ISO 14971) and of failure mode and
effects analysis (IEC 60812): what remains after risk control is residual risk. An audit measures;
it does not accept risks, so each entry ends with what a person has to decide.
"""

from __future__ import annotations

import dataclasses

from melaudit import wording
from melaudit.findings import Evidence, Finding, Findings, Mitigated, Rung
from melaudit.gate import GateResult
from melaudit.policy import Waiver
from melaudit.reports import scales
from melaudit.reports.detectability import detectability
from melaudit.reports.formats.interface import Format
from melaudit.reports.formats.markdown import escaped, prose, table
from melaudit.reports.formats.regulation import DISCLAIMER, QUESTIONS
from melaudit.wording import terms
from melaudit.wording.detectors import mitigation_command, title_of

_HAZARDS = {
    Rung.OPPORTUNITY: "The data reward a decision by something other than {cause}; a model "
    "trained on such data may take it up.",
    Rung.ATTENTION: "The model may decide by something other than {cause}.",
    Rung.DEPENDENCE: "Decisions change with something other than {cause}: the same {object} gets "
    "another answer.",
    Rung.HARM: "Decisions change with something other than {cause}, {harm}.",
}
"""What may come of a finding, with names of `Words` in braces."""


def to_annex(findings: Findings, gate: GateResult | None = None) -> str:
    """Return the annex as Markdown; with a gate's result, waivers stand beside their findings."""
    waived = {} if gate is None else dict(gate.waived)
    lines = [*_head(findings), "", *_use(findings), "## Risks found", ""]
    if not findings.findings:
        lines += ["The audit has no findings. That is no proof of sound reasoning.", ""]
    for number, finding in enumerate(findings.findings, 1):
        lines += [*_entry(number, finding, waived.get(finding.id), findings), ""]
    lines += [
        *_excluded(findings),
        "",
        *_controls(findings),
        *_performance(findings),
        "",
        *_questions(findings),
        "",
    ]
    text = "\n".join([*lines, *_provenance(findings), "", *_signature()]) + "\n"
    return text.replace(wording.NBSP, " ")


def _head(findings: Findings) -> list[str]:
    p = findings.provenance
    return [
        f"# Annex: audit of {escaped(wording.name(p.model))}",
        "",
        f"**{terms.VERDICTS[findings.verdict]}.** {prose(findings.reason)}",
        "",
        f"Made by melaudit {escaped(p.versions.get('melaudit', ''))} on "
        f"{wording.date(p.started)}. It records what was measured; the assessment and the "
        "acceptance of risks are for the persons responsible.",
        "",
        *(f"- Note: {prose(warning)}" for warning in findings.warnings),
    ]


def _use(findings: Findings) -> list[str]:
    """Return the intended use as stated, and its limits with what became of them."""
    use = findings.intended_use
    if use is None:
        return [
            "## Intended use",
            "",
            "Not stated: a table `[intended_use]` in melaudit.toml is repeated here, and its "
            "limits are held against the results.",
            "",
        ]
    threshold = use.operating_threshold
    stated = (
        ("Purpose", use.purpose),
        ("Population", use.population),
        ("Reference standard", use.reference_standard),
        ("Operating threshold", "" if threshold is None else wording.figure(threshold)),
    )
    lines = ["## Intended use", "", "As the makers of the model state it:", ""]
    lines += [f"- **{what}**: {prose(said) if said else 'not stated'}" for what, said in stated]
    rows = [(prose(limit.statement), limit.answer.value) for limit in use.acceptance]
    if rows:
        lines += ["", *table(("Acceptance limit", "Outcome"), rows)]
    return [*lines, ""]


def _entry(number: int, finding: Finding, waiver: Waiver | None, findings: Findings) -> list[str]:
    effect = _HAZARDS[finding.rung].format(**dataclasses.asdict(findings.domain.words))
    return [
        f"### R{number}. {escaped(finding.title)}",
        "",
        f"- **Identifier**: {escaped(finding.id)}",
        f"- **Failure**: {prose(finding.statement)}",
        f"- **Effect**: {effect}",
        f"- **Severity and confidence**: {finding.severity.value}, "
        f"{wording.rounded_percent(finding.confidence)}; {terms.RUNGS[finding.rung]}.",
        f"- **Affected**: {wording.many_unbroken(len(finding.images), 'image')} of the audited ones"
        + (f"; classes {', '.join(map(escaped, finding.classes))}" if finding.classes else "")
        + ".",
        "- **Evidence**:",
        *(f"  - {_evidence(e)}" for e in finding.evidence),
        f"- **Detectability**: {detectability(findings, finding)}",
        f"- **Does not show**: {prose(finding.does_not_show)}",
        f"- **Risk control**: {_control(finding, findings)}",
        f"- **Residual risk**: {_residual(finding, waiver, findings)}",
    ]


def _done(finding: Finding, findings: Findings) -> Mitigated | None:
    """Return the latest mitigation of a finding; None where none was made."""
    return next((m for m in reversed(findings.mitigations) if m.finding == finding.id), None)


def _control(finding: Finding, findings: Findings) -> str:
    """Return what can be done, and what was done and came of it."""
    made, command = _done(finding, findings), mitigation_command(findings, finding)
    said = prose(finding.remedy)
    if made is not None:
        return (
            f"{said} Done on {wording.date(made.started)}: new weights for the last layer "
            f"({escaped(made.layer)}), {escaped(made.new_model)}, SHA-256 "
            f"{escaped(made.new_sha256)}. {wording.capitalised(made.outcome.value)}. "
            f"{prose(made.statement)}"
        )
    return f"{said} For this model as it is: `{command}`." if command else said


def _evidence(e: Evidence) -> str:
    word = "reached" if e.reached else "not reached"
    figures = [
        f"{e.name} {wording.figure(e.estimate)}",
        f"95 % interval {wording.span(e.ci_low, e.ci_high)}",
        wording.chance("p", e.p_value),
        wording.chance("q", e.q_value),
        f"n {wording.count(e.n)}",
        f"null hypothesis: {e.null}",
    ]
    line = "; ".join(f for f in figures if f)
    return f"{e.rung.value}, {word}: {prose(e.statement)} ({prose(line)})"


def _residual(finding: Finding, waiver: Waiver | None, findings: Findings) -> str:
    untested = [r for r in Rung if not any(e.rung is r for e in finding.evidence)]
    sentences = []
    if untested:
        named = ", ".join(r.value for r in untested)
        sentences.append(f"Not tested for this finding: {named}; what it is there is unknown.")
    if waiver is not None:
        sentences.append(
            f"Accepted until {waiver.expires} by {escaped(waiver.owner)}: {prose(waiver.reason)}"
        )
    elif (made := _done(finding, findings)) is not None:
        left = made.dependence.flips
        sentences.append(
            f"With the new weights, {round(1000 * left.after):,} of 1,000 decisions turn with it "
            f"beyond the placebo (n {wording.count(left.n)}). That holds where these weights are "
            "used, and another audit has to show it (`melaudit diff`); nobody has accepted it in "
            "the policy."
        )
    else:
        sentences.append(
            "Unchanged until the control is in place and shown to work by another audit "
            "(`melaudit diff`); nobody has accepted it in the policy."
        )
    return " ".join(sentences)


def _excluded(findings: Findings) -> list[str]:
    lines = ["## Looked for and not found, and what could not be tested", ""]
    rows = [
        (
            escaped(title_of(findings, n.artifact)),
            wording.count(n.n),
            scales.written(n.effect, n.minimum_detectable_effect),
            escaped(scales.plain(n.effect)),
            prose(n.statement),
        )
        for n in findings.not_found
    ]
    if rows:
        head = ("What", "Images", "Would have been seen from", "Measured as", "In words")
        lines += [*table(head, rows), ""]
    skipped = findings.skipped
    lines += [
        f"- Not tested: {escaped(title_of(findings, s.detector))}. {prose(s.reason)}"
        for s in skipped
    ]
    return lines if rows or skipped else [*lines, "Nothing."]


def _controls(findings: Findings) -> list[str]:
    if not findings.controls:
        return []
    rows = [
        (
            escaped(c.title),
            "passed" if c.passed else "failed",
            wording.count(c.n),
            prose(c.statement),
        )
        for c in findings.controls
    ]
    head = ("Control", "Outcome", "Tried", "In words")
    return ["## Tests of the audit itself", "", *table(head, rows), ""]


def _performance(findings: Findings) -> list[str]:
    p = findings.performance
    if not p.n:
        return ["## Performance", "", "Unknown: the images had no labels."]
    rows = [
        (
            escaped(wording.name(c.name)),
            wording.count(c.n),
            wording.rounded_percent(c.recall, 1),
            wording.percent_span(c.recall_low, c.recall_high, 1),
            wording.rounded_percent(c.precision, 1),
        )
        for c in p.per_class
    ]
    span = wording.percent_span(p.accuracy_low, p.accuracy_high, 1)
    return [
        "## Performance",
        "",
        f"Accuracy {wording.rounded_percent(p.accuracy, 1)} (95 % interval {span}, n "
        f"{wording.count(p.n)}).",
        "",
        *table(("Class", "Images", "Recall", "95 % interval", "Precision"), rows),
    ]


def _questions(findings: Findings) -> list[str]:
    asked = [q for q in QUESTIONS if q.asked_of(findings)]
    rows = [(q.source, q.asks, prose(q.answer(findings))) for q in asked]
    return [
        "## Questions that this audit helps to answer",
        "",
        DISCLAIMER,
        "",
        *table(("Source", "What it asks, in our words", "What this audit measured"), rows),
    ]


def _provenance(findings: Findings) -> list[str]:
    p = findings.provenance
    maps = f"{findings.explanations.status.value}; {findings.explanations.engine}"
    rows = [
        ("Model", f"{escaped(p.model)}, SHA-256 {escaped(p.model_sha256)}"),
        ("Architecture", escaped(p.architecture)),
        ("Data", f"{escaped(p.data)}, fingerprint {escaped(p.data_fingerprint)}"),
        ("Preprocessing", prose(p.preprocessing)),
        ("Maps", prose(maps)),
        ("Command", escaped(p.command)),
        ("Seed", str(p.seed)),
        ("Made", wording.moment(p.started)),
        *((escaped(name), escaped(version)) for name, version in p.versions.items()),
    ]
    return ["## Provenance", "", *table(("", ""), rows)]


def _signature() -> list[str]:
    asked = ("Decision (accepted, with measures, rejected)", "Reasons", "Name and role", "Date")
    return [
        "## Assessment and signature",
        "",
        "An audit measures. Whether the risks are acceptable is for the persons responsible.",
        "",
        *table(("", ""), [(line, "") for line in (*asked, "Signature")]),
    ]


ANNEX = Format(
    id="annex",
    file="annex.md",
    about="an annex to a technical file, with each finding as a risk",
    render=to_annex,
    for_record=True,
)
