"""Two audits side by side: what is new, fixed, worse, better, the same, and what cannot be said."""

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from melaudit.findings import (
    Evidence,
    Finding,
    Findings,
    Missing,
    NotFound,
    Rung,
    Severity,
    Shortfall,
    Skipped,
    Verdict,
)
from melaudit.reports import compare, comparison_plain, comparison_text, render_comparison
from melaudit.reports.comparison.changes import Change
from melaudit.reports.comparison.page import build_comparison_page
from melaudit.reports.interface import Record


@pytest.fixture
def ring(records: dict[str, Record]) -> Findings:
    return records["ring"].findings


def weaker(finding: Finding, rung: Rung, value: float, low: float, high: float) -> Finding:
    """Return a finding whose figure on one rung is another, and those above are gone."""

    def changed(e: Evidence) -> Evidence:
        return replace(e, estimate=value, ci_low=low, ci_high=high) if e.rung is rung else e

    evidence = tuple(changed(e) for e in finding.evidence if e.rung.rank <= rung.rank)
    return replace(finding, evidence=evidence)


def test_the_first_line_says_that_the_ring_dependence_differs_and_by_how_much(
    ring: Findings,
) -> None:
    clean = weaker(ring.findings[0], Rung.DEPENDENCE, 0.02, -0.01, 0.05)
    evidence = tuple(
        replace(e, reached=e.reached and e.rung is not Rung.DEPENDENCE) for e in clean.evidence
    )
    clean = replace(clean, evidence=evidence, severity=Severity.LOW, rung=Rung.OPPORTUNITY)
    after = replace(ring, findings=(clean,))
    first = comparison_text(compare(ring, after)).splitlines()[0]
    assert first.startswith("Better: Black ring of the dermatoscope; dependence on the dark ring")
    assert "0.807 before, 0.02 after, a change of \u22120.787 (95 % interval" in first
    comparison = compare(ring, after)
    assert comparison.changes[0].figures[0].rung is Rung.DEPENDENCE  # the highest both have


def test_a_severity_that_fell_because_nobody_looked_is_not_better(ring: Findings) -> None:
    full = ring.findings[0]
    looked = tuple(e for e in full.evidence if e.rung.rank <= Rung.ATTENTION.rank)
    less = replace(full, evidence=looked, rung=Rung.ATTENTION, severity=Severity.HIGH)
    short = replace(ring, findings=(less,))
    lost = compare(ring, short).changes[0]
    assert lost.change is Change.UNTESTED
    assert "harm was not tested after" in lost.statement
    found = compare(short, ring).changes[0]
    assert found.change is Change.NEW
    assert "harm was not tested before" in found.statement


def test_an_audit_against_itself_changes_nothing(ring: Findings) -> None:
    comparison = compare(ring, ring)
    assert {c.change for c in comparison.changes} == {Change.UNCHANGED}
    assert comparison.cautions == ()
    assert comparison.headline.startswith("No finding differs")


def test_a_finding_that_was_looked_for_in_vain_is_fixed_with_what_would_have_been_seen(
    ring: Findings,
) -> None:
    sought = NotFound("dark_ring", 90, 0.1, "share", "An effect of 10 points would have been seen.")
    after = replace(ring, findings=ring.findings[1:], not_found=(sought,))
    change = next(c for c in compare(ring, after).changes if c.id == "dark_ring.malignant")
    assert change.change is Change.FIXED
    assert "An effect of 10 points would have been seen" in change.statement


def test_a_finding_that_could_not_be_looked_for_is_never_called_fixed(ring: Findings) -> None:
    after = replace(
        ring,
        findings=ring.findings[1:],
        skipped=(Skipped("dark_ring", "withheld: the maps are unusable"),),
    )
    change = compare(ring, after).changes[0]
    assert change.change is Change.UNTESTED
    assert "the maps are unusable" in change.statement


def test_what_was_left_out_is_neither_fixed_nor_news_of_the_model(ring: Findings) -> None:
    """As with --without dark_ring, where no list of what was skipped names it."""
    rest = tuple(d for d in ring.detectors if d.id != "dark_ring")
    without = replace(ring, findings=ring.findings[1:], detectors=rest)
    assert len(rest) == len(ring.detectors) - 1
    gone = compare(ring, without).changes[0]
    assert gone.change is Change.UNTESTED
    assert "after, the second audit did not look (its detector was left out" in gone.statement
    assert "no longer found" not in gone.statement
    new = compare(without, ring).changes[0]
    assert new.change is Change.NEW
    assert "the first audit did not look (its detector was left out" in new.statement
    unlisted = replace(without, detectors=())  # of a melaudit that wrote no list
    assert compare(ring, unlisted).changes[0].change is Change.FIXED


