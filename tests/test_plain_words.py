"""The measure of readability agrees with textstat, and finds the words it is to find."""

import pytest

from tests.plain_words import UNWANTED, hard, lix

TEXTS = (
    "The model decides by any dark frame. Of 32 images, it predicts malignant for 17.",
    "Crop every image to the field of view, or give images of every class rings while training.",
    "In 79 % of the pairs the malignant one is greener.",
)


def test_it_agrees_with_textstat() -> None:
    textstat = pytest.importorskip("textstat", reason="needs textstat")
    for text in TEXTS:
        assert lix(text) == pytest.approx(textstat.lix(text), abs=5)


def test_long_sentences_of_long_words_are_hard() -> None:
    text = "Notwithstanding aforementioned considerations, interpretability deteriorates."
    assert set(hard({text, *TEXTS})) == {text}


@pytest.mark.parametrize(
    ("text", "unwanted"),
    [
        ("The model calls 3 images malignant.", True),
        ("23 images called otherwise show it.", True),
        ("They are decided in a like manner.", True),
        ("The model predicts malignant for 3 images, in what is called dermoscopy.", False),
    ],
)
def test_words_that_have_a_better_one_are_found(text: str, unwanted: bool) -> None:
    assert bool(UNWANTED.search(text)) is unwanted
