"""Discover: choose parts on one half of the images, and try them on the other as any artifact.

What one predicted class shows away from the centre and others hardly do is known by its visual
words (`groups.exclusive`). These are its finder, and their places its mask. Donors from the half it
was chosen on are what it is put in and taken out with (`artifacts.discovered`). So it climbs the
same four rungs as an artifact that somebody wrote a finder for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.discovered import Discovered, Pool, Source
from melaudit.artifacts.interface import RGB, Artifact
from melaudit.audit.discovery.halves import first_half
from melaudit.audit.discovery.naming import name
from melaudit.audit.discovery.seeing import places_of, seeing, share_in_centre
from melaudit.audit.edits.interventions import intervene
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.edits.trial_store import TrialStore
from melaudit.audit.groups.exclusive import Pattern, exclusive_patterns
from melaudit.audit.groups.strategies import smallest_group
from melaudit.audit.groups.suspicion import counted_words
from melaudit.audit.leases import ALONE, Turns
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.visual_words import Vocabulary
from melaudit.detectors.discovered import DiscoveredDetector, Origin
from melaudit.detectors.interface import Detector, artifacts_of
from melaudit.detectors.rungs.dependence import Dependence, depend
from melaudit.detectors.rungs.shown import shown
from melaudit.errors import ends_the_run
from melaudit.findings import Skipped
from melaudit.measurements import GRID, Array, Measurements
from melaudit.observer import Observer
from melaudit.statistics.overlap import jaccard
from melaudit.stopwatch import timed
from melaudit.wording.sentences import percent

ID = "discovered"
MAX_SOURCES = 24
"""Images of each kind that a part is put in and taken out with, at most. Limits memory."""
MIN_SOURCES = 4
"""Images of each kind, at least. Chosen: a round figure, not measured."""
MAX_LACKING = 0.5
"""Places over the most that others show, up to which an image clearly lacks a part. Chosen, not
measured."""
MIN_SHOWN = 5
"""Images of the half for tests that must show a part. Chosen, not measured."""
MAX_CENTRAL = 0.5
"""Share of the places like a part that may lie in the central half: by its area, one half.
Beyond, the part is what the object looks like."""
SAME_IMAGES = 0.5
"""Jaccard index of the images that show two things from which these may be one. Chosen, not
measured."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Tried:
    """What the discovery added to a run."""

    table: Measurements
    detectors: tuple[Detector, ...] = ()
    """One for each discovered artifact."""
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class Part:
    """A pattern of one class, and which images show it."""

    pattern: Pattern
    vocabulary: Vocabulary
    predicted: int
    amount: NDArray[np.float64]
    """(n,) its places in each image, over the most that others show."""
    places: Bools
    """(n, side, side)."""

    @property
    def present(self) -> Bools:
        """(n,) images that show it."""
        present: Bools = self.amount > 1
        return present


def discover(
    table: Measurements,
    detectors: Sequence[Detector],
    laboratory: Laboratory,
    vocabularies: Sequence[Vocabulary],
    store: Store,
    reviews: Mapping[str, str],
    limits: tuple[int, int],
    observer: Observer,
    turns: Turns = ALONE,
) -> Tried:
    """Add artifacts that nobody named, with the trials of each.

    reviews: image -> what a reviewer saw; limits: images of each class that are edited, and parts
    that are tried. A failure is a `Skipped`, not the end of the run.
    """
    per_class, most = limits
    if not (per_class and most and vocabularies and table.above_chance):
        return Tried(table)
    try:
        with timed(ID):
            found, skipped = _found(table, detectors, laboratory, vocabularies, reviews, most)
        return _tried(
            found, skipped, table, detectors, laboratory, store, per_class, observer, turns
        )
    except Exception as error:
        if ends_the_run(error):
            raise
        failed = Skipped(ID, f"it failed: {type(error).__name__}: {error}")
        return Tried(table, skipped=(failed,))


@dataclass(frozen=True)
class _Found:
    """A discovered artifact and what the run knows of it."""

    artifact: Discovered
    origin: Origin
    columns: Mapping[str, Array]