def test_a_new_finding_comes_first_and_is_named_new(ring: Findings) -> None:
    before = replace(ring, findings=ring.findings[1:])
    comparison = compare(before, ring)
    assert comparison.changes[0].change is Change.NEW
    assert comparison.headline.startswith("New: Black ring of the dermatoscope; harm by the dark")


def test_a_figure_that_moved_beyond_its_interval_is_worse_at_the_same_severity(
    ring: Findings,
) -> None:
    mild = weaker(ring.findings[0], Rung.DEPENDENCE, 0.2, 0.1, 0.3)
    strong = weaker(ring.findings[0], Rung.DEPENDENCE, 0.8, 0.7, 0.9)
    before, after = replace(ring, findings=(mild,)), replace(ring, findings=(strong,))
    assert compare(before, after).changes[0].change is Change.WORSE
    assert compare(after, before).changes[0].change is Change.BETTER
    near = weaker(ring.findings[0], Rung.DEPENDENCE, 0.22, 0.1, 0.33)
    assert compare(before, replace(ring, findings=(near,))).changes[0].change is Change.UNCHANGED


def test_what_is_said_of_the_same_images_alone_is_no_change_of_a_model(ring: Findings) -> None:
    light = Evidence(
        Rung.OPPORTUNITY, "lightness", 0.8, 0.7, 0.9, 0.001, 0.01, 90, "none", True, "s"
    )
    grey = replace(
        ring.findings[0],
        id="light",
        title="Skin is darker",
        severity=Severity.LOW,
        rung=Rung.OPPORTUNITY,
        evidence=(light,),
    )
    greyer = replace(grey, evidence=(replace(light, estimate=0.9, ci_low=0.89, ci_high=0.91),))
    model = ring.findings[0]
    before = replace(ring, findings=(model, grey))
    after = replace(
        ring,
        findings=(model, greyer),
        provenance=replace(ring.provenance, model_sha256="f" * 64),
    )
    first, last = compare(before, after).changes
    assert (first.id, last.id) == (model.id, "light")
    assert last.change is Change.UNCHANGED and last.figures == ()
    assert last.statement.endswith("said of the images, which are the same in both audits.")
    # Of other images it can change, and still comes last.
    other = replace(after, provenance=replace(after.provenance, data_fingerprint="e" * 64))
    assert [c.of_images for c in compare(before, other).changes] == [False, True]


def test_the_worst_finding_comes_first_also_where_it_did_not_change(ring: Findings) -> None:
    other = replace(ring.findings[0], id="vignette", title="Vignettes", severity=Severity.LOW)
    before, after = (
        replace(ring, findings=(ring.findings[0], other)),
        replace(ring, findings=(ring.findings[0],)),
    )
    headline = compare(before, after).headline
    assert headline.startswith("Unchanged: Black ring of the dermatoscope")


def test_a_fixed_shortcut_is_headed_by_its_being_gone_and_by_the_verdicts(ring: Findings) -> None:
    after = replace(ring, findings=(), verdict=Verdict.PASS)
    headline = compare(ring, after).headline
    assert headline.startswith("Fail before, pass after. Fixed: \u201cBlack ring")
    assert "\u201d is no longer found;" in headline


@pytest.mark.parametrize(
    ("missing", "change"),
    [(Missing.UNTESTED, Change.UNTESTED), (Missing.UNDECIDED, Change.GONE)],
)
def test_what_the_second_audit_did_not_exclude_is_not_fixed(
    ring: Findings, missing: Missing, change: Change
) -> None:
    artifact = ring.findings[0].artifact
    assert artifact is not None
    open_ = Shortfall(missing, artifact, "Ring", "no image was edited", "Edit.")
    after = replace(ring, findings=(), shortfalls=(open_,))
    first = compare(ring, after).changes[0]
    assert first.change is change
    assert "no image was edited" in first.statement


def test_accuracy_on_the_same_images_is_that_of_pairs(ring: Findings) -> None:
    other = replace(ring, provenance=replace(ring.provenance, model_sha256="f" * 64))
    right = np.arange(200) < 160
    same = compare(ring, other, (right, right))
    assert same.accuracy is not None
    assert (same.accuracy.low, same.accuracy.high) == (0, 0)
    assert "right and wrong on the same of 200 images" in same.accuracy_statement
    better = np.arange(200) < 170
    change = compare(ring, other, (right, better)).accuracy
    assert change is not None and change.clear
    assert change.change == pytest.approx(0.05)
    # Of 200 pairs 10 differ, all one way: far surer than of two samples of 200.
    assert 0.01 < change.low < change.change < change.high < 0.1
    alone = compare(ring, other)
    assert "at most 95 % interval" in alone.accuracy_statement
    assert "in both audits" in compare(ring, ring).accuracy_statement


