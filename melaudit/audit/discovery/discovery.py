"""Discover: choose parts and looks on one half of the images, and try them on the other, in turn.

A part is known by likeness to examples, chosen by looks (`parts`) or by what they do
(`mined_parts`), by being like nothing that other images show, by the finder of a known artifact, by
its visual words, or by where the model looks. These are its finder, and their places its mask.
Donors from the half that it was chosen on are what it is put in and taken out with
(`artifacts.discovered`). So it climbs the same four rungs as an artifact that somebody wrote a
finder for. So does a look of whole pictures that one class has (`whole_looks`), which has no place
and is given to other images as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.discovered import Discovered, Pool, See, Source
from melaudit.artifacts.interface import Artifact
from melaudit.audit.discovery.halves import first_half
from melaudit.audit.discovery.made import (
    MAX_LACKING,
    MIN_SHOWN,
    MIN_SOURCES,
    Candidate,
    Made,
    images_showing,
    least,
    made,
    most,
    some,
)
from melaudit.audit.discovery.marked_parts import marked_parts
from melaudit.audit.discovery.mined_parts import mined_parts
from melaudit.audit.discovery.naming import Name, name
from melaudit.audit.discovery.parts import (
    Part,
    alike_parts,
    looked_at_parts,
    shown_parts,
    strange_parts,
    strongest,
)
from melaudit.audit.discovery.repeats import (
    SAME_IMAGES,
    acts,
    acts_clearly,
    called_alike,
    in_one_place,
    in_place_of,
)
from melaudit.audit.discovery.screening import pull
from melaudit.audit.discovery.seeing import on_picture
from melaudit.audit.discovery.whole_looks import look_candidate, whole_looks
from melaudit.audit.edits.interventions import intervene
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.edits.trial_store import TrialStore
from melaudit.audit.leases import ALONE, Turns
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.visual_words import Sight
from melaudit.detectors.discovered import DiscoveredDetector
from melaudit.detectors.interface import Detector, artifacts_of
from melaudit.errors import ends_the_run
from melaudit.findings import DetectorInfo, Failed, Skipped, Subject
from melaudit.findings.evidence import DISCOVERED as ID
from melaudit.measurements import CHUNK, Measurements
from melaudit.observer import Observer
from melaudit.statistics.overlap import jaccard
from melaudit.stopwatch import timed
from melaudit.wording.sentences import percent

DISCOVERY = DetectorInfo(ID, "Artifacts that nobody named", Subject.MODEL, asks="", why="")
"""How the report names this question, beside those of the detectors."""
MAX_ALIKE, MAX_OF_A_KIND, MAX_LOOKED_AT = 4, 2, 1
"""Candidates of each class, the strongest ones, that are put into images of the half that they were
chosen on: by likeness, of each other kind, and by where the model looks on a group, where groups
share a place. Chosen, not measured."""
MAX_CENTRAL = 0.6
"""Share of the places like a part that may lie in the central half: what is all over a picture has
one half of them there, by its area. Beyond, the part is what the object looks like."""
MAX_COVERED = 2 / 3
"""Share of the picture that a part covers on average, at most. A black ring covers what lies round
the central half, and the places beside; what covers more is a look of whole pictures."""
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Tried:
    """What the discovery added to a run."""

    table: Measurements
    detectors: tuple[DiscoveredDetector, ...] = ()
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

    reviews: image -> what a reviewer saw; limits: images of each class that are edited, and how
    many are chosen on each half. A failure is a `Skipped`, not the end of the run.
    """
    per_class, most = limits
    if not (per_class and most and table.above_chance):
        return Tried(table)
    observer.stage("Discovering artifacts")
    tried = Tried(table)
    first = first_half(table)
    try:
        for half in (first, ~first):
            with timed(ID):
                found, skipped = _found(tried, detectors, laboratory, sight, reviews, most, half)
            more = _tried(
                found, tried.table, detectors, laboratory, store, per_class, observer, turns
            )
            tried = Tried(
                more.table,
                (*tried.detectors, *more.detectors),
                # Several parts may be refused in the same words.
                tuple(dict.fromkeys((*tried.skipped, *skipped))),
            )
    except Exception as error:
        if ends_the_run(error):
            raise
        return replace(tried, skipped=(*tried.skipped, Failed.by(ID, error)))
    return tried


