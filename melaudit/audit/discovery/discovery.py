"""Discover: choose parts and looks on one half of the images, and try them on the other.

A part is known by likeness to an example, by being like nothing that other images show, by the
finder of a known artifact, by its visual words, or by where the model looks (`parts`). These are
its finder, and their places its mask. Donors from the half it was chosen on are what it is put in
and taken out with (`artifacts.discovered`). So it climbs the same four rungs as an artifact that
somebody wrote a finder for. So does a look of whole pictures that one class has (`whole_looks`),
which has no place and is given to other images as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.discovered import Discovered, Pool, Source
from melaudit.artifacts.interface import Artifact
from melaudit.audit.discovery.halves import first_half
from melaudit.audit.discovery.made import (
    MAX_LACKING,
    MIN_SHOWN,
    MIN_SOURCES,
    Made,
    SeenMasks,
    images_showing,
    least,
    most,
    origin_of,
    some,
)
from melaudit.audit.discovery.marked_parts import marked_parts
from melaudit.audit.discovery.naming import name
from melaudit.audit.discovery.parts import (
    Part,
    alike_parts,
    looked_at_parts,
    shown_parts,
    strange_parts,
)
from melaudit.audit.discovery.whole_looks import made_look, whole_looks
from melaudit.audit.edits.interventions import intervene
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.edits.trial_store import TrialStore
from melaudit.audit.leases import ALONE, Turns
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.visual_words import Sight
from melaudit.detectors.discovered import DiscoveredDetector
from melaudit.detectors.interface import Detector, artifacts_of
from melaudit.detectors.rungs.dependence import Dependence, depend
from melaudit.detectors.rungs.shown import shown
from melaudit.errors import ends_the_run
from melaudit.findings import DetectorInfo, Failed, Skipped, Subject
from melaudit.findings.evidence import DISCOVERED as ID
from melaudit.measurements import CHUNK, Array, Measurements
from melaudit.observer import Observer
from melaudit.statistics.overlap import Masks, jaccard, overlap
from melaudit.stopwatch import timed
from melaudit.wording.sentences import percent

DISCOVERY = DetectorInfo(ID, "Artifacts that nobody named", Subject.MODEL, asks="", why="")
"""How the report names this question, beside those of the detectors."""
MAX_OF_WORDS = 1
"""Parts by visual words that are tried where no layer describes places. Chosen, not measured."""
MAX_STRANGE = 1
"""Parts that are like hardly anything in other images that are tried. Chosen, not measured."""
MAX_MARKED = 1
"""Parts that the finder of an artifact marks that are tried. Chosen, not measured."""
MAX_LOOKED_AT = 1
"""Parts by where the model looks on a group that are tried, the strongest ones. Chosen, not
measured."""
MAX_LOOKS = 2
"""Looks of whole pictures that are tried, the strongest ones. Chosen, not measured."""
MAX_CENTRAL = 0.6
"""Share of the places like a part that may lie in the central half: what is all over a picture has
one half of them there, by its area. Beyond, the part is what the object looks like."""
MAX_COVERED = 2 / 3
"""Share of the picture that a part covers on average, at most. A black ring covers what lies round
the central half, and the places beside; what covers more is a look of whole pictures."""
SAME_IMAGES = 0.5
"""Jaccard index of the images that show two things from which these may be one. Chosen, not
measured."""
SAME_PLACE = 0.5
"""Share of the smaller one that lies in the other from which they are one: one half."""
MAX_COMPARED = 400
"""Images on which two places are compared, about; evenly spread. Limits the time."""

Bools = NDArray[np.bool_]


def most_tried(most: int) -> int:
    """Return how many artifacts are tried at most where `most` parts are."""
    return most + sum(
        min(each, most) for each in (MAX_STRANGE, MAX_MARKED, MAX_LOOKED_AT, MAX_LOOKS)
    )


@dataclass(frozen=True)
class Tried:
    """What the discovery added to a run."""

    table: Measurements
    detectors: tuple[Detector, ...] = ()
    """One for each discovered artifact."""
    skipped: tuple[Skipped, ...] = ()


def discover(
    table: Measurements,
    detectors: Sequence[Detector],
    laboratory: Laboratory,
    sight: Sight,
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
    if not (per_class and most and table.above_chance):
        return Tried(table)
    observer.stage("Discovering artifacts")
    try:
        with timed(ID):
            found, skipped = _found(table, detectors, laboratory, sight, reviews, most)
        return _tried(
            found, skipped, table, detectors, laboratory, store, per_class, observer, turns
        )
    except Exception as error:
        if ends_the_run(error):
            raise
        return Tried(table, skipped=(Failed.by(ID, error),))


def _found(
    table: Measurements,
    detectors: Sequence[Detector],
    laboratory: Laboratory,
    sight: Sight,
    reviews: Mapping[str, str],
    most: int,
) -> tuple[list[Made], list[Skipped]]:
    """Return the parts and looks that can be tried, and why others cannot."""
    half = first_half(table)
    found: list[Made] = []
    skipped: list[Skipped] = []

    def enough(candidates: Iterable[Callable[[list[str]], Made | Skipped]], most: int) -> None:
        first = len(found)
        for make in candidates:
            if len(found) == first + most:
                break
            made = make([each.artifact.id for each in found])
            if isinstance(made, Skipped):
                skipped.append(made)
                continue
            known = _known(made, ~half, table, detectors)
            if known:
                said = f"it is where images show {known}, which edits already showed to be used"
                skipped.append(Skipped(made.artifact.id, said))
                continue
            found.append(made)

    of = (table, laboratory, half, reviews)

    def new(parts: Sequence[Part]) -> Iterator[Callable[[list[str]], Made | Skipped]]:
        """Leave out those on images that show what was found, in its place: they may be one."""
        for part in parts:
            masks = SeenMasks(part.present, part.places)
            if not any(_one(part.present, masks, each, half) for each in found):
                yield partial(_made, part, *of)

    enough(new(alike_parts(table, sight, half)), most)
    enough(new(strange_parts(table, sight, half)), min(MAX_STRANGE, most))
    enough(new(marked_parts(table, artifacts_of(detectors), half)), min(MAX_MARKED, most))
    if sight.likeness is None:
        enough(new(shown_parts(table, sight.vocabularies, half)), min(MAX_OF_WORDS, most))
    enough(new(looked_at_parts(table, half)), min(MAX_LOOKED_AT, most))
    try:
        looks = whole_looks(table, half)
    except KeyError:
        said = "light, colour and sharpness were not measured, so no look of whole pictures is told"
        skipped.append(Skipped(ID, said))
        looks = []
    enough((partial(made_look, look, *of) for look in looks), min(MAX_LOOKS, most))
    # Several parts may be refused in the same words.
    refused = list(dict.fromkeys(skipped))
    return [_beside_others(made, found, ~half) for made in found], refused


def _beside_others(made: Made, found: Sequence[Made], tested: Bools) -> Made:
    """Add which other discovered artifacts the same images show."""
    same = [
        each.artifact.phrases.things
        for each in found
        if each is not made and jaccard(made.present[tested], each.present[tested]) >= SAME_IMAGES
    ]
    if not same:
        return made
    said = f"Much the same images show {' and '.join(same)}: what each of them does, its edits say."
    origin = replace(made.origin, resembles=f"{made.origin.resembles} {said}")
    return replace(made, origin=origin)


def _made(
    part: Part,
    table: Measurements,
    laboratory: Laboratory,
    half: Bools,
    reviews: Mapping[str, str],
    taken: Sequence[str],
) -> Made | Skipped:
    """Make an artifact of a part, with donors of the half that it was chosen on."""
    present, of_class = part.present, table.predictions == part.predicted
    predicted = table.classes[part.predicted]
    tested = int((present & ~half).sum())
    if tested < MIN_SHOWN:
        return Skipped(ID, f"a part of {predicted} is shown by {tested} of the images for tests")
    if part.central > MAX_CENTRAL:
        where = f"{percent(part.central)} of the places like it lie in the central half"
        return Skipped(ID, f"a part of {predicted} is what the middle looks like: {where}")
    see = part.seeing(laboratory.viewer)
    sources = [
        Source(image, mask)
        for _, image in laboratory.pictures(most(part.amount, present & of_class & half))
        for mask in [see(image)[1]]
        if mask.any()
    ]
    covered = float(np.mean([source.mask.mean() for source in sources])) if sources else 0.0
    if covered > MAX_COVERED:
        return Skipped(ID, f"a part of {predicted} is no place: it covers {percent(covered)}")
    rng = np.random.default_rng(table.seed)
    lacking = half & (part.amount <= MAX_LACKING)
    alike = some(least(part.amount, lacking & of_class), laboratory, rng)
    others = some(least(part.amount, lacking & ~of_class), laboratory, rng)
    if min(len(sources), len(alike), len(others)) < MIN_SOURCES:
        few = "too few images show it, or lack it, to take it from"
        return Skipped(ID, f"a part of {predicted}: {few}")
    images = images_showing(part.amount, table.ids)
    called = name(sources, [*alike, *others], images, laboratory.domain.artifacts, reviews, taken)
    pool = Pool(tuple(sources), tuple(alike), tuple(others), predicted)
    origin = origin_of(part.amount, part.predicted, table, half, called, part.measured)
    artifact = Discovered(called.id, called.title, called.phrases, pool, see, called.said)
    return Made(artifact, origin, present, _columns(artifact.id, part, table))


def _columns(identity: str, part: Part, table: Measurements) -> dict[str, Array]:
    """Return what the pass would have measured of the part: (n, ...) by column."""
    present = part.present
    masks = SeenMasks(present, part.places)
    share, signed, area = (np.zeros(len(present), np.float32) for _ in range(3))
    positive, negative = table["relevance.positive"], table["relevance.negative"]
    showing = np.flatnonzero(present)
    for start in range(0, len(showing), CHUNK):
        rows = showing[start : start + CHUNK]
        there = masks.seen(rows)
        area[rows] = there.mean((1, 2))
        share[rows] = signed[rows] = np.nan
        maps = zip(rows, there, positive[rows], negative[rows], strict=True)
        for row, cells, plus, minus in maps:
            own = plus.astype(np.float64), minus.astype(np.float64)
            total = float(own[0].sum() + own[1].sum())
            if 0 < total < np.inf:
                for_it, against = float(own[0][cells].sum()), float(own[1][cells].sum())
                share[row], signed[row] = (for_it + against) / total, (for_it - against) / total
    return {
        f"{identity}.score": (part.amount / (1 + part.amount)).astype(np.float32),
        f"{identity}.present": present,
        f"{identity}.mask": cast(Array, masks),
        f"{identity}.share": share,
        f"{identity}.signed": signed,
        f"{identity}.area": area,
    }


def _known(made: Made, tested: Bools, table: Measurements, detectors: Sequence[Detector]) -> str:
    """Return the things of an artifact that images show there and that the model uses; or ""."""
    sought = artifacts_of(detectors)
    for artifact in sought:
        try:
            every = shown(artifact, table, sought)
            masks = None if artifact.whole_picture else table[f"{artifact.id}.mask"]
        except KeyError:  # its detector failed in the pass
            continue
        for each in every:
            if masks is None:  # all over a picture: a part or a look of these images may be it
                same = jaccard(each.present[tested], made.present[tested]) >= SAME_IMAGES
            else:
                same = _one(each.present, masks, made, tested)
            if not same:
                continue
            use = depend(table, each.key, each.artifact.phrases)
            if isinstance(use, Dependence) and any(e.turns or e.moves for e in use.effects):
                return each.artifact.phrases.things
    return ""


def _one(present: Bools, masks: Masks, made: Made, some: Bools) -> bool:
    """Tell whether what images (n,) show is what was made: on the same of some, in one place.

    masks: (n, GRID, GRID) where they show it, above 0. A look has no place.
    """
    key = f"{made.artifact.id}.mask"
    if key not in made.columns or jaccard(present[some], made.present[some]) < SAME_IMAGES:
        return False
    rows = np.flatnonzero(present & made.present & some)
    few = rows[:: max(1, len(rows) // MAX_COMPARED)]
    return overlap(masks, made.columns[key], few) >= SAME_PLACE


def _fingerprint(found: Sequence[Made], sought: Sequence[Artifact]) -> str:
    """Return what tells these parts from others that have their ids, beside the same artifacts."""
    told = hashlib.sha256(repr([artifact.id for artifact in sought]).encode())
    for each in found:
        told.update(each.artifact.id.encode())
        for _, column in sorted(each.columns.items()):
            for start in range(0, len(column), CHUNK):
                told.update(np.ascontiguousarray(column[start : start + CHUNK]).tobytes())
    return told.hexdigest()[:16]


def _tried(
    found: Sequence[Made],
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
        unit="discovered artifacts",
    )
    rows = np.flatnonzero(tested)
    everywhere = {key: one.moved(rows) for key, one in trials.items()}
    return Tried(
        replace(table, trials={**table.trials, **everywhere}),
        tuple(DiscoveredDetector(each.artifact, sought, each.origin) for each in found),
        tuple(skipped),
    )