def parts(table: Measurements, vocabularies: Sequence[Vocabulary], half: Bools) -> list[Part]:
    """Choose patterns of every predicted class on half of the images (n,), the strongest first."""
    counts = counted_words(table, vocabularies)
    chosen: list[Part] = []
    for index in range(len(table.classes)):
        of_class = table.predictions == index
        rows, others = np.flatnonzero(of_class & half), np.flatnonzero(~of_class & half)
        for pattern in exclusive_patterns(
            [each.of(rows) for each in counts],
            [each.of(others) for each in counts],
            vocabularies,
            smallest_group(len(rows)),
            table.seed,
        ):
            vocabulary = vocabularies[pattern.vocabulary]
            places = places_of(table[vocabulary.column], pattern.visual_words)
            amount = places.sum((1, 2)) / max(pattern.bound, 0.5)
            chosen.append(Part(pattern, vocabulary, index, amount, places))
    return sorted(chosen, key=lambda part: -part.pattern.strength)


def _found(
    table: Measurements,
    detectors: Sequence[Detector],
    laboratory: Laboratory,
    vocabularies: Sequence[Vocabulary],
    reviews: Mapping[str, str],
    most: int,
) -> tuple[list[_Found], list[Skipped]]:
    """Return the parts that can be tried, and why others cannot."""
    half = first_half(table)
    found: list[_Found] = []
    skipped: list[Skipped] = []
    for part in parts(table, vocabularies, half):
        if len(found) == most:
            break
        made = _made(part, table, laboratory, half, reviews, [each.artifact.id for each in found])
        if isinstance(made, Skipped):
            skipped.append(made)
            continue
        known = _known(part.present & ~half, ~half, table, detectors)
        if known:
            said = f"it is on the images of {known}, which edits already showed to be used"
            skipped.append(Skipped(made.artifact.id, said))
            continue
        found.append(made)
    return found, skipped


def _made(
    part: Part,
    table: Measurements,
    laboratory: Laboratory,
    half: Bools,
    reviews: Mapping[str, str],
    taken: Sequence[str],
) -> _Found | Skipped:
    """Make an artifact of a part, with donors of the half that it was chosen on."""
    present, of_class = part.present, table.predictions == part.predicted
    predicted = table.classes[part.predicted]
    tested = int((present & ~half).sum())
    if tested < MIN_SHOWN:
        return Skipped(ID, f"a part of {predicted} is shown by {tested} of the images for tests")
    words = table[part.vocabulary.column]
    central = share_in_centre(words[present & half], part.pattern.visual_words)
    if central > MAX_CENTRAL:
        where = f"{percent(central)} of the places like it lie in the central half"
        return Skipped(ID, f"a part of {predicted} is what the middle looks like: {where}")
    see = seeing(laboratory.viewer, part.vocabulary, part.pattern.visual_words, part.pattern.bound)
    ordered = np.argsort(-part.amount, kind="stable")
    donors = ordered[(present & of_class & half)[ordered]][:MAX_SOURCES]
    sources = [
        Source(image, mask)
        for _, image in laboratory.pictures(donors)
        for mask in [see(image)[1]]
        if mask.any()
    ]
    rng = np.random.default_rng(table.seed)
    lacking = half & (part.amount <= MAX_LACKING)
    alike = _some(lacking & of_class, laboratory, rng)
    others = _some(lacking & ~of_class, laboratory, rng)
    if min(len(sources), len(alike), len(others)) < MIN_SOURCES:
        few = "too few images show it, or lack it, to take it from"
        return Skipped(ID, f"a part of {predicted}: {few}")
    images = tuple(table.ids[row] for row in ordered if present[row])
    called = name(sources, images, laboratory.domain.artifacts, reviews, taken)
    pool = Pool(tuple(sources), tuple(alike), tuple(others), predicted)
    shown_on = present & half
    origin = Origin(
        tested=~half,
        images=images,
        shown=int((shown_on & of_class).sum()),
        predicted=predicted,
        others=float(present[half & ~of_class].mean()),
        central=central,
        resembles=called.said,
    )
    artifact = Discovered(called.id, called.title, called.phrases, pool, see)
    return _Found(artifact, origin, _columns(artifact.id, part, table))