@pytest.mark.parametrize(
    ("field", "tag"),
    [
        ("data_fingerprint", "other images"),
        ("preprocessing", "other preprocessing"),
        ("classes", "other classes"),
    ],
)
def test_audits_that_cannot_be_compared_say_so_in_the_first_line(
    ring: Findings, field: str, tag: str
) -> None:
    value: Any = ("a", "b") if field == "classes" else "another"
    after = replace(ring, provenance=replace(ring.provenance, **{field: value}))
    comparison = compare(ring, after)
    assert [c.tag for c in comparison.cautions] == [tag]
    assert tag in comparison_text(comparison).splitlines()[0]
    assert comparison_plain(comparison)["comparable"] is False


def test_the_json_is_json_and_says_what_the_text_says(ring: Findings) -> None:
    after = replace(ring, findings=ring.findings[:1])
    plain = comparison_plain(compare(ring, after))
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["counts"] == {
        "new": 0,
        "worse": 0,
        "no longer tested": 0,
        "no longer found": 0,
        "fixed": 1,
        "better": 0,
        "unchanged": 1,
    }


def test_the_page_shows_every_change_and_figure(ring: Findings) -> None:
    after = replace(ring, findings=ring.findings[:1])
    page = build_comparison_page(compare(ring, after))
    assert [card.word for card in page.cards] == ["unchanged", "fixed"]
    assert len(page.cards[0].figures) == 3  # that of the same images alone is none
    html = render_comparison(ring, after)
    assert all(card.statement.replace("'", "&#39;") in html for card in page.cards)
    assert "http" not in html.replace("http-equiv", "")


def test_hostile_names_are_harmless_in_page_and_text(records: dict[str, Record]) -> None:
    evil, ring = records["hostile"].findings, records["ring"].findings
    for before, after in ((evil, ring), (ring, evil), (evil, evil)):
        html = render_comparison(before, after)
        assert "<img" not in html
        assert "<script" not in html
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u200b\ufeff]", html)
        text = comparison_text(compare(before, after))
        assert all(line.isprintable() for line in text.splitlines())


def test_a_claim_about_another_class_is_named_as_such(ring: Findings) -> None:
    other = replace(ring.findings[0], classes=("benign",))
    change = next(
        c
        for c in compare(ring, replace(ring, findings=(other,))).changes
        if c.id == "dark_ring.malignant"
    )
    assert "about malignant before and benign after" in change.statement


def test_what_was_looked_for_on_several_rungs_is_told_by_the_highest(ring: Findings) -> None:
    sought = tuple(
        NotFound("dark_ring", 90, 0.1, effect, f"By {effect}.") for effect in ("odds", "decisions")
    )
    after = replace(ring, findings=ring.findings[1:], not_found=sought)
    change = next(c for c in compare(ring, after).changes if c.id == "dark_ring.malignant")
    assert change.statement.endswith("By decisions.")


def test_a_control_that_ended_otherwise_is_a_caution(records: dict[str, Record]) -> None:
    before = records["ring"].findings
    good, bad = before.controls
    after = replace(before, controls=(replace(good, passed=False), bad))

    (caution,) = compare(before, after).cautions

    assert caution.tag == "other control"
    assert "\u201cLabels dealt out anew\u201d passed before and failed after" in caution.statement
    assert compare(replace(before, controls=()), after).cautions == ()


def _discovered(finding: Finding, identity: str, images: tuple[str, ...]) -> Finding:
    return replace(finding, id=identity, detector=identity, artifact=identity, images=images)


def test_what_was_discovered_is_one_where_most_of_its_images_are(ring: Findings) -> None:
    first, images = ring.findings[0], tuple("abcd")
    before = replace(ring, findings=(_discovered(first, "discovered_1", images),))
    renamed = (_discovered(first, "discovered_green_bar", tuple("abce")),)
    (change,) = compare(before, replace(ring, findings=renamed)).changes
    assert change.change is Change.UNCHANGED
    assert (change.before, change.after) == (before.findings[0], renamed[0])


def test_a_number_is_no_name_and_what_nobody_tried_again_is_not_fixed(ring: Findings) -> None:
    first = ring.findings[0]
    before = replace(ring, findings=(_discovered(first, "discovered_1", tuple("abcd")),))
    other = replace(ring, findings=(_discovered(first, "discovered_1", tuple("wxyz")),))
    changes = {c.change for c in compare(before, other).changes}
    assert changes == {Change.UNTESTED, Change.NEW}
    gone = replace(ring, findings=(), not_found=(NotFound("discovered_1", 9, None, "", "no."),))
    (change,) = compare(before, gone).changes
    assert change.change is Change.UNTESTED
    named = replace(ring, findings=(_discovered(first, "discovered_ink", tuple("abcd")),))
    again = replace(named, findings=(_discovered(first, "discovered_ink", tuple("wxyz")),))
    (change,) = compare(named, again).changes
    assert change.change is Change.UNCHANGED
    lost = replace(ring, findings=(), not_found=(NotFound("discovered_ink", 9, None, "", "no."),))
    (change,) = compare(named, lost).changes
    assert change.change is Change.GONE
