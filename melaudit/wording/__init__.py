"""How figures, names and sentences are written, and what the words of an audit mean.

Reports take from here what they need; detectors take it from the modules.
"""

from melaudit.wording.figures import (
    DASH,
    MINUS,
    NBSP,
    chance,
    count,
    date,
    duration,
    figure,
    is_known,
    moment,
    percent_digits,
    percent_span,
    rounded_percent,
    span,
)
from melaudit.wording.names import human, name, visible_as_code_points
from melaudit.wording.sentences import (
    capitalised,
    frequencies,
    many_unbroken,
    not_used,
    unbroken,
)

__all__ = [
    "DASH",
    "MINUS",
    "NBSP",
    "capitalised",
    "chance",
    "count",
    "date",
    "duration",
    "figure",
    "frequencies",
    "human",
    "is_known",
    "many_unbroken",
    "moment",
    "name",
    "not_used",
    "percent_digits",
    "percent_span",
    "rounded_percent",
    "span",
    "unbroken",
    "visible_as_code_points",
]