def _found(
    tried: Tried,
    detectors: Sequence[Detector],
    laboratory: Laboratory,
    sight: Sight,
    reviews: Mapping[str, str],
    most: int,
    half: Bools,
) -> tuple[list[Made], list[Skipped]]:
    """Return what is chosen on half of the images (n,), and why other things are not.

    Of the candidates those that move decisions the farthest there, the farthest first. tried: what
    was chosen on the other half, and tried on this one.
    """
    table = tried.table
    clear = [each for each in tried.detectors if acts_clearly(each, table)]
    candidates: list[Candidate] = []
    skipped: list[Skipped] = []

    def consider(each: Candidate | Skipped) -> None:
        if isinstance(each, Skipped):
            skipped.append(each)
        elif known := (
            in_place_of(each, ~half, table, detectors, acts)
            or in_place_of(each, ~half, table, clear)
        ):
            what = "look" if each.places is None else "part"
            said = f"it is where images show {known}, which edits already showed to be used"
            skipped.append(Skipped(ID, f"a {what} of {table.classes[each.predicted]}: {said}"))
        else:
            candidates.append(each)

    kinds = (
        (mined_parts(table, laboratory, sight, half), MAX_OF_A_KIND),
        (alike_parts(table, sight, half, MAX_ALIKE), MAX_ALIKE),
        (strange_parts(table, sight, half), MAX_OF_A_KIND),
        (marked_parts(table, artifacts_of(detectors), half), MAX_OF_A_KIND),
        ([] if sight.likeness else shown_parts(table, sight.vocabularies, half), MAX_OF_A_KIND),
        (looked_at_parts(table, half), MAX_LOOKED_AT),
    )
    for part in (each for parts, most_of in kinds for each in strongest(parts, most_of)):
        # What is on images that show another candidate, in its place, may be it.
        if not any(in_one_place(part, each, half) for each in candidates):
            consider(_candidate(part, table, laboratory, half, reviews))
    try:
        looks = whole_looks(table, half)
    except KeyError:
        said = "light, colour and sharpness were not measured, so no look of whole pictures is told"
        skipped.append(Skipped(ID, said))
        looks = []
    for look in strongest(looks, MAX_OF_A_KIND):
        consider(look_candidate(look, table, laboratory, half, reviews))
    pulls = [pull(each, table, laboratory, half) for each in candidates]
    taken = [detector.id for detector in tried.detectors]
    found: list[Made] = []
    for k in np.argsort(-np.array(pulls), kind="stable"):
        if len(found) == most:
            break
        each = made(candidates[k], table, half, taken)
        if any(called_alike(each, other) for other in clear):
            said = "it is like what the other half of the images showed to be used"
            skipped.append(Skipped(each.artifact.id, said))
            continue
        found.append(each)
        taken.append(each.artifact.id)
    return [_beside_others(each, found, ~half) for each in found], skipped


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


def _candidate(
    part: Part,
    table: Measurements,
    laboratory: Laboratory,
    half: Bools,
    reviews: Mapping[str, str],
) -> Candidate | Skipped:
    """Make a candidate of a part, with donors of the half that it was chosen on."""
    present, of_class = part.present, table.predictions == part.predicted
    predicted = table.classes[part.predicted]
    tested = int((present & ~half).sum())
    if tested < MIN_SHOWN:
        return Skipped(ID, f"a part of {predicted} is shown by {tested} of the images for tests")
    if part.central > MAX_CENTRAL:
        where = f"{percent(part.central)} of the places like it lie in the central half"
        return Skipped(ID, f"a part of {predicted} is what the middle looks like: {where}")
    see = part.seeing(laboratory.viewer)
    sources = _sources(part, see, laboratory, present & of_class & half)
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
    pool = Pool(tuple(sources), tuple(alike), tuple(others), predicted)

    def artifact(called: Name) -> Artifact:
        return Discovered(called.id, called.title, called.phrases, pool, see, called.said)

    def name_it(taken: Sequence[str]) -> Name:
        images = images_showing(part.amount, table.ids)
        known = laboratory.domain.artifacts
        return name(sources, [*alike, *others], images, known, reviews, taken)

    return Candidate(part.predicted, part.amount, artifact, name_it, part.measured, part.places)


def _sources(part: Part, see: See, laboratory: Laboratory, showing: Bools) -> list[Source]:
    """Return the images that a part is taken from, of those that show it (n,), and where it is."""
    rows = most(part.amount, showing) if part.donors is None else part.donors
    preprocessing = laboratory.viewer.preprocessing
    # The pass knows the places, so the model need not be asked again.
    places = None if part.fine else dict(zip(rows.tolist(), part.places(rows), strict=True))
    sources = []
    for row, image in laboratory.pictures(rows):
        shape = image.shape[:2]
        mask = on_picture(places[row], shape, preprocessing) if places else see(image)[1]
        if mask.any():
            sources.append(Source(image, mask))
    return sources


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
        return Tried(table)
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
    )
