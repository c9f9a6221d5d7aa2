"""Near duplicates: the same image more than once in the data.

Looks for: pictures that differ only in compression, size, brightness or a slight crop, above all
those with two labels, of two patients, or in two splits. Where the user names the training images,
also audited pictures that the model was trained on.
Why: copies count one case several times, so every interval is too narrow. Copies in training and
test data let a model recite what it learned. Of copies with two labels, one label is wrong.
How scored: the detail of two pictures on a coarse grid (see `signatures`) correlates by .93 or more
(`--duplicate-correlation`), and by more in large sets. The share of images with a copy has an
interval. No model is asked.
Do instead: keep one copy of each, and split by patient, or by object (a lesion, a tree).
Reference: Cassidy et al. 2022 on duplicates in the ISIC data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from melaudit.detectors.claim import counted, evidence_of, finding
from melaudit.detectors.confidence import MAX_CONFIDENCE
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.measures.signatures import Matches, matches, signatures
from melaudit.detectors.settings import DetectorSettings
from melaudit.findings import Evidence, Finding, Mitigation, NotFound, Rung, Skipped, Table, Words
from melaudit.measurements import Array, Measurements, Pictures
from melaudit.statistics.estimates import proportion
from melaudit.wording.sentences import interval, many, percent

PEOPLE = ("patient_id", "lesion_id")
"""Columns that tell whose picture it is."""
SPLITS = ("split", "subset", "partition", "fold", "set")
"""Names, in any case, of the column that tells training from test data."""
MIN_MISLEADING_SHARE = 0.01
"""Share of superfluous copies from which the number of images misleads. Chosen, not measured."""
MAX_PAIRS = 100
"""Pairs in the table."""

RowMask = NDArray[np.bool_]


@dataclass(frozen=True)
class NearDuplicates(Detector):
    """Images that stand in the data more than once."""

    id = "near_duplicates"

    correlation: float = DetectorSettings.duplicate_correlation
    """Of detail, from which two pictures show one image; more in large sets."""
    words: Words = field(default_factory=Words)

    @property
    def title(self) -> str:  # type: ignore[override]  # it is read only, as all detectors' titles
        """What it looks for: "Copies of one image"."""
        return f"Copies of one {self.words.picture}"

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return every picture's signature."""
        return {"signature": signatures(batch.images.views)}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Find the pairs, and say what is wrong with them."""
        return [
            *self._among_themselves(measurements),
            *_learned(self.id, measurements, self.correlation),
        ]

    def _among_themselves(self, measurements: Measurements) -> Sequence[Result]:
        n = len(measurements.ids)
        if n < 2:
            return [Skipped(self.id, f"{many(n, 'image')}: a pair needs two")]
        found = matches(
            measurements["near_duplicates.signature"], None, measurements.seed, self.correlation
        )
        if not len(found):
            statement = (
                f"No two of {many(n, 'image')} are one {self.words.picture}, stored, resized or "
                f"lit another way (detail correlates by less than {found.least:.2f} in every pair "
                "that was compared)."
            )
            return [NotFound(self.id, n, None, "", statement)]
        return [counted(_finding(self.id, measurements, _copies(measurements, found)))]


def _learned(identity: str, measurements: Measurements, correlation: float) -> list[Result]:
    """Say which audited images are training images again; nothing where these are not known."""
    learned = measurements.learned
    if learned is None:
        return []
    n, t, words = len(measurements.ids), len(learned.ids), measurements.words
    name = f"{identity}.training"
    if not n or not t:
        return [Skipped(name, "no training image could be read")]
    pairs = matches(
        measurements["near_duplicates.signature"],
        learned.signatures,
        measurements.seed,
        correlation,
    )
    rows, first = np.unique(pairs.first, return_index=True)
    if not len(rows):
        bound = proportion(0, n, exact=True).high
        statement = (
            f"None of {many(n, 'image')} is one of the {many(t, 'training image')} that were "
            f"looked at; were it more than {percent(bound)} of such images, one would have shown."
        )
        return [NotFound(name, n, bound, "share of images that were trained on", statement)]
    share = proportion(len(rows), n)
    said = (
        f"{len(rows):,} of {many(n, 'audited image')} ({percent(share.value)}, "
        f"{interval(share, percent)}) show what one of the "
        f"{many(t, 'training image')} that were looked at shows"
    )
    evidence = evidence_of(
        Rung.OPPORTUNITY,
        "share of images that were trained on",
        share,
        n,
        f"no audited {words.picture} was trained on",
        f"{said}; their detail correlates by {float(pairs.likeness.min()):.2f} or more.",
        reached=True,
    )
    found = finding(
        (evidence,),
        measurements.explanations,
        sure=_sure(pairs),
        id=name,
        detector=identity,
        title=f"Some audited {words.pictures} were trained on",
        statement=f"{said}. On these the model may recite what it learned, so its figures here "
        f"are better than they will be on new {words.person}s.",
        images=tuple(measurements.ids[row] for row in rows),
        remedy=f"Audit on {words.pictures} of {words.person}s that are not in the training data.",
        does_not_show=f"{words.pictures.capitalize()} trained on that were not looked at, "
        "nor copies that were turned, mirrored or cropped by more than a fiftieth; nor that other "
        f"{words.pictures} are of other {words.person}s.",
        tables=(_learned_table(measurements, learned, pairs, first),),
    )
    return [counted(found)]


def _sure(pairs: Matches) -> float:
    """Return how sure it is that pairs are copies: as alike as the median pair is."""
    return round(min(MAX_CONFIDENCE, float(np.median(pairs.likeness))), 3)


def _learned_table(
    measurements: Measurements, learned: Pictures, pairs: Matches, first: NDArray[np.intp]
) -> Table:
    """Return each audited image beside the first training image that it shows again."""
    rows = tuple(
        (
            measurements.ids[int(pairs.first[k])],
            learned.ids[int(pairs.second[k])],
            round(float(pairs.likeness[k]), 3),
        )
        for k in first[:MAX_PAIRS]
    )
    more = f" (the first {MAX_PAIRS} of {len(first):,})" if len(first) > MAX_PAIRS else ""
    return Table(f"Trained on{more}", ("image", "training image", "correlation"), rows)


@dataclass(frozen=True)
class Copies:
    """The pairs, and what about each of them is wrong."""

    pairs: Matches
    group: NDArray[np.int64]
    """(n,) images with the same number show one image."""
    conflicting: RowMask
    """(p,) pairs whose two labels differ."""
    people: RowMask
    """(p,) pairs of two patients (or lesions, where patients are unknown)."""
    splits: RowMask
    """(p,) pairs in two splits."""

    @property
    def superfluous(self) -> int:
        """Images beyond the first of every image."""
        return len(self.group) - int(self.group.max()) - 1

    @property
    def copied(self) -> int:
        """Images that have a copy."""
        return int((np.bincount(self.group)[self.group] > 1).sum())


def _copies(measurements: Measurements, found: Matches) -> Copies:
    n = len(measurements.ids)
    graph = coo_matrix((np.ones(len(found)), (found.first, found.second)), (n, n))
    _, group = connected_components(graph, directed=False)
    first, second = (measurements.labels[rows] for rows in (found.first, found.second))
    return Copies(
        pairs=found,
        group=group.astype(np.int64),
        conflicting=(first >= 0) & (second >= 0) & (first != second),
        people=_differ(measurements, found, PEOPLE),
        splits=_differ(measurements, found, SPLITS),
    )


def _differ(measurements: Measurements, found: Matches, names: Sequence[str]) -> RowMask:
    """Return which pairs (p,) differ in the first of these columns that there is."""
    for name in names:
        for column, cells in measurements.metadata.items():
            if column.casefold() == name:
                a, b = cells[found.first], cells[found.second]
                both = [
                    x not in (None, "") and y not in (None, "") for x, y in zip(a, b, strict=True)
                ]
                return np.array(both, np.bool_) & np.asarray(a != b, np.bool_)
    return np.zeros(len(found), np.bool_)


def _finding(identity: str, measurements: Measurements, copies: Copies) -> Finding:
    n, superfluous, words = len(measurements.ids), copies.superfluous, measurements.words
    bad = copies.conflicting | copies.people | copies.splits
    misleading = bool(bad.any()) or superfluous >= MIN_MISLEADING_SHARE * n
    order = np.lexsort((-copies.pairs.likeness, ~bad))
    shown = np.stack([copies.pairs.first[order], copies.pairs.second[order]], 1).ravel()
    rows = list(dict.fromkeys(shown.tolist()))
    statement = (
        f"{many(copies.copied, 'image')} of {n:,} have a copy among the others: the data hold "
        f"{n - superfluous:,} different {words.pictures}, so every count and interval of this "
        f"audit takes {superfluous:,} of them twice."
    )
    return finding(
        (_share(measurements, copies),),
        measurements.explanations,
        sure=_sure(copies.pairs),
        id=identity,
        detector=identity,
        title=f"Some {words.pictures} stand in the data more than once",
        mitigation=None if misleading else Mitigation.SLIGHT,
        statement=statement + "".join(f" {said}" for said in _wrongs(copies, words)),
        images=tuple(measurements.ids[row] for row in rows),
        remedy=f"Keep one copy of each {words.picture}, settle which label is right, and "
        f"split the data by {words.subject}; then audit again.",
        does_not_show="Copies that were turned, mirrored or cropped by more than a fiftieth are "
        "not seen, nor copies in data that were not given. "
        f"Two {words.pictures} of one {words.object} are no copies.",
        tables=(_table(measurements, copies, order),),
    )


def _wrongs(copies: Copies, words: Words) -> list[str]:
    """Return what is wrong with the pairs, each a sentence."""
    said = (
        (copies.conflicting, "two labels, of which one is wrong"),
        (copies.people, f"two {words.subjects} by the table"),
        (copies.splits, "two splits, so what was learned is tested"),
    )
    return [f"{many(int(of.sum()), 'pair')} with {what}." for of, what in said if of.any()]


def _share(measurements: Measurements, copies: Copies) -> Evidence:
    n = len(measurements.ids)
    share = proportion(copies.copied, n)
    return evidence_of(
        Rung.OPPORTUNITY,
        "share of images with a copy",
        share,
        n,
        f"every {measurements.words.picture} stands in the data once",
        f"{copies.copied:,} of {many(n, 'image')} ({percent(share.value)}, "
        f"{interval(share, percent)}) have a copy: {many(len(copies.pairs), 'pair')}, whose detail "
        f"correlates by {float(copies.pairs.likeness.min()):.2f} or more.",
        reached=True,
    )


def _table(measurements: Measurements, copies: Copies, order: NDArray[np.intp]) -> Table:
    names = (*measurements.classes, "unknown")
    pairs = copies.pairs
    rows = tuple(
        (
            measurements.ids[a],
            measurements.ids[b],
            round(float(pairs.likeness[k]), 3),
            names[measurements.labels[a]],
            names[measurements.labels[b]],
            ", ".join(
                word
                for word, of in (
                    ("labels", copies.conflicting),
                    (f"{measurements.words.person}s", copies.people),
                    ("splits", copies.splits),
                )
                if of[k]
            )
            or "nothing",
        )
        for k in order[:MAX_PAIRS]
        for a, b in [(int(pairs.first[k]), int(pairs.second[k]))]
    )
    more = f" (the first {MAX_PAIRS} of {len(pairs):,})" if len(pairs) > MAX_PAIRS else ""
    columns = ("image", "copy", "correlation", "label", "label of the copy", "differ in")
    return Table(f"Pairs of copies{more}", columns, rows)
