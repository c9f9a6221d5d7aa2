"""Tests of what would have been seen."""

from melaudit.reports.page.page import Page


def test_what_was_not_found_is_listed_with_the_least_effect(pages: dict[str, Page]) -> None:
    ruler, ink = pages["ring"].not_found

    assert (ruler.artifact, ruler.n, ruler.least) == ("Ruler or scale", "64", "9.0\u00a0%")
    assert ink.least == "\u2013"


def test_controls_say_whether_the_audit_passed_its_own_test(pages: dict[str, Page]) -> None:
    permuted, planted = pages["ring"].controls

    assert (permuted.title, permuted.word, permuted.figure, permuted.n) == (
        "Labels dealt out anew",
        "passed",
        "2\u00a0%",
        "40",
    )
    assert (planted.kind, planted.figure) == ("fail", "\u2013")
