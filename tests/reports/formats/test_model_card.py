"""The model card: metadata that the Hub's own library reads, and words that keep their limits."""

from typing import Any

import pytest

from melaudit.reports import to_model_card
from melaudit.reports.interface import Record

KINDS = ("ring", "hostile", "unusable", "nothing", "unlabelled", "crowd")


@pytest.mark.parametrize("kind", KINDS)
def test_the_hub_reads_its_metadata(
    kind: str, records: dict[str, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub: Any = pytest.importorskip("huggingface_hub", reason="comes with the extra timm")
    findings = records[kind].findings
    card = hub.ModelCard(to_model_card(findings))
    assert card.data.pipeline_tag == "image-classification"
    results = card.data.eval_results or []
    figures = {(r.metric_type, r.metric_name): r.metric_value for r in results}
    if kind == "unlabelled":
        assert figures == {}
    else:
        assert figures["accuracy", "Accuracy"] == findings.performance.accuracy
        assert len(figures) == 2 + len(findings.performance.per_class)


def test_the_card_gives_every_claim_its_limit_and_says_what_it_cannot_know(
    records: dict[str, Record],
) -> None:
    findings = records["ring"].findings
    text = to_model_card(findings)
    for finding in findings.findings:
        assert finding.title in text
        assert finding.does_not_show in text
        assert finding.remedy in text
    assert "Intended use, training data, licence and whom to ask are for those who made" in text
    assert "An effect of 9 points or more would have been seen for rulers (n 64)." in text
    assert "- A planted mark, failed: It was missed." in text
    assert "90.9 %" in text and "88.9 to 92.6 %" in text


def test_hostile_names_do_nothing(records: dict[str, Record]) -> None:
    text = to_model_card(records["hostile"].findings)
    body = text.split("---\n", 2)[2].replace("<!-- -->", "")
    assert "<" not in body and "{{" not in body
    assert all(c.isprintable() or c in "\n\u00a0" for c in text)
