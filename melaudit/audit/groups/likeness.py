"""What images of one class show that is like some example, and images of others hardly show.

Few words for all places (`exclusive`) cannot tell what only some images show: it falls under a word
for something else. So every place off the centre to which a decision owes much is an example, by
its description (`visual_words.Descriptions`), and images show what is more like it, at one place at
least, than nearly all images of other classes are. The example is turned to the mean of what is
likest to it in these images, and again. Descriptions are whitened, so a cosine with such a mean
tells it from all places by Fisher's rule (Hariharan et al. 2012; Singh et al. 2012 mine such
patches).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, generate_binary_structure
from scipy.stats import hypergeom

from melaudit.audit.groups.exclusive import (
    MAX_PATTERNS,
    MAX_SHARE_OF_OTHERS,
    MIN_OTHERS,
    MIN_OTHERS_TO_TEST,
    SAME_PATTERN_JACCARD,
    Pattern,
)
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.groups.stability import MIN_STABILITY, found_again, found_by_chance
from melaudit.audit.measure.visual_words import LIKENESS, UNIT, Noted
from melaudit.measurements import Measurements, SomeRows
from melaudit.statistics.correction import level_of_each
from melaudit.statistics.overlap import like_none

MAX_IMAGES = 400
"""Images of the class, and of the others, that examples are chosen on, at most. Limits the time."""
PER_IMAGE = 6
"""Places of an image that are examples, those to which its decision owes most more than usual."""
MAX_EXAMPLES = 600
"""Examples, at most. Limits the time."""
TURNED = 150
"""Examples, the best ones, that are turned to what is likest to them. Limits the time."""
TURNS = 3
"""Times that they are turned."""
DRAWS, DRAWS_BY_CHANCE = 10, 2
"""Half-samples in which a pattern is looked for again, and of classes assigned at random."""
CENTRE_OF_OTHERS = 0.25
"""Amount, over the most that others show, that stands for what they show on average."""
MIN_SPREAD = 1e-3
"""Keeps likenesses that are all the same from dividing by zero."""
READ = 512
"""Images whose places are compared with all patterns at a time. Limits memory."""
BLOCK = 64
"""Images compared with the examples at a time. Limits memory."""

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Described:
    """What stands at the m places off the centre of n pictures."""

    units: Floats
    """(n, m, k) of unit length."""
    evidence: Floats
    """(n, m) share of the absolute relevance that speaks there for the decision, less that which
    speaks against it."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.units)

    def of(self, rows: NDArray[np.int64]) -> Described:
        """Return the same of some pictures."""
        return Described(self.units[rows], self.evidence[rows])


