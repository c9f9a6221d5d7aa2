"""The first screen and the claims read easily, by formulas that count words and letters.

LIX (Bjornsson 1968): the mean length of a sentence in words plus the percentage of words of more
than six letters. 40 is the level of newspapers, 50 that of official texts. The automated
readability index (Senter and Smith 1967) gives a grade of school, from letters, words and
sentences alone.
"""

from typing import Any

import pytest

from melaudit.findings import Words
from melaudit.reports.page.page import Page
from melaudit.wording import terms

MAX_LIX = 50
"""Chosen: official texts are about here; the claims of the made-up audits lie below."""

MAX_GRADE = 14
"""Chosen: nine of ten texts of real audits are at grade 11.6 or below (docs/style.md)."""

KINDS = ("ring", "nothing", "unusable")


@pytest.fixture(scope="module")
def textstat() -> Any:
    return pytest.importorskip("textstat", reason="needs textstat")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_screen_and_the_claims_read_easily(
    kind: str, pages: dict[str, Page], textstat: Any
) -> None:
    page = pages[kind]
    first = f"{page.summary.headline} {page.summary.lead}"
    answers = " ".join(f"{question}: {answer}" for question, answer in page.summary.answers)
    claims = [f"{card.title}. {card.sentence} {card.remedy}" for card in page.cards.cards]
    texts = (first, answers, *claims)

    hard = {text: lix for text in texts if (lix := textstat.lix(text)) > MAX_LIX}
    grades = {text: textstat.automated_readability_index(text) for text in texts}

    assert hard == {}
    assert {text: grade for text, grade in grades.items() if grade > MAX_GRADE} == {}


def test_counts_in_brackets_within_a_sentence_are_hard_to_read(textstat: Any) -> None:
    counts = "with a ring put in the model predicts malignant for 4 of 22 ring-free images, without"
    counts += " it for 4, with smooth light and dark for 4"
    bracketed = f"Too few images were edited to tell whether decisions depend on it ({counts})."
    apart = f"Too few images were edited to tell. {counts.capitalize()}."

    assert textstat.automated_readability_index(bracketed) > MAX_GRADE
    assert textstat.automated_readability_index(apart) < MAX_GRADE


def test_the_fixed_texts_read_easily(textstat: Any) -> None:
    fixed = (
        " ".join(terms.SEVERITIES.values()),
        " ".join(terms.TRUST.values()),
        " ".join(terms.never_shown(Words())),
        " ".join(terms.WHAT_TO_DO.values()),
    )

    assert [text for text in fixed if textstat.lix(text) > MAX_LIX] == []
