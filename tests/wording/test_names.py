"""Tests of how names that others gave are shown."""

import pytest

from melaudit import wording
from melaudit.wording.names import safe_cell, visible


@pytest.mark.parametrize(
    "character",
    ["\u202e", "\u200b", "\ufeff", "\x1b", "\n", "\x00", "\udcff", "\u2028", "\u2066", "\x7f"],
)
def test_a_character_that_hides_or_acts_is_shown_as_its_code_point(character: str) -> None:
    shown = wording.visible_as_code_points(f"a{character}b")

    assert character not in shown
    assert f"U+{ord(character):04X}" in shown


def test_ordinary_text_of_any_script_stays_as_it_is() -> None:
    for text in ("melanoma.jpg", "Fläche é ß", "黒子", "μ = 0.5", "a\u00a0b"):
        assert wording.visible_as_code_points(text) == text


def test_a_long_name_loses_its_middle_and_keeps_its_end() -> None:
    shown = wording.name("x" * 300 + "_0042.jpg", 40)

    assert len(shown) == 40
    assert shown.endswith("_0042.jpg")


def test_an_identifier_is_said_in_words() -> None:
    assert wording.human("dark_ring") == "dark ring"
    assert wording.human("property_label.colour") == "property label: colour"
    assert wording.human("jpeg_quality") == "JPEG quality"


def test_messages_show_a_hidden_character_as_an_escape_and_reports_as_a_code_point() -> None:
    assert visible("a\u202eb") == "a\\u202eb"
    assert wording.visible_as_code_points("a\u202eb") == "a\u27e8U+202E\u27e9b"


def test_in_messages_different_names_stay_different() -> None:
    assert visible("a\u202eb") != visible("a\\u202eb") == "a\\\\u202eb"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", " =1", "=cmd|' /C calc'!A0", "\uff1d1"])
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(name: str) -> None:
    assert safe_cell(name).startswith("'")


def test_an_ordinary_name_stays_as_it_is_in_a_cell() -> None:
    assert safe_cell("malignant/ISIC_0001.jpg") == "malignant/ISIC_0001.jpg"
