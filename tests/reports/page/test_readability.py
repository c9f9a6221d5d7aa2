"""The first screen and the claims read easily, by formulas that count words and letters.

LIX (Bjornsson 1968): the mean length of a sentence in words plus the percentage of words of more
than six letters. 40 is the level of newspapers, 50 that of official texts.
"""

from typing import Any

import pytest

from melaudit.findings import Words
from melaudit.reports.page.page import Page
from melaudit.wording import terms

MAX_LIX = 50
"""Chosen: official texts are about here; the claims of the made-up audits lie below."""

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

    hard = {
        text: lix for text in (first, answers, *claims) if (lix := textstat.lix(text)) > MAX_LIX
    }

    assert hard == {}


def test_the_fixed_texts_read_easily(textstat: Any) -> None:
    fixed = (
        " ".join(terms.SEVERITIES.values()),
        " ".join(terms.TRUST.values()),
        " ".join(terms.never_shown(Words())),
        " ".join(terms.WHAT_TO_DO.values()),
    )

    assert [text for text in fixed if textstat.lix(text) > MAX_LIX] == []
