"""A mitigation as shown: the rows of its card, and its page and section."""

import dataclasses
from pathlib import Path

from melaudit.findings import Outcome
from melaudit.reports import build_page, render_report, write_mitigation_page
from melaudit.reports.page.sections.mitigations import card
from tests.reports.made_up_findings import findings
from tests.reports.made_up_mitigation import mitigated
from tests.reports.made_up_record import record


def test_shares_are_shown_of_1000_and_in_percent() -> None:
    shown = card(1, mitigated())
    own, placebo = shown.main.rows
    assert (own.before, own.after, own.change) == ("450", "20", "\u2212430")
    assert own.interval == "\u2212490 to \u2212370"
    assert placebo.name.startswith("Placebo mitigation")
    figures, groups, others = shown.tables
    assert (figures.rows[0].before, figures.rows[0].change) == ("90.0", "\u22121.0")
    assert groups.rows[0].note == "more than 2 points lost"
    assert others.rows[0].note == "follows it more"


def test_sign_and_word_say_the_outcome() -> None:
    for outcome, kind in zip(Outcome, ("pass", "inconclusive", "fail"), strict=True):
        shown = card(1, mitigated(outcome))
        assert (shown.kind, shown.outcome) == (kind, outcome.value)


def test_the_page_escapes_and_names_the_next_commands(tmp_path: Path) -> None:
    made = dataclasses.replace(mitigated(), title="<b>ring</b>")
    write_mitigation_page(made, findings(), tmp_path / "mitigation.html")
    text = (tmp_path / "mitigation.html").read_text(encoding="utf-8")
    assert "<b>ring" not in text and "&lt;b&gt;ring" in text
    assert "melaudit run --model fixed.safetensors" in text


def test_a_report_shows_mitigations_only_where_there_are_some() -> None:
    plain = record()
    done = dataclasses.replace(
        plain, findings=dataclasses.replace(plain.findings, mitigations=(mitigated(),))
    )
    assert "mitigations" not in {link.anchor for link in build_page(plain).contents}
    assert 'id="mitigations"' in render_report(done)
    (first, *_) = build_page(plain).cards.cards
    assert first.command.startswith("melaudit mitigate ")
