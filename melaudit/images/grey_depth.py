"""Which value is white in grey images of 16 bits.

Scanners and cameras make 10, 12 or 14 bits, and files keep them in 16. Read on the scale of 16 bits
such images are nearly black. PNG and TIFF can say how many bits count, and few files do; so the
largest value of the images that are looked at decides too. It is one value for all images of a data
set, because their brightness would else depend on what each of them happens to show.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from melaudit.images.imagefile import FULL_WHITE, Read, read_image

LOOKED_AT = 48
"""Images that are looked at. Chosen: a round figure, not measured."""
FIRST = 4
"""If none of so many has 16 bits, no others are looked at. Chosen: a round figure, not measured."""
DEPTHS = (8, 10, 12, 14, 16)
"""Bits that scanners and cameras make."""


def white_of(
    paths: Sequence[str], read: Read = read_image, given: int | None = None
) -> tuple[int, tuple[str, ...]]:
    """Return the value that is white in the 16-bit grey images among files, and notes on it.

    It is `given`, which the user says. Else it is the largest value that the files declare, if all
    values keep to it, else that of the fewest usual bits that hold all values. The files are a
    sample spread over `paths`.
    """
    if given is not None:
        return given, ()
    rows = np.unique(np.linspace(0, len(paths) - 1, min(LOOKED_AT, len(paths))).astype(int))
    order = np.random.default_rng(0).permutation(rows).tolist()
    highest: list[int] = []
    declared: set[int | None] = set()
    for place, row in enumerate(order):
        if place >= FIRST and not highest:
            break
        decoded = read(paths[row])
        if decoded.highest is not None:
            highest.append(decoded.highest)
            declared.add(decoded.declared_white)
    if not highest:
        return FULL_WHITE, ()
    top = max(highest)
    said = declared.pop() if len(declared) == 1 else None
    if said is not None and top <= said:
        white, why = said, "the files say so"
    else:
        white = next(2**bits - 1 for bits in DEPTHS if top < 2**bits)
        why = f"the largest value of {len(highest)} that were looked at is {top}"
    if white == FULL_WHITE:
        return white, ()
    return white, (
        f"In grey images of 16 bits, {white} is taken for white: {why}. --white gives another "
        f"value, {FULL_WHITE} that of all 16 bits.",
    )
