"""Patterns that many images of one predicted class show, and images of other classes hardly show.

At the lesion, classes look different, as they should. Away from the centre of the picture they
should look alike. So the places away from the centre are counted by visual word (see
`visual_words`). A pattern is a visual word, or a union of visual words that look alike or occur
together, of which many images of a class show more than almost any other image. The images of the
other classes set the bound, so few images of a group can show the pattern by accident.

Small things that change a decision little, such as lettering or the ticks of a ruler, are found in
this way. Groups by relevance do not find them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from scipy.stats import hypergeom

from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.groups.stability import (
    DRAWS,
    MIN_STABILITY,
    found_again,
    found_by_chance,
)
from melaudit.audit.measure.visual_words import VisualWords, Vocabulary
from melaudit.measurements import CHUNK
from melaudit.statistics.correction import level_of_each
from melaudit.statistics.overlap import jaccard, like_none

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

MAX_SHARE_OF_OTHERS = 0.025
"""Share of the other images that show as much, at most. Chosen, not measured."""
MIN_OTHERS = 40
"""Other images, at least: one image of 40 is `MAX_SHARE_OF_OTHERS`."""
MIN_OTHERS_TO_TEST = 20
"""The same where all that is claimed is tested on images of its own. Chosen, not measured."""
MAX_IMAGES = 1000
"""Images of the class, and of the others, that patterns are chosen on, at most. Limits the time."""
MAX_PATTERNS = 3
"""Patterns of each vocabulary, at most. Chosen, not measured."""
MAX_SHARE_OF_WORDS = 1 / 3
"""Share of all visual words in a pattern, at most. Chosen, not measured."""
SAME_PATTERN_JACCARD = 0.5
"""Jaccard index from which two patterns of one vocabulary are one. Chosen, not measured."""
SAME_GROUP_JACCARD = 0.7
"""Jaccard index from which two groups found in different ways are one. Chosen, not measured."""


@dataclass(frozen=True)
class Counted:
    """Counts of visual words away from the centre of n pictures, for one vocabulary."""

    places: NDArray[np.uint16] | Floats
    """(n, visual words) places that show the word."""
    evidence: Floats | Evidence
    """(n, visual words) share of the absolute relevance there that is for the decision."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.places)

    def of(self, rows: NDArray[np.int64] | Bools) -> Counted:
        """Return the same of some pictures."""
        return Counted(self.places[rows], self.evidence[rows])

    def held(self, rows: NDArray[np.int64]) -> Counted:
        """Return the same of a few pictures, with their evidence in memory."""
        return Counted(self.places[rows], np.asarray(self.evidence[rows]))


