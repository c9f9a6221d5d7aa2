"""Texts held to docs/style.md: they read easily, and use its words."""

from __future__ import annotations

import re

MAX_LIX = 50
"""Official texts are about here; newspapers at 40 (Bjornsson 1968)."""
UNWANTED = re.compile(
    r"\b(model|it) (calls|says)\b|\bcalled (malignant|benign|otherwise)\b"
    r"|\bin a like manner\b|\bin vain\b",
    re.IGNORECASE,
)
"""What docs/style.md has another word for."""
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_STOP = re.compile(r"[.:!?](?=\s|$)")


def lix(text: str) -> float:
    """Return the mean length of a sentence in words plus the percentage of words over 6 letters."""
    words = _WORD.findall(text)
    long = sum(len(word) > 6 for word in words)
    return len(words) / max(1, len(_STOP.findall(text))) + 100 * long / max(1, len(words))


def hard(texts: set[str]) -> dict[str, float]:
    """Return the texts that read harder than allowed, with their LIX."""
    return {text: value for text in texts if (value := lix(text)) > MAX_LIX}