def described(
    noted: Noted, positive: NDArray[np.floating], negative: NDArray[np.floating]
) -> Described:
    """Return what stands at the places off the centre, and the evidence there.

    noted: (n, side, side, k); positive and negative: (n, h, w) shares of all relevance, h and w a
    multiple of the side. NaN and infinity count as 0.
    """
    n, side = noted.shape[:2]
    away = outside_centre(side, side) > 0
    signed = np.asarray(positive, np.float32) - np.asarray(negative, np.float32)
    signed = np.where(np.isfinite(signed), signed, 0)
    pooled = signed.reshape(n, side, signed.shape[1] // side, side, -1).sum((2, 4))
    units = noted[:, away].astype(np.float32) / np.float32(UNIT)
    return Described(units, pooled[:, away].astype(np.float32))


def alike_patterns(
    own: Described,
    others: Described,
    smallest: int,
    seed: int,
    steady: bool = True,
    most: int = MAX_PATTERNS,
) -> tuple[Pattern, ...]:
    """Return the patterns by likeness that a class shows and others hardly show, strongest first.

    own: `MAX_IMAGES` of the class at most, others: of the rest; most: patterns, at most. A pattern
    counts when it is found again in half-samples, and more so than any pattern of classes assigned
    at random; unless `steady` is False, for a use that tests it otherwise. Deterministic for a
    seed.
    """
    if len(others) < fewest_others(steady) or len(own) < 2 * smallest:
        return ()
    pick = partial(_pick, most=most)
    chosen = pick(own, others, smallest)
    if not steady or not chosen:
        return tuple(chosen)
    rng = np.random.default_rng(seed)
    stable = found_again(chosen, own, others, pick, smallest, rng, DRAWS)
    chance = 0.0
    if stable.max() >= MIN_STABILITY:
        every = Described(
            np.concatenate([own.units, others.units]),
            np.concatenate([own.evidence, others.evidence]),
        )
        chance = found_by_chance(every, len(own), pick, smallest, rng, DRAWS_BY_CHANCE)
    return tuple(
        replace(pattern, stability=stability, by_chance=chance)
        for pattern, stability in zip(chosen, stable.tolist(), strict=True)
        if stability >= MIN_STABILITY and stability > chance
    )


def chosen_patterns(
    table: Measurements,
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    smallest: int,
    steady: bool = True,
    most: int = MAX_PATTERNS,
) -> tuple[Pattern, ...]:
    """Return the patterns by likeness of a class, chosen on `MAX_IMAGES` of it and of others.

    rows: images of the class; others: of other classes. See `alike_patterns`. There are none
    where the pass noted no descriptions.
    """
    try:
        noted = table[LIKENESS]
    except KeyError:
        return ()
    rng = np.random.default_rng(table.seed)

    def some(of: NDArray[np.int64]) -> Described:
        few = np.sort(rng.choice(of, min(len(of), MAX_IMAGES), replace=False))
        maps = (table[f"relevance.{sign}"][few] for sign in ("positive", "negative"))
        return described(noted[few], *maps)

    if len(others) < fewest_others(steady) or len(rows) < 2 * smallest:
        return ()
    mine, rest = some(rows), some(others)
    floor = max(2, smallest * len(mine) // len(rows))
    return alike_patterns(mine, rest, floor, table.seed, steady, most)


def patterns_by_likeness(
    table: Measurements, rows: NDArray[np.int64], others: NDArray[np.int64], smallest: int
) -> tuple[Pattern, ...]:
    """Return the patterns of `chosen_patterns`, looked for on all images."""
    patterns = chosen_patterns(table, rows, others, smallest)
    if not patterns:
        return ()
    noted, likes = table[LIKENESS], likes_of(patterns)
    shown, beside = (likest(SomeRows(noted, some), likes) for some in (rows, others))
    return tuple(
        replace(pattern, shown=own, shown_by_others=rest > pattern.bound)
        for pattern, own, rest in zip(patterns, shown, beside, strict=True)
    )


def likes_of(patterns: Sequence[Pattern]) -> Floats:
    """Return what patterns by likeness are like: (v, k)."""
    return np.stack([pattern.like for pattern in patterns if pattern.like is not None])


def fewest_others(steady: bool) -> int:
    """Return how many other images there must be, for groups or for what is tested otherwise."""
    return MIN_OTHERS if steady else MIN_OTHERS_TO_TEST


def likeness(noted: Noted, like: Floats) -> Floats:
    """Return how like a description (k,) the places (n, side, side) are: cosines."""
    cosines: Floats = ((noted.astype(np.float32) / UNIT) @ like).astype(np.float32)
    return cosines


def places_like(noted: Noted, pattern: Pattern) -> Bools:
    """Return where images show a pattern: (n, side, side). See `grown`."""
    if pattern.like is None:
        raise ValueError("pass a pattern by likeness")
    beyond = likeness(noted, pattern.like) > pattern.bound
    away = outside_centre(*beyond.shape[1:]) > 0
    return grown(beyond & away, beyond)


def grown(seeds: Bools, beyond: Bools) -> Bools:
    """Return the places of things: (n, side, side).

    A thing is seen off the centre (seeds, beyond), and goes on to places beside that show it as
    much (beyond), one place into the centre at most: what lies there is what the picture is of.
    Places with a side to it belong to it, in the centre those beside what lies there: a description
    is of what a layer sees at a place, which ends before the thing does.
    """
    away = outside_centre(*seeds.shape[1:]) > 0
    seen = seeds & beyond
    there = seen | (beyond & binary_dilation(seen, np.ones((1, 3, 3), bool)))
    cross = generate_binary_structure(2, 1)[None]
    inner = binary_dilation(there & ~away, cross)
    wider: Bools = there | (binary_dilation(there, cross) & (away | inner))
    return wider


def likest(noted: Noted | SomeRows, likes: Floats) -> Floats:
    """Return how like each description (v, k) the likest place off the centre is: (v, n).

    All descriptions are compared at once: reading and converting `noted` takes the most time.
    """
    away = outside_centre(*noted.shape[1:3]) > 0
    found = np.empty((len(likes), len(noted)), np.float32)
    for start in range(0, len(noted), READ):
        there = noted[start : start + READ][:, away].astype(np.float32) / np.float32(UNIT)
        found[:, start : start + READ] = (there @ likes.T).max(1, initial=-1).T
    return found


def amounts(pattern: Pattern, shown: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how much of a pattern images show (n,), of their likest (or strangest) places (n,).

    1 is the most that others show, `CENTRE_OF_OTHERS` what they show on average, and half the way
    there is 1/2.
    """
    return _steps(shown, pattern.bound, pattern.usual)


def _steps(shown: NDArray[np.floating], bound: float, usual: float) -> NDArray[np.float64]:
    scale = max(bound - usual, MIN_SPREAD)
    steps = np.clip((shown.astype(np.float64) - bound) / scale, -9, 9)
    amount: NDArray[np.float64] = CENTRE_OF_OTHERS**-steps
    return amount


@dataclass(frozen=True)
class Mined:
    """What is like two of some examples at least: one alone may be an odd one."""

    likes: Floats
    """(d, k) descriptions of the examples."""
    bound: float
    """Likeness to the second likest beyond which an image counts as showing it."""
    usual: float
    """The same in other images, on average."""

    def amounts(self, shown: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how much of it images show (n,), of their likeness to the second likest (n,)."""
        return _steps(shown, self.bound, self.usual)

    def places(self, noted: Noted) -> Bools:
        """Return where images show it: (n, side, side). See `grown`."""
        units = noted.astype(np.float32) / np.float32(UNIT)
        beyond = second_likest((units @ self.likes.T).astype(np.float32)) > self.bound
        away = outside_centre(*beyond.shape[1:]) > 0
        return grown(beyond & away, beyond)


def second_likest(cosines: Floats) -> Floats:
    """Return the second largest along the last axis."""
    second: Floats = np.partition(cosines, -2, -1)[..., -2]
    return second


def _examples(own: Described, others: Described) -> Floats:
    """Return descriptions (v, k) of places to which decisions owe more than is usual there."""
    excess = own.evidence - others.evidence.mean(0)
    per_image = max(1, min(PER_IMAGE, MAX_EXAMPLES // len(own)))
    places = np.argsort(-excess, 1, kind="stable")[:, :per_image]
    rows = np.arange(len(own))[:, None]
    found: Floats = own.units[rows, places].reshape(-1, own.units.shape[2])
    return found[:MAX_EXAMPLES]


def _compared(some: Described, like: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return the likest place's cosine, (v, n), and which place it is, for descriptions (v, k)."""
    n, m, k = some.units.shape
    cosines = np.empty((len(like), n), np.float32)
    places = np.empty((len(like), n), np.int64)
    for start in range(0, n, BLOCK):
        block = some.units[start : start + BLOCK].reshape(-1, k)
        every = (like @ block.T).reshape(len(like), -1, m)
        rows = slice(start, start + every.shape[1])
        places[:, rows] = every.argmax(2)
        cosines[:, rows] = np.take_along_axis(every, places[:, rows, None], 2)[..., 0]
    return cosines, places


@dataclass(frozen=True)
class _Judged:
    """How descriptions (v, k) tell a class's images from others."""

    like: Floats
    cosines: Floats
    """(v, n) of its images."""
    places: NDArray[np.int64]
    """(v, n) where in them."""
    elsewhere: Floats
    """(v, m) of the others."""
    bounds: Floats
    """(v,)"""
    evidence: Floats
    """(v,) at the places of the images beyond the bound, on average."""
    strength: Floats
    """(v,)"""

    @property
    def more(self) -> Bools:
        """(v, n) which images lie beyond the bound."""
        beyond: Bools = self.cosines > self.bounds[:, None]
        return beyond


def _judged(like: Floats, own: Described, others: Described) -> _Judged:
    cosines, places = _compared(own, like)
    elsewhere, _ = _compared(others, like)
    bounds = np.quantile(elsewhere, 1 - MAX_SHARE_OF_OTHERS, axis=1, method="higher")
    more = cosines > bounds[:, None]
    sizes = np.maximum(more.sum(1), 1)
    there = own.evidence[np.arange(len(own))[None], places]
    evidence = np.where(more, there, 0).sum(1) / sizes
    # The images beyond the bound are the likest ones.
    ordered = -np.sort(-cosines, axis=1)
    rows = np.arange(len(like))
    median = (ordered[rows, (sizes - 1) // 2] + ordered[rows, sizes // 2]) / 2
    spread = elsewhere.std(1) + MIN_SPREAD
    beyond = np.where(more.any(1), (median - bounds) / spread, 0)
    strength = more.mean(1) * beyond * np.maximum(evidence, 0)
    return _Judged(like, cosines, places, elsewhere, bounds, evidence, strength)


def _turned(judged: _Judged, own: Described, floor: int) -> Floats:
    """Return the best descriptions, turned to the mean of what is likest to them: (v, k)."""
    sizes = judged.more.sum(1)
    best = np.argsort(-judged.strength, kind="stable")
    best = best[sizes[best] >= floor][:TURNED]
    turned = np.empty((len(best), judged.like.shape[1]), np.float64)
    for row, v in enumerate(best):
        members = np.flatnonzero(judged.more[v])
        turned[row] = own.units[members, judged.places[v, members]].mean(0)
    lengths = np.linalg.norm(turned, axis=1, keepdims=True)
    units: Floats = (turned / np.maximum(lengths, 1e-12)).astype(np.float32)
    return units


def _pick(own: Described, others: Described, floor: int, most: int) -> list[Pattern]:
    """Return the strongest patterns, no two of which have much the same members."""
    like = _examples(own, others)
    tried = len(like)
    judged = _judged(like, own, others)
    for _ in range(TURNS):
        like = _turned(judged, own, floor)
        if not len(like):
            return []
        judged = _judged(like, own, others)
    n, m = len(own), len(others)
    rare = judged.elsewhere > judged.bounds[:, None]
    sizes = judged.more.sum(1)
    p = hypergeom.sf(sizes - 1, n + m, sizes + rare.sum(1), n)
    counts = (sizes >= floor) & (sizes <= n - floor) & (p <= level_of_each(tried))
    picked: list[Pattern] = []
    for v in np.argsort(-judged.strength, kind="stable"):
        if not counts[v] or len(picked) == most:
            continue
        members = judged.more[v]
        if like_none(members, (other.members for other in picked), SAME_PATTERN_JACCARD):
            picked.append(
                Pattern(
                    None,
                    (),
                    float(judged.bounds[v]),
                    judged.cosines[v],
                    rare[v],
                    float(judged.evidence[v]),
                    float(judged.strength[v]),
                    like=judged.like[v],
                    usual=float(judged.elsewhere[v].mean()),
                )
            )
    return picked
