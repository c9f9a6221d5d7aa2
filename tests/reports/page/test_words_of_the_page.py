"""The words of a whole page: one way to write counts, and links to the glossary that lead there."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from melaudit.reports import render_report
from melaudit.reports.interface import Record
from melaudit.reports.page.glossary import GLOSSARY, anchor

KINDS = ("ring", "unusable", "nothing", "unlabelled", "crowd")
CODE = re.compile(r"<(style|script|svg)\b.*?</\1>", re.S)
COUNTED = re.compile(r"(?<![\d.,\u2212-])(\d[\d,]*) of (\d[\d,]*)\b(?!\.\d)")
TAGS = re.compile(r"<[^>]*>")


@pytest.fixture(scope="module")
def texts(records: dict[str, Record]) -> dict[str, str]:
    """Return each kind of page without style, script and drawings."""
    return {kind: CODE.sub(" ", render_report(records[kind])) for kind in KINDS}


def test_what_is_counted_is_so_many_of_so_many(texts: dict[str, str]) -> None:
    counted = 0
    for text in texts.values():
        words = " ".join(TAGS.sub(" ", text).replace("\u00a0", " ").split())
        for part, whole in re.findall(
            r"(?<![\d.,\u2212-])(\d[\d,]*) of (\d[\d,]*)\b(?!\.\d)", words
        ):
            assert int(part.replace(",", "")) <= int(whole.replace(",", "")), (part, whole)
            counted += 1
        assert not re.search(r"\b\d+ ?/ ?\d+ (images|ones|checks|tests)\b", words)
        assert not re.search(r"\d ?(percent|per cent|pct)\b", words)
        assert not re.search(r"\d [%] of \d+ images", words)
    assert counted > 20


def test_words_of_the_glossary_lead_to_it_and_once_in_a_text(texts: dict[str, str]) -> None:
    known = {anchor(term) for term, _ in GLOSSARY}
    for text in texts.values():
        there = re.findall(r'id="(word-[^"]+)"', text)
        assert set(there) == known
        assert max(Counter(there).values()) == 1
        for block in re.split(r"</p>|</li>|</td>", text):
            linked = Counter(re.findall(r'class="term" href="#([^"]+)"', block))
            assert set(linked) <= known
            assert not linked or max(linked.values()) == 1, block
    of_ring = set(re.findall(r'class="term" href="#([^"]+)"', texts["ring"]))
    assert {"word-rung", "word-suspicion"} <= of_ring
