"""Images of one class with a place that is like hardly anything in other images.

A pattern (`likeness`, `exclusive`) is one thing that images share. A cue may be many things, such
as stickers of any colour, each on few images: what they share is that other images lack them. So a
place is the stranger, the less like it the likest places of other images are. Only places to which
a decision owes much count: those of the class and of others are chosen by the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from melaudit.audit.groups.exclusive import MAX_SHARE_OF_OTHERS, Pattern
from melaudit.audit.groups.likeness import (
    DRAWS,
    DRAWS_BY_CHANCE,
    MAX_IMAGES,
    MIN_SPREAD,
    Described,
    described,
    fewest_others,
    grown,
)
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.groups.stability import MIN_STABILITY, found_again, found_by_chance
from melaudit.audit.measure.visual_words import LIKENESS, UNIT, Noted
from melaudit.measurements import CHUNK, Measurements
from melaudit.statistics.correction import ALPHA

LIKE_IT = 5
"""Other images that hold something as like: were it one, an odd image among them would hide what it
happens to share. Chosen on models with known plants, where 3 to 10 tell images about as well."""
EVIDENT = 0.25
"""Share of the places off the centre that count in an image, those to which its decision owes most:
one quarter."""
BLOCK = 16
"""Images compared with others at a time. Limits memory."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Compared:
    """Some of N images, of which it is known how like each is to every other."""

    cosines: Floats
    """(N, q, N) of each evident place with the likest place of each image; -1 with its own."""
    evidence: Floats
    """(N, q) share of the relevance that speaks there for the decision."""
    rows: Rows
    """(n,) which of the N these are."""

    def __len__(self) -> int:
        """Return n."""
        return len(self.rows)

    def of(self, rows: Rows) -> Compared:
        """Return some of them."""
        return replace(self, rows=self.rows[rows])

    def strangest(self, others: Compared) -> tuple[Floats, Floats]:
        """Return how strange the strangest place is beside others, and the evidence there: (n,)."""
        unlike = _fifth(self.cosines[self.rows][:, :, others.rows])
        best = unlike.argmax(1)
        at = np.arange(len(self))
        return unlike[at, best], self.evidence[self.rows][at, best]


@dataclass(frozen=True)
class Strange:
    """What is strange beside images of other classes, and how strange these are themselves."""

    reference: Floats
    """(r, m, k) what r other images show at any place, of unit length."""
    rows: Rows
    """(r,) which images these are."""
    pattern: Pattern
    """Which images are stranger than hardly any of the others, of those it was judged by."""

    @property
    def bound(self) -> float:
        """Strangeness beyond which an image counts."""
        return self.pattern.bound


def strange_in(
    table: Measurements, rows: Rows, others: Rows, smallest: int, steady: bool = True
) -> Strange | None:
    """Return what is strange in a class's images; None where hardly more is than in others.

    rows: images of the class, others: of other classes, of both `MAX_IMAGES` at most are looked at,
    and each of the others is held against the rest of them. More of the class must be stranger than
    the bound than of the others (Fisher's exact test), and `smallest` of it at least. It must be
    found again in half-samples, and more so than where classes are assigned at random; unless
    `steady` is False, for a use that tests it otherwise. None where the pass noted no descriptions.
    """
    if len(others) < max(fewest_others(steady), LIKE_IT + 1) or len(rows) < 2 * smallest:
        return None
    try:
        noted = table[LIKENESS]
    except KeyError:
        return None
    rng = np.random.default_rng(table.seed)
    own, rest = (
        np.sort(rng.choice(of, min(len(of), MAX_IMAGES), replace=False)) for of in (rows, others)
    )
    floor = max(2, smallest * len(own) // len(rows))
    every = _compared(table, np.concatenate([own, rest]))
    mine, beside = every.of(np.arange(len(own))), every.of(np.arange(len(own), len(every)))
    found = _pick(mine, beside, floor)
    if not found:
        return None
    (pattern,) = found
    if steady:
        (stability,) = found_again(found, mine, beside, _pick, floor, rng, DRAWS)
        chance = 0.0
        if stability >= MIN_STABILITY:
            chance = found_by_chance(every, len(own), _pick, floor, rng, DRAWS_BY_CHANCE)
        if stability < MIN_STABILITY or stability <= chance:
            return None
        pattern = replace(pattern, stability=float(stability), by_chance=chance)
    return Strange(_units(noted[rest]), rest, pattern)


def strange_pattern(
    table: Measurements, rows: Rows, others: Rows, smallest: int
) -> tuple[Pattern, ...]:
    """Return what is strange in a class as a pattern of all its images; nothing for none."""
    known = strange_in(table, rows, others, smallest)
    if known is None:
        return ()
    shown = strangest(table, known)
    members = shown[rows] > known.bound
    if not smallest <= members.sum() <= len(rows) - smallest:
        return ()
    return (
        replace(
            known.pattern,
            shown=shown[rows].astype(np.float32),
            shown_by_others=shown[others] > known.bound,
        ),
    )


def strangest(table: Measurements, known: Strange) -> NDArray[np.float64]:
    """Return how strange the strangest evident place of every image is: (n,).

    An image of the reference is held against the rest of it.
    """
    found = np.empty(len(table.ids))
    itself = np.full(len(found), -1)
    itself[known.rows] = np.arange(len(known.rows))
    for start in range(0, len(found), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(found)))
        some = described_rows(table, rows)
        found[rows] = strangeness(some, known, itself[rows])
    return found


