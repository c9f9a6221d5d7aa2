"""Signatures: which pictures show the same photograph, however it was stored?

A signature is a picture's detail on a grid of 24 x 24: grey block means, the black outside of a
dermatoscope filled with the mean (or all pictures with a ring would be alike), less their own
smooth part, in units of their spread. Two photographs of one lesion correlate up to about .9; one
photograph compressed, resized, darkened or enlarged stays above .95. Where all pictures show the
same parts in the same places (radiographs of one view, say), different ones correlate by as much,
so pictures drawn at random tell what is usual in a set, and copies must stand out from that.

Pairs are found by random projections (Charikar 2002): the signs of `log2 n` of them make a key, the
same key in one of 16 tables makes a candidate, and candidates alone are compared. The work grows
with n log n, never with n squared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation

from melaudit.detectors.settings import DetectorSettings

SIDE = 24
"""Side of the grid."""
FINE = 96
"""Longer side of the reduced copy, in pixels, on which the black outside is filled."""
BLACK, WHITE = 0.2, 95.0
"""A pixel whose red is below a fifth of that percentile of the picture's is outside the field."""
SMOOTH = 0.1
"""Width of the smoothing whose result is subtracted, as a share of the side of the grid."""
UNIT = 32.0
"""Levels of a stored signature for one standard deviation."""

CORRELATION = DetectorSettings.duplicate_correlation
"""Correlation from which two signatures are of one photograph, in small sets."""
REACH = 0.3
"""Spread of Fisher's z of the correlation of different photographs: measured on public dermoscopy,
where the likeliest of 500,000 pairs reach .91."""
SAMPLE = 100
"""Pictures whose pairs tell what is usual in a set."""
MIN_PICTURES = 20
"""Pictures from which a set tells what is usual in it. Chosen, not measured."""
SURE = 0.99
"""Correlation from which two pictures are of one photograph in any set: different drawn radiographs
of one view reach .98, copies of one stored again as JPEG, at half the size or darker have .99."""
MAX_EXHAUSTIVE = 4000
"""Up to this many pictures, all pairs are compared. Limits the time."""
TABLES = 16
"""Tables of keys: a pair that correlates by .95 meets in one of them 24 times in 25, at 4,000."""
NEIGHBOURS = 6
"""Pictures of one key that each is compared with, since thousands may share it."""
CHUNK = 20_000
"""Pairs, or rows, that are held in memory at a time."""
BLOCK = 512
"""Rows that are compared with all others at a time."""

_Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
Signatures = NDArray[np.uint8]
"""(n, SIDE * SIDE)."""


@dataclass(frozen=True)
class Matches:
    """Pairs of pictures that show one photograph."""

    first: NDArray[np.int64]
    """(p,) rows of the first set."""
    second: NDArray[np.int64]
    """(p,) rows of the second set; of the same set, and larger than `first`, if there is one."""
    likeness: NDArray[np.float32]
    """(p,) correlation, `least` to 1."""
    least: float
    """See `least_likeness`."""

    def __len__(self) -> int:
        return len(self.first)