def _some(rows: Bools, laboratory: Laboratory, rng: np.random.Generator) -> list[RGB]:
    picked = rng.permutation(np.flatnonzero(rows))[:MAX_SOURCES]
    return [image for _, image in laboratory.pictures(picked)]


def _columns(identity: str, part: Part, table: Measurements) -> dict[str, Array]:
    """Return what the pass would have measured of the part: (n, ...) by column."""
    present = part.present
    times = GRID // part.places.shape[1]
    places = part.places & present[:, None, None]
    mask = places.repeat(times, 1).repeat(times, 2)
    rows = np.flatnonzero(present)
    share, signed = (np.full(len(present), np.nan, np.float32) for _ in range(2))
    positive, negative = table["relevance.positive"], table["relevance.negative"]
    share[~present] = signed[~present] = 0
    for row in rows:
        there = mask[row]
        own = positive[row].astype(np.float64), negative[row].astype(np.float64)
        total = float(own[0].sum() + own[1].sum())
        if 0 < total < np.inf:
            for_it, against = float(own[0][there].sum()), float(own[1][there].sum())
            share[row], signed[row] = (for_it + against) / total, (for_it - against) / total
    return {
        f"{identity}.score": (part.amount / (1 + part.amount)).astype(np.float32),
        f"{identity}.present": present,
        f"{identity}.mask": (mask * np.uint8(255)).astype(np.uint8),
        f"{identity}.share": share,
        f"{identity}.signed": signed,
        f"{identity}.area": mask.mean((1, 2)).astype(np.float32),
    }


def _known(
    present: Bools, tested: Bools, table: Measurements, detectors: Sequence[Detector]
) -> str:
    """Return the things of an artifact that the same images show and that the model uses; or ""."""
    sought = artifacts_of(detectors)
    for artifact in sought:
        try:
            every = shown(artifact, table, sought)
        except KeyError:  # its detector failed in the pass
            continue
        for each in every:
            if jaccard(present[tested], each.present[tested]) < SAME_IMAGES:
                continue
            use = depend(table, each.key, each.artifact.phrases)
            if isinstance(use, Dependence) and any(e.turns or e.moves for e in use.effects):
                return each.artifact.phrases.things
    return ""


def _fingerprint(found: Sequence[_Found], sought: Sequence[Artifact]) -> str:
    """Return what tells these parts from others that have their ids, beside the same artifacts."""
    told = hashlib.sha256(repr([artifact.id for artifact in sought]).encode())
    for each in found:
        told.update(each.artifact.id.encode())
        told.update(each.columns[f"{each.artifact.id}.mask"].tobytes())
    return told.hexdigest()[:16]


def _tried(
    found: Sequence[_Found],
    skipped: Sequence[Skipped],
    table: Measurements,
    detectors: Sequence[Detector],
    laboratory: Laboratory,
    store: Store,
    per_class: int,
    observer: Observer,
    turns: Turns,
) -> Tried:
    """Put the parts into images of the half for tests, and take them out."""
    if not found:
        return Tried(table, skipped=tuple(skipped))
    columns = {k: v for each in found for k, v in each.columns.items()}
    read = table.columns
    table = replace(table, columns=lambda k: columns[k] if k in columns else read(k))
    tested = found[0].origin.tested
    own = [each.artifact for each in found]
    sought = artifacts_of(detectors)
    # Ids do not tell what they stand for: a part that a reviewer names gives its number to another.
    which = _fingerprint(found, sought)
    kept = TrialStore(store.folder, f"{store.run_id}-{per_class}-{ID}-{which}")
    trials = intervene(
        own,
        table.of(tested),
        laboratory.of(tested),
        observer,
        per_class,
        kept,
        turns,
        others=(*sought, *own),
    )
    rows = np.flatnonzero(tested)
    everywhere = {key: one.moved(rows) for key, one in trials.items()}
    return Tried(
        replace(table, trials={**table.trials, **everywhere}),
        tuple(DiscoveredDetector(each.artifact, sought, each.origin) for each in found),
        tuple(skipped),
    )
