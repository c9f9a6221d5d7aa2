"""model_card.md: what an audit can say for a model card, with the metadata of the Hugging Face Hub.

A model card (Mitchell et al. 2019) is written by those who made the model. This one fills in what
an audit measures (evaluation, limitations, risks) and names what it cannot know.
"""

from __future__ import annotations

from pathlib import PurePath

from melaudit import wording
from melaudit.findings import Findings, Performance
from melaudit.reports.formats.interface import Format
from melaudit.reports.formats.markdown import escaped, prose, table, yaml_text
from melaudit.wording import terms
from melaudit.wording.detectors import title_of


def to_model_card(findings: Findings) -> str:
    """Return the model card of an audited model as Markdown with YAML metadata."""
    blocks = (
        _metadata(findings),
        _head(findings),
        _evaluation(findings),
        _limitations(findings),
        _trust(findings),
        _reproduce(findings),
    )
    text = "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"
    return text.replace(wording.NBSP, " ")


def _metadata(findings: Findings) -> list[str]:
    """Return the YAML head: `model-index`, as the Hub reads evaluation results."""
    p = findings.provenance
    name = yaml_text(PurePath(p.model).stem or p.model)
    lines = [
        "---",
        "pipeline_tag: image-classification",
        "tags:",
        "- image-classification",
        "- melaudit",
    ]
    metrics = _metrics(findings.performance)
    if metrics:
        data = yaml_text(p.data)
        lines += [
            "model-index:",
            f"- name: {name}",
            "  results:",
            "  - task:",
            "      type: image-classification",
            "    dataset:",
            f"      name: {data}",
            f"      type: {data}",
            "    metrics:",
        ]
        for kind, title, value in metrics:
            lines += [
                f"    - type: {kind}",
                f"      name: {yaml_text(title)}",
                f"      value: {value!r}",
            ]
    return [*lines, "---"]


def _metrics(p: Performance) -> list[tuple[str, str, float]]:
    known = []
    if wording.is_known(p.accuracy):
        known.append(("accuracy", "Accuracy", float(p.accuracy or 0)))
    if wording.is_known(p.auc):
        known.append(("roc_auc", "Area under the ROC curve", float(p.auc or 0)))
    known += [
        ("recall", f"Recall of {c.name}", float(c.recall or 0))
        for c in p.per_class
        if wording.is_known(c.recall)
    ]
    return known


def _head(findings: Findings) -> list[str]:
    p = findings.provenance
    return [
        f"# {escaped(wording.name(p.model))}",
        "",
        f"**Audit: {terms.VERDICTS[findings.verdict]}.** {prose(findings.reason)}",
        "",
        f"An image classifier ({escaped(p.architecture)}) with the classes "
        f"{', '.join(escaped(wording.name(c)) for c in p.classes)}. This card holds what an audit "
        f"by melaudit on {wording.date(p.started)} measured. Intended use, training data, licence "
        "and whom to ask are for those who made the model to add.",
        "",
        *(f"- Note: {prose(warning)}" for warning in findings.warnings),
    ]


def _evaluation(findings: Findings) -> list[str]:
    p, i = findings.performance, findings.inputs
    lines = ["## Evaluation", ""]
    lines.append(
        prose(
            f"{wording.many_unbroken(i.read, 'image')} of {findings.provenance.data} "
            f"were read, {wording.not_used(i.lost, i.unseen_folders, 'could not be used')}. "
            f"Preprocessing: {findings.provenance.preprocessing}."
        )
    )
    if not p.n or p.accuracy is None:
        return [*lines, "", "The images had no labels, so performance is unknown."]
    rows = [
        (
            "Accuracy",
            wording.count(p.n),
            wording.rounded_percent(p.accuracy, 1),
            wording.percent_span(p.accuracy_low, p.accuracy_high, 1),
        )
    ]
    if wording.is_known(p.auc):
        rows.append(("Area under the ROC curve", wording.count(p.n), f"{p.auc:.3f}", ""))
    rows += [
        (
            f"Recall of {escaped(wording.name(c.name))}",
            wording.count(c.n),
            wording.rounded_percent(c.recall, 1),
            wording.percent_span(c.recall_low, c.recall_high, 1),
        )
        for c in p.per_class
    ]
    return [*lines, "", *table(("Figure", "Images", "Value", "95 % interval"), rows)]


def _limitations(findings: Findings) -> list[str]:
    lines = ["## Risks and limitations", ""]
    if not findings.findings:
        lines += ["The audit has no findings. That is no proof of sound reasoning.", ""]
    for f in findings.findings:
        lines += [
            f"### {escaped(f.title)}",
            "",
            f"Severity {f.severity.value}; {terms.RUNGS[f.rung]}. {prose(f.statement)}",
            "",
            *(f"- {e.rung.value}: {prose(e.statement)}" for e in f.evidence),
            "",
            f"Does not show: {prose(f.does_not_show)}",
            "",
            f"What to do: {prose(f.remedy)}",
            "",
        ]
    if findings.not_found:
        lines += ["### Looked for and not found", ""]
        lines += [f"- {prose(n.statement)}" for n in findings.not_found] + [""]
    if findings.controls:
        lines += ["### Controls of the audit itself", ""]
        lines += [
            f"- {escaped(c.title)}, {'passed' if c.passed else 'failed'}: {prose(c.statement)}"
            for c in findings.controls
        ]
        lines.append("")
    if findings.skipped:
        lines += ["### Could not be tested", ""]
        lines += [
            f"- {escaped(title_of(findings, s.detector))}: {prose(s.reason)}"
            for s in findings.skipped
        ]
        lines.append("")
    lines += ["### What no audit shows", ""]
    return [*lines, *(f"- {prose(line)}" for line in terms.never_shown(findings.domain.words))]


def _trust(findings: Findings) -> list[str]:
    e = findings.explanations
    return [
        "## Can the relevance maps be trusted?",
        "",
        f"{e.status.value.capitalize()}. {terms.TRUST[e.status]} Made by: {prose(e.engine)}.",
        "",
        *(
            f"- {escaped(title_of(findings, c.id))}: {c.status.value}. {prose(c.statement)}"
            for c in e.checks
        ),
    ]


def _reproduce(findings: Findings) -> list[str]:
    p = findings.provenance
    rows = [
        ("Command", escaped(p.command)),
        ("SHA-256 of the model", escaped(p.model_sha256)),
        ("Fingerprint of the data", escaped(p.data_fingerprint)),
        ("Seed", str(p.seed)),
        ("Device", escaped(p.device)),
        ("Made", f"{wording.moment(p.started)}"),
        *((escaped(name), escaped(version)) for name, version in p.versions.items()),
    ]
    return ["## How to repeat it", "", *table(("", ""), rows)]


MODEL_CARD = Format(
    id="model-card",
    file="model_card.md",
    about="a model card in Markdown, with the metadata of the Hugging Face Hub",
    render=lambda findings, _: to_model_card(findings),
    for_record=True,
)