@dataclass(frozen=True)
class Evidence:
    """The evidence at the places of visual words, added up when it is asked for.

    Only few of many images are ever asked for, and maps are the largest of what the pass kept.
    """

    visual_words: VisualWords
    """(N, side, side) of all images."""
    positive: NDArray[np.floating]
    """(N, h, w) evidence for the decision, as shares of all relevance."""
    size: int
    """Visual words there are."""
    rows: NDArray[np.int64]
    """(n,) the images that this is of."""

    def __getitem__(self, rows: NDArray[np.int64] | Bools) -> Evidence:
        """Return that of some of the images."""
        return replace(self, rows=self.rows[rows])

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Floats:
        """Return it as an array (n, visual words)."""
        found = np.empty((len(self.rows), self.size), np.float32)
        for start in range(0, len(self.rows), CHUNK):
            part = self.rows[start : start + CHUNK]
            seen, cells = _cells(self.visual_words[part], self.size)
            side = self.visual_words.shape[1]
            maps = np.nan_to_num(np.asarray(self.positive[part], np.float32), posinf=0)
            pooled = maps.reshape(len(seen), side, maps.shape[1] // side, side, -1).sum((2, 4))
            rests = pooled.reshape(len(seen), -1)[:, _away(side)].ravel()
            sums = np.bincount(cells, rests, len(seen) * self.size)
            found[start : start + CHUNK] = sums.reshape(len(seen), self.size)
        return found


@dataclass(frozen=True)
class Pattern:
    """What images of a class show more of than almost any other.

    It is told by visual words, by likeness to a description (see `likeness`), or by being like
    hardly anything in other images (see `strangeness`).
    """

    vocabulary: int | None
    """Whose visual words; None for a pattern by likeness, or by strangeness."""
    visual_words: tuple[int, ...]
    bound: float
    """Places, or likeness of the likest place, above which an image counts as showing it."""
    shown: Floats
    """(n,) places that show it, of the class's images, or likeness."""
    shown_by_others: Bools
    """(m,) whether the other images show as much."""
    evidence: float
    """Mean share of the members' absolute relevance that speaks there for the decision."""
    strength: float
    """How much of the class shows it, how much more than the bound, and how much rests on it."""
    stability: float = 0.0
    """Mean Jaccard index with the most similar pattern in half-samples."""
    by_chance: float = 0.0
    """The same for the most stable pattern of classes assigned at random."""
    like: Floats | None = None
    """(k,) the description that its places are like; None for all other patterns."""
    usual: float = 0.0
    """Likeness of the likest place in other images, or strangeness of the strangest, on average."""

    @property
    def members(self) -> Bools:
        """(n,) the images that show more than the bound."""
        members: Bools = self.shown > self.bound
        return members

    @property
    def others(self) -> float:
        """Share of the other images that show as much."""
        return float(self.shown_by_others.mean())

    @property
    def order(self) -> NDArray[np.int64]:
        """The rows of its members, those that show most of it first."""
        rows = np.flatnonzero(self.members)
        ordered: NDArray[np.int64] = rows[np.argsort(-self.shown[rows], kind="stable")]
        return ordered


def counted(visual_words: VisualWords, positive: NDArray[np.floating], size: int) -> Counted:
    """Count visual words away from the centre, and the evidence at their places.

    visual_words: (n, side, side) indices below `size`, of at most 255 places a side. positive:
    (n, h, w) evidence for the decision as shares of all relevance, h and w a multiple of the side.
    NaN and infinity count as 0.
    """
    n = len(visual_words)
    places = np.empty((n, size), np.uint16)
    for start in range(0, n, CHUNK):
        seen, cells = _cells(visual_words[start : start + CHUNK], size)
        counts = np.bincount(cells, minlength=len(seen) * size)
        places[start : start + CHUNK] = counts.reshape(len(seen), size)
    return Counted(places, Evidence(visual_words, positive, size, np.arange(n)))


def _cells(visual_words: VisualWords, size: int) -> tuple[VisualWords, NDArray[np.int64]]:
    """Return the visual words away from the centre (m, places), and a number for each.

    The number (m * places,) is that of the image and of the visual word, the latter counted first.
    """
    side = visual_words.shape[1]
    seen = visual_words.reshape(-1, side * side)[:, _away(side)]
    return seen, (np.arange(len(seen))[:, None] * size + seen).ravel()


def _away(side: int) -> Bools:
    away: Bools = outside_centre(side, side).ravel() > 0
    return away


def exclusive_patterns(
    own: Sequence[Counted],
    others: Sequence[Counted],
    vocabularies: Sequence[Vocabulary],
    smallest: int,
    seed: int,
) -> tuple[Pattern, ...]:
    """Return the patterns that a class shows and others hardly show, the strongest first.

    own: what the class's n images show, one for each vocabulary; others: what the rest shows. A
    pattern counts when it is stable under resampling, more stable than any pattern of classes
    assigned at random, and frequent beyond chance. Deterministic for a seed.
    """
    found: list[Pattern] = []
    for k, vocabulary in enumerate(vocabularies):
        if len(others[k].places) >= MIN_OTHERS and len(own[k].places) >= 2 * smallest:
            joined = unions(vocabulary.visual_words, own[k].places)
            found += _of_vocabulary(k, own[k], others[k], joined, smallest, seed)
    found.sort(key=lambda pattern: -pattern.strength)
    apart: list[Pattern] = []
    for pattern in found:
        for k, other in enumerate(apart):
            if jaccard(pattern.members, other.members) >= SAME_GROUP_JACCARD:
                apart[k] = _both(other, pattern)
                break
        else:
            apart.append(pattern)
    return tuple(apart)


def _both(one: Pattern, other: Pattern) -> Pattern:
    """Return a pattern that both vocabularies found: an image must show it in both."""
    return replace(
        one,
        shown=np.where(other.members, one.shown, 0),
        shown_by_others=one.shown_by_others & other.shown_by_others,
    )


def unions(visual_words: Floats, places: NDArray[np.uint16] | Floats) -> Bools:
    """Return (unions, visual words): each alone, those that look alike, those that occur together.

    visual_words: (visual words, k) among the descriptors; places: (n, visual words) counts. Both
    trees use average linkage: of angles between visual words, and of correlations of counts.
    """
    size = len(visual_words)
    angles = _angles(visual_words)
    counts = np.sqrt(places[_some(len(places), np.random.default_rng(0))].astype(np.float32))
    together = _angles((counts - counts.mean(0)).T)
    members: set[tuple[int, ...]] = {(visual_word,) for visual_word in range(size)}
    for distances in (angles, together) if size > 1 else ():
        joined: list[tuple[int, ...]] = [(visual_word,) for visual_word in range(size)]
        for first, second, *_ in linkage(squareform(distances, checks=False), "average"):
            joined.append(tuple(sorted(joined[int(first)] + joined[int(second)])))
        members |= {m for m in joined if len(m) <= max(1, MAX_SHARE_OF_WORDS * size)}
    ordered = sorted(members)
    found = np.zeros((len(ordered), size), bool)
    for row, chosen in zip(found, ordered, strict=True):
        row[list(chosen)] = True
    return found


def _angles(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return 1 - cosine between vectors (n, d): (n, n); 1 where one is nothing."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)
    apart: NDArray[np.float64] = np.clip(1 - units @ units.T, 0, 2)
    np.fill_diagonal(apart, 0)
    return apart


def _of_vocabulary(
    number: int, own: Counted, others: Counted, unions: Bools, smallest: int, seed: int
) -> Iterator[Pattern]:
    rng = np.random.default_rng(seed)
    mine = own.held(_some(len(own.places), rng))
    rest = others.held(_some(len(others.places), rng))
    floor = max(2, smallest * len(mine.places) // len(own.places))
    chosen = _pick(number, mine, rest, unions, floor)
    if not chosen:
        return
    chance = 0.0

    def pick(some: Counted, elsewhere: Counted, fewest: int) -> list[Pattern]:
        return _pick(0, some, elsewhere, unions, fewest)

    steady = found_again(chosen, mine, rest, pick, floor, rng, DRAWS)
    if steady.max() >= MIN_STABILITY:
        every = Counted(
            np.concatenate([mine.places, rest.places]),
            np.concatenate([np.asarray(mine.evidence), np.asarray(rest.evidence)]),
        )
        chance = found_by_chance(every, len(mine), pick, floor, rng, DRAWS // 4)
    for pattern, stability in zip(chosen, steady.tolist(), strict=True):
        if stability >= MIN_STABILITY and stability > chance:
            visual_words = list(pattern.visual_words)
            yield replace(
                pattern,
                shown=own.places[:, visual_words].sum(1, dtype=np.float32),
                shown_by_others=others.places[:, visual_words].sum(1) > pattern.bound,
                stability=stability,
                by_chance=chance,
            )


def _some(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    some: NDArray[np.int64] = np.sort(rng.choice(n, min(n, MAX_IMAGES), replace=False))
    return some


def _pick(number: int, own: Counted, others: Counted, unions: Bools, floor: int) -> list[Pattern]:
    """Return the strongest patterns, no two of which have much the same members."""
    weights = unions.T.astype(np.float32)
    shown, elsewhere = (each.places.astype(np.float32) @ weights for each in (own, others))
    bounds = np.quantile(elsewhere, 1 - MAX_SHARE_OF_OTHERS, axis=0, method="higher")
    more, rare = shown > bounds, elsewhere > bounds
    sizes = more.sum(0)
    # Fisher's exact test, one-sided, for all unions at once: ALPHA is the chance that any comes out
    # where the class has nothing to do with it.
    n, m = len(shown), len(elsewhere)
    p = hypergeom.sf(sizes - 1, n + m, sizes + rare.sum(0), n)
    counts = (sizes >= floor) & (sizes <= n - floor) & (p <= level_of_each(len(unions)))
    patterns = []
    for u in np.flatnonzero(counts):
        members = more[:, u]
        typical = float(np.median(shown[members, u]))
        evidence = float((np.asarray(own.evidence[members]) @ weights[:, u]).mean())
        beyond = np.log1p((typical - bounds[u]) / (bounds[u] + 1))
        strength = float(members.mean() * beyond * evidence)
        visual_words = tuple(np.flatnonzero(unions[u]).tolist())
        patterns.append(
            Pattern(
                number,
                visual_words,
                float(bounds[u]),
                shown[:, u],
                rare[:, u],
                evidence,
                strength,
            )
        )
    picked: list[Pattern] = []
    for pattern in sorted(patterns, key=lambda pattern: -pattern.strength):
        if like_none(pattern.members, (other.members for other in picked), SAME_PATTERN_JACCARD):
            picked.append(pattern)
        if len(picked) == MAX_PATTERNS:
            break
    return picked