def strangeness(some: Described, known: Strange, itself: Rows | None = None) -> Floats:
    """Return how strange the strangest evident place of pictures is: (n,).

    itself: (n,) which image of the reference each is, -1 for none.
    """
    units, _ = _evident_units(some)
    found = np.empty(len(some), np.float32)
    for start in range(0, len(some), BLOCK):
        cosines = _likest(units[start : start + BLOCK], known.reference)
        if itself is not None:
            own = itself[start : start + BLOCK]
            there = np.flatnonzero(own >= 0)
            cosines[there, :, own[there]] = -1
        found[start : start + BLOCK] = _fifth(cosines).max(1)
    return found


def strange_places(noted: Noted, some: Described, known: Strange) -> Bools:
    """Return where images are strange: (n, side, side), of descriptions (n, side, side, k).

    some: the same images. The places begin off the centre, where a decision owes much, and go on to
    those beside that are as strange, with one more around: see `likeness.grown`.
    """
    n, side = noted.shape[:2]
    every = np.empty((n, side, side), np.float32)
    for start in range(0, n, BLOCK):
        units = _units(noted[start : start + BLOCK])
        unlike = _fifth(_likest(units, known.reference))
        every[start : start + BLOCK] = unlike.reshape(-1, side, side)
    evident = np.zeros(some.evidence.shape, bool)
    np.put_along_axis(evident, _evident(some), True, 1)
    seeds = np.zeros_like(every, bool)
    seeds[:, outside_centre(side, side) > 0] = evident
    return grown(seeds, every > known.bound)


def described_rows(table: Measurements, rows: Rows) -> Described:
    """Return what some images show off the centre, and the evidence there."""
    maps = (table[f"relevance.{sign}"][rows] for sign in ("positive", "negative"))
    return described(table[LIKENESS][rows], *maps)


def _pick(own: Compared, others: Compared, floor: int) -> list[Pattern]:
    """Return what is strange in a class as one pattern; nothing where hardly more is."""
    if len(others) <= LIKE_IT:
        return []
    shown, evidence = own.strangest(others)
    elsewhere, _ = others.strangest(others)
    bound = float(np.quantile(elsewhere, 1 - MAX_SHARE_OF_OTHERS, method="higher"))
    more, rare = shown > bound, elsewhere > bound
    n, m, size = len(own), len(others), int(more.sum())
    p = hypergeom.sf(size - 1, n + m, size + int(rare.sum()), n)
    if size < floor or p > ALPHA:
        return []
    speaks = float(evidence[more].mean())
    beyond = (float(np.median(shown[more])) - bound) / (float(elsewhere.std()) + MIN_SPREAD)
    strength = float(more.mean()) * beyond * max(speaks, 0.0)
    usual = float(elsewhere.mean())
    return [Pattern(None, (), bound, shown, rare, speaks, strength, usual=usual)]


def _compared(table: Measurements, rows: Rows) -> Compared:
    """Compare some images with one another."""
    some = described_rows(table, rows)
    units, evidence = _evident_units(some)
    everywhere = _units(table[LIKENESS][rows])
    n, q = evidence.shape
    cosines = np.empty((n, q, n), np.float32)
    for start in range(0, n, BLOCK):
        cosines[start : start + BLOCK] = _likest(units[start : start + BLOCK], everywhere)
    cosines[np.arange(n), :, np.arange(n)] = -1
    return Compared(cosines, evidence, np.arange(n))


def _likest(units: Floats, reference: Floats) -> Floats:
    """Return the cosines of places (n, q, k) with the likest of each image (r, m, k): (n, q, r)."""
    n, q, k = units.shape
    r, m = reference.shape[:2]
    cosines = units.reshape(-1, k) @ reference.reshape(-1, k).T
    likest: Floats = cosines.reshape(n, q, r, m).max(3)
    return likest


def _fifth(cosines: Floats) -> Floats:
    """Return 1 less the cosine with the fifth likest image: (n, q) of (n, q, r)."""
    fifth = -np.partition(-cosines, LIKE_IT - 1, axis=2)[..., LIKE_IT - 1]
    unlike: Floats = (1 - fifth).astype(np.float32)
    return unlike


def _units(noted: Noted) -> Floats:
    """Return descriptions (n, side, side, k) as (n, m, k)."""
    units: Floats = noted.reshape(len(noted), -1, noted.shape[-1]).astype(np.float32)
    units /= np.float32(UNIT)
    return units


def _evident(some: Described) -> Rows:
    """Return the places to which decisions owe most, (n, q), in rising order."""
    count = max(1, round(EVIDENT * some.evidence.shape[1]))
    order = np.argsort(-some.evidence, axis=1, kind="stable")[:, :count]
    return np.sort(order, axis=1)


def _evident_units(some: Described) -> tuple[Floats, Floats]:
    """Return what stands at these places, (n, q, k), and the evidence there, (n, q)."""
    places = _evident(some)
    rows = np.arange(len(some))[:, None]
    return some.units[rows, places], some.evidence[rows, places]