def signature(image: NDArray[np.uint8]) -> Signatures:
    """Return the signature (SIDE * SIDE,) of an RGB image (h, w, 3) of any size."""
    small = cv2.resize(image, (FINE, FINE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    red = small[..., 0]
    field = red > BLACK * np.percentile(red, WHITE)
    if field.any():
        grey[~field] = grey[field].mean()
    blocks = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    detail = blocks - cv2.GaussianBlur(blocks, (0, 0), SMOOTH * SIDE)
    detail -= detail.mean()
    spread = max(float(detail.std()), 1e-3)
    stored = np.clip(np.round(128 + UNIT * detail / spread), 0, 255)
    return np.asarray(stored, np.uint8).ravel()


def signatures(images: Iterable[NDArray[np.uint8]]) -> Signatures:
    """Return the signatures (n, SIDE * SIDE) of RGB images."""
    rows = [signature(image) for image in images]
    return np.stack(rows) if rows else np.empty((0, SIDE * SIDE), np.uint8)


def least_likeness(
    pairs: int, correlation: float = CORRELATION, usual: tuple[float, float] = (0.0, 0.0)
) -> float:
    """Return the correlation from which, among so many pairs, two are of one photograph.

    That is `correlation`, or more: the largest correlation of different photographs grows with the
    number of pairs, as the largest of so many normal numbers does: .93 for 3,000 pictures, .97 for
    400,000. It is more, too, where pictures are alike that are no copies: see `usual_likeness`.
    """
    largest = math.sqrt(2 * math.log(max(pairs, 2)))
    unlike = math.tanh(usual[0] + usual[1] * largest)
    return max(correlation, math.tanh(REACH * largest), min(unlike, SURE))


def usual_likeness(rows: Signatures, seed: int = 0) -> tuple[float, float]:
    """Return median and spread of Fisher's z of the correlation of a set's pictures (n, ...).

    The spread is the scaled median deviation, which a few copies do not change. Of few pictures
    nothing is known: 0 and 0.
    """
    if len(rows) < MIN_PICTURES:
        return 0.0, 0.0
    drawn = np.random.default_rng(seed).permutation(len(rows))[:SAMPLE]
    some = _standard(rows[np.sort(drawn)])
    likeness = (some @ some.T / some.shape[1])[np.triu_indices(len(some), 1)]
    z = np.arctanh(np.clip(likeness, -SURE, SURE).astype(np.float64))
    middle = float(np.median(z))
    return middle, float(median_abs_deviation(z, scale="normal"))


def matches(
    first: Signatures,
    second: Signatures | None = None,
    seed: int = 0,
    correlation: float = CORRELATION,
) -> Matches:
    """Return the pairs within a set, or of one set with another, that show one photograph.

    Their signatures correlate by `correlation` or more; see `least_likeness`.
    The projections are drawn at random from `seed`; up to `MAX_EXHAUSTIVE` pictures all pairs are
    compared, and nothing is missed.
    """
    whole = first if second is None else np.concatenate([first, second])
    pairs = len(whole) * (len(whole) - 1) // 2
    if second is not None:
        pairs = len(first) * len(second)
    search = _all if len(whole) <= MAX_EXHAUSTIVE else _candidates
    least = least_likeness(pairs, correlation, usual_likeness(whole, seed))
    found = list(search(whole, least, seed))
    if not found:
        none = np.empty(0, np.int64)
        return Matches(none, none, np.empty(0, np.float32), least)
    a, b, likeness = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if second is not None:
        across = (a < len(first)) & (b >= len(first))
        a, b, likeness = a[across], b[across] - len(first), likeness[across]
    _, at = np.unique(np.stack([a, b], 1), axis=0, return_index=True)
    return Matches(a[at], b[at], likeness[at], least)


def _standard(rows: Signatures) -> NDArray[np.float32]:
    """Return signatures with mean 0 and root mean square 1; 0 for a picture without detail."""
    values = rows.astype(np.float32) - rows.mean(1, keepdims=True, dtype=np.float32)
    size = np.sqrt((values * values).mean(1, keepdims=True))
    return np.asarray(values / np.maximum(size, 1e-3), np.float32)


def _all(whole: Signatures, least: float, _: int) -> Iterator[_Pairs]:
    """Compare all pairs of rows, and yield those alike, the first row smaller than the second."""
    rows = _standard(whole)
    for start in range(0, len(rows), BLOCK):
        likeness = rows[start : start + BLOCK] @ rows[start:].T / rows.shape[1]
        a, b = np.nonzero(np.triu(likeness, 1) >= least)
        yield a + start, b + start, likeness[a, b]


def _candidates(whole: Signatures, least: float, seed: int) -> Iterator[_Pairs]:
    """Compare the pairs of rows that share a key in one of the tables, and yield those alike."""
    for low, high in _of_one_key(whole, seed):
        for i in range(0, len(low), CHUNK):
            a, b = low[i : i + CHUNK], high[i : i + CHUNK]
            likeness = (_standard(whole[a]) * _standard(whole[b])).mean(1)
            like = likeness >= least
            yield a[like], b[like], likeness[like]


def _of_one_key(
    whole: Signatures, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the pairs of rows that share a key in one of the tables, the smaller row first."""
    n = len(whole)
    rng = np.random.default_rng(seed)
    bits = math.ceil(math.log2(n))
    # What all pictures share (a lesion in the middle) would make keys alike, so it is subtracted.
    mean = np.mean([_standard(whole[i : i + CHUNK]).mean(0) for i in range(0, n, CHUNK)], 0)
    for _ in range(TABLES):
        plane = rng.normal(size=(whole.shape[1], bits + 1)).astype(np.float32)
        key = np.empty(n, np.int64)
        order = np.empty(n, np.float32)
        for i in range(0, n, CHUNK):
            side = (_standard(whole[i : i + CHUNK]) - mean) @ plane
            key[i : i + CHUNK] = (side[:, :bits] > 0) @ (1 << np.arange(bits))
            order[i : i + CHUNK] = side[:, bits]
        place = np.lexsort((order, key)).astype(np.int64)
        for gap in range(1, NEIGHBOURS + 1):
            a, b = place[:-gap], place[gap:]
            same = key[a] == key[b]
            if not same.any():
                break
            yield np.minimum(a[same], b[same]), np.maximum(a[same], b[same])
