"""Examples are found by what they do: what an image gives to others moves their decisions, or not.

What few images show has few places like it, and several things (stickers of many colours) have no
likeness of their own, so no rule about what a class shows finds them. What moves decisions needs no
such rule: each image of a class gives what it has to some images decided otherwise, beside what one
of these gives them. The images that move decisions farthest are examples. (Singh et al. 2012 mine
patches by what they tell apart; here it is by what they do.) It is done on the half of the images
that things are chosen on, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB
from melaudit.audit.discovery.parts import of_class_and_others
from melaudit.audit.discovery.screening import shifts
from melaudit.audit.edits.answers import Answers
from melaudit.audit.edits.attempts import Attempt
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.groups.exclusive import MAX_SHARE_OF_OTHERS, MIN_OTHERS_TO_TEST
from melaudit.audit.groups.strategies import smallest_group
from melaudit.measurements import Edit, Measurements

LOOKED_AT = 48
"""Images of a class that give what they have, at most. Limits the time."""
INTO = 2
"""Images that each of them gives it to. Chosen on models with known plants, where 1 to 4 find
examples about as well."""
RECIPIENTS = 16
"""Images that these are taken from. Chosen, not measured."""
MIN_EXAMPLES, MAX_EXAMPLES = 6, 10
"""Examples of a class, as far as there are images that move decisions; beyond the first ones, only
those that move them far. Chosen on models with known plants."""
OWN, OTHER = Edit("own", "what the image has"), Edit("other", "what another image has")

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Give = Callable[[int, int, RGB], RGB | None]
"""give(k, row, recipient (h, w, 3)) -> the recipient, with what an image (row) has where the k-th
of the class has it; None if that image cannot be read any more."""


@dataclass(frozen=True)
class Givers:
    """Images of a predicted class, and images to which they may give what they have."""

    predicted: int
    rows: Rows
    """(n,)"""
    others: Rows
    """(m,) images decided otherwise, and of other classes."""


@dataclass(frozen=True)
class Pushes:
    """How far decisions are moved to the class by what its images give to others."""

    moved: Floats
    """(n,) in log-odds, beyond what some of these others give."""
    far: float
    """What one in twenty of those others reaches, beside another of them."""

    @property
    def examples(self) -> Rows:
        """(d,) which of the images move decisions farthest, the farthest first."""
        most = min(max(int((self.moved > self.far).sum()), MIN_EXAMPLES), MAX_EXAMPLES)
        ordered = np.argsort(-self.moved, kind="stable")[:most]
        chosen: Rows = ordered[self.moved[ordered] > 0]
        return chosen

    @property
    def still(self) -> Bools:
        """(n,) which of the images move none."""
        still: Bools = self.moved <= 0
        return still


def givers(table: Measurements, rows: Bools, index: int) -> Givers | None:
    """Return the images of a class, among some rows (n,); None for too few of them or of others."""
    own, others = of_class_and_others(table, index, rows)
    others = others[table.predictions[others] != index]
    if len(others) < MIN_OTHERS_TO_TEST or len(own) < 2 * smallest_group(len(own)):
        return None
    return Givers(index, own, others)


def pushes(those: Givers, give: Give, table: Measurements, laboratory: Laboratory) -> Pushes:
    """Let the images of a class give what they have to others; the same for a seed."""
    rng = np.random.default_rng(table.seed)
    # The last ones: candidates are put into the first ones, to tell how far they move decisions.
    recipients = rng.permutation(those.others)[-RECIPIENTS:]
    of: list[tuple[int, str]] = []

    def attempts() -> Iterator[Attempt]:
        for k, row in enumerate(those.rows.tolist()):
            into = rng.permutation(recipients)[:INTO]
            beside = rng.choice(those.others, INTO)
            for place, (recipient, picture) in enumerate(laboratory.pictures(into)):
                for edit, donor in ((OWN, row), (OTHER, int(beside[place]))):
                    given = give(k, donor, picture)
                    if given is not None:
                        of.append((k, edit.id))
                        yield Attempt(edit, recipient, 1.0, given)

    answers = Answers()
    answers.ask(laboratory, attempts())
    size = len(those.rows)
    if not of:
        return Pushes(np.zeros(size), 0.0)
    change = shifts(np.stack(answers.before), np.stack(answers.after), those.predicted)
    giver, edit = (np.array(each) for each in zip(*of, strict=True))

    def mean(which: Edit) -> Floats:
        some = edit == which.id
        total = np.bincount(giver[some], change[some], size)
        mean: Floats = total / np.maximum(np.bincount(giver[some], minlength=size), 1)
        return mean

    other = mean(OTHER)
    chance = other - np.roll(other, 1)
    far = float(np.quantile(chance, 1 - MAX_SHARE_OF_OTHERS, method="higher"))
    return Pushes(mean(OWN) - other, far)
