"""Interventions: what the model says of images with an artifact put in, taken out or imitated.

Forward passes only, on a seeded sample matched over the classes. Every artifact is put in and taken
out, each until its trial ends (`rungs.stopping`): first alone, then against the placebos that
should mean nothing. Where decisions move, more is asked: what resembles it, smaller doses, and the
artifact on pictures without the object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Adaptable, Artifact, Directed, Placebo
from melaudit.audit.edits.answers import Answers
from melaudit.audit.edits.attempts import (
    Attempt,
    beside,
    can_be_taken_out,
    filled_elsewhere,
    neutral,
    on_bare_ground,
    partners_of,
    put_in,
    smaller_doses,
    taken_out,
)
from melaudit.audit.edits.laboratory import Laboratory, Responses
from melaudit.audit.edits.trial_store import TrialStore
from melaudit.audit.leases import ALONE, Turns, Units
from melaudit.audit.measure.store import Store
from melaudit.detectors.interface import Detector, artifacts_of
from melaudit.detectors.rungs.dependence import Dependence, depend
from melaudit.detectors.rungs.effect import MIN_EDITED, Effect
from melaudit.detectors.rungs.shown import Shown, shown
from melaudit.detectors.rungs.stopping import LOOK, carried_out
from melaudit.errors import ends_the_run
from melaudit.measurements import Array, Course, Measurements, Trials
from melaudit.observer import Observer
from melaudit.stopwatch import timed

MAX_IMAGES = 160
"""Images of all classes together that are edited, unless more are asked of two classes. Chosen: a
round figure, not measured."""
MIN_PER_CLASS = 8
"""Images of a class that are edited however many classes there are. Chosen: a round figure, not
measured."""
MAX_PER_DOSE = 8
"""Images of each class that smaller doses are put into, and that are shown without the object.
Chosen: a round figure, not measured."""
MAX_EXAMPLES, MIN_EXAMPLES = 24, 4
"""Images by which it is told which kind of an artifact the data show, at most and at least. Chosen:
round figures, not measured."""

Rows = NDArray[np.int64]


def edited(
    table: Measurements,
    detectors: Sequence[Detector],
    laboratory: Laboratory,
    store: Store,
    per_class: int,
    observer: Observer,
    turns: Turns = ALONE,
) -> Measurements:
    """Add what edits of images show, for every artifact that was looked for.

    `per_class` images of each class are edited, none for 0. Answers are kept beside the shards of
    the run in `store`; `turns` says which artifacts are this process's.
    """
    sought = [a for a in artifacts_of(detectors) if _was_measured(table, f"{a.id}.present")]
    if not sought or per_class == 0:
        return table
    laboratory.show_together(*_planned(sought, table, per_class))
    # The run's name leaves out what cannot change a measurement, and so how many are edited.
    kept = TrialStore(store.folder, f"{store.run_id}-{per_class}")
    trials = intervene(sought, table, laboratory, observer, per_class, kept, turns)
    return dataclasses.replace(table, trials=trials)


def _planned(
    artifacts: Sequence[Artifact], table: Measurements, per_class: int
) -> tuple[Rows, Rows]:
    """Return the images that most artifacts are put into, and the others that a trial may need."""
    targets, seed = _targets(table), table.seed
    anyone = np.ones(len(table.ids), np.bool_)
    usual = chosen(anyone, targets, per_class, seed)
    others: list[Rows] = []
    for each in (each for artifact in artifacts for each in shown(artifact, table, artifacts)):
        lacking = chosen(~each.present, targets, per_class, seed)
        others.append(lacking)
        having = chosen(each.alone, targets, per_class, seed)
        if can_be_taken_out(each.artifact) and len(having) >= MIN_EDITED:
            partners = partners_of(having, lacking, targets)
            others += [having, np.array(list(partners.values()), np.int64)]
    return usual, np.setdiff1d(np.concatenate(others), usual)


def _was_measured(table: Measurements, column: str) -> bool:
    try:
        table[column]
    except KeyError:  # the detector failed in the pass
        return False
    return True


def intervene(
    artifacts: Sequence[Artifact],
    table: Measurements,
    laboratory: Laboratory,
    observer: Observer,
    per_class: int,
    store: TrialStore | None = None,
    turns: Turns = ALONE,
    others: Sequence[Artifact] | None = None,
    unit: str = "artifacts",
) -> dict[str, Trials]:
    """Edit images for every artifact, and every kind of it that images show.

    Returns what the model said of them, by the key of what was `shown`.

    Artifacts may be anybody's: one that fails is left out, and the user is told. What `store` holds
    of an earlier run, or of another process, is taken from there, and what is new is kept in it.
    `others` are all artifacts that were looked for, where these are not all; `unit` is what the
    observer is told they are.
    """
    known = artifacts if others is None else others
    every = [each for artifact in artifacts for each in shown(artifact, table, known)]
    observer.stage("Editing images", len(every), unit)
    answers: dict[str, Answers] = {}

    def there(each: Shown) -> bool:
        kept = None if store is None else store.read(each.key)
        if kept is not None:
            answers[each.key] = _remembered(kept, laboratory)
        return kept is not None

    def name(each: Shown) -> str:
        return each.key if store is None else store.head(each.key)

    def came(each: Shown) -> None:
        observer.advance(1, computed=False)

    for each in Units(every, turns, name, there, came):
        try:
            with timed(each.key):
                answers[each.key] = _tried(each, table, laboratory, per_class, store)
        except Exception as error:  # whatever a foreign artifact raises: the run goes on
            if ends_the_run(error):
                raise
            observer.note(f"{each.key} cannot be put in or taken out: {error!r}")
        observer.advance(1)
    found = {e.key: answers[e.key] for e in every if e.key in answers and answers[e.key].kept}
    natural = laboratory.recall(row for one in found.values() for _, row, _ in one.kept)
    return {key: one.trials(natural) for key, one in found.items()}


def chosen(rows: NDArray[np.bool_], targets: Rows, per_class: int, seed: int) -> Rows:
    """Choose rows (k,) at random, as many of each class as there are, up to `per_class`.

    rows: (n,) those to choose from; targets: (n,) class index. The same images are chosen for every
    artifact, as far as they will do, so that they are read once.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    classes = np.unique(targets)
    most = max(MAX_IMAGES, 2 * per_class) // max(len(classes), 1)
    each = max(MIN_PER_CLASS, min(per_class, most))
    picked = [order[rows[order] & (targets[order] == target)][:each] for target in classes]
    out: Rows = np.sort(np.concatenate(picked)) if picked else np.empty(0, np.int64)
    return out


def put_into(rows: NDArray[np.bool_], targets: Rows, per_class: int, seed: int, n: int) -> Rows:
    """Return the images that a trial which edited `n` of these rows edited, as far as can be told.

    A trial that ended at its first look edited no others. Where the number does not tell, all that
    were planned are returned.
    """
    first, planned = _looks_at(rows, targets, per_class, seed)
    return first if n == len(first) else planned


def as_shown(each: Shown, table: Measurements, laboratory: Laboratory) -> Artifact:
    """Return the artifact in the make that images show of the class that shows it most often.

    A model can only have learned the make it met. It is taken from images without what explains the
    artifact, or that would be put in as well. Where it has no makes, or too few images show it to
    tell, it is returned as it is.
    """
    artifact = each.artifact
    if not isinstance(artifact, Adaptable):
        return artifact
    alone, targets = each.alone, _targets(table)
    most = max(np.unique(targets), key=lambda target: alone[targets == target].mean())
    examples = chosen(alone & (targets == most), targets, MAX_EXAMPLES, table.seed)
    if len(examples) < MIN_EXAMPLES:
        return artifact
    return artifact.like(picture for _, picture in laboratory.pictures(examples))


def _targets(table: Measurements) -> Rows:
    """Return the label (n,) of each image, or its predicted class where that is unknown."""
    return np.where(table.labels >= 0, table.labels, table.predictions)


def _tried(
    each: Shown,
    table: Measurements,
    laboratory: Laboratory,
    per_class: int,
    store: TrialStore | None,
) -> Answers:
    """Try an artifact, and keep what was seen together with the images it is held against."""
    answers = _try(each, table, laboratory, per_class)
    if store is not None:
        met = laboratory.recall(row for _, row, _ in answers.kept)
        natural: dict[str, Array] = {
            "met": met.rows,
            "met.logits": met.logits,
            "met.features": met.features,
        }
        store.write(each.key, answers.arrays() | natural)
    return answers


def _remembered(kept: Mapping[str, Array], laboratory: Laboratory) -> Answers:
    """Return what was seen before the run was cut short."""
    met = (kept[name] for name in ("met.logits", "met.features", "met"))
    laboratory.remember(Responses(*met))
    return Answers.of(kept)


def _try(each: Shown, table: Measurements, laboratory: Laboratory, per_class: int) -> Answers:
    """Show the model one artifact, and more of it where decisions move."""
    seed, targets = table.seed, _targets(table)
    artifact = as_shown(each, table, laboratory)

    def placebos(rows: Rows) -> Iterator[Attempt]:
        return beside(artifact, rows, laboratory, seed, neutral)

    into, as_many = _put_into(each, table, per_class)
    first, lacking = _looks_at(into, targets, as_many, seed)
    answers = _course(
        "add",
        (each, table, laboratory),
        (first, lacking),
        lambda rows: put_in(artifact, rows, laboratory, seed),
        placebos,
    )
    some, having = _looks_at(each.alone, targets, per_class, seed)
    # Of fewer images nothing is concluded, unless so few are edited of everything.
    if can_be_taken_out(artifact) and len(having) >= max(1, min(MIN_EDITED, len(lacking))):
        _, without = _looks_at(~each.present, targets, per_class, seed)
        partners = partners_of(having, without, targets)
        removed = _course(
            "remove",
            (each, table, laboratory),
            (some, having),
            lambda rows: taken_out(artifact, rows, laboratory),
            lambda rows: filled_elsewhere(artifact, rows, partners, laboratory),
        )
        answers.join(removed)
    found = _judged(each, table, answers)
    if found is not None and found.add is not None and _asks_more(found, found.add):
        few = chosen(into, targets, min(MAX_PER_DOSE, per_class), seed)
        placebo = found.add.placebo.id
        answers.ask(laboratory, beside(artifact, first, laboratory, seed, _resembling))
        answers.ask(laboratory, smaller_doses(artifact, few, laboratory, seed, placebo))
        answers.ask(laboratory, on_bare_ground(artifact, few, laboratory, seed))
    return answers


def _put_into(each: Shown, table: Measurements, per_class: int) -> tuple[NDArray[np.bool_], int]:
    """Return which images (n,) an artifact may be put into, and how many of each class.

    Of a `Directed` one as many as of both classes: one class has few that are decided otherwise.
    """
    lacking = ~each.present
    if not isinstance(each.artifact, Directed) or each.artifact.towards not in table.classes:
        return lacking, per_class
    otherwise = table.predictions != table.classes.index(each.artifact.towards)
    return lacking & otherwise, 2 * per_class


def _looks_at(
    rows: NDArray[np.bool_], targets: Rows, per_class: int, seed: int
) -> tuple[Rows, Rows]:
    """Return the images that are looked at first, and all that are to be edited, as balanced."""
    every = chosen(rows, targets, per_class, seed)
    sizes = (chosen(rows, targets, few, seed) for few in range(1, per_class + 1))
    return next((some for some in sizes if len(some) >= LOOK), every), every


def _course(
    name: str,
    of: tuple[Shown, Measurements, Laboratory],
    samples: tuple[Rows, Rows],
    edit: Callable[[Rows], Iterable[Attempt]],
    placebos: Callable[[Rows], Iterable[Attempt]],
) -> Answers:
    """Show the model one edit and its placebos, until the trial ends; see `rungs.stopping`.

    samples: the images of the first look, and all that are planned.
    """
    each, table, laboratory = of
    answers = Answers()

    def effect(course: Course) -> Effect | None:
        answers.courses[name] = course
        found = _judged(each, table, answers)
        return None if found is None else next(iter(found.effects))

    answers.courses[name] = carried_out(
        *samples,
        lambda rows: answers.ask(laboratory, edit(rows)),
        lambda rows: answers.ask(laboratory, placebos(rows)),
        effect,
    )
    return answers


def _judged(each: Shown, table: Measurements, answers: Answers) -> Dependence | None:
    """Return what the answers so far say; None where they are too few to say anything."""
    if not answers.kept:
        return None
    trials = {each.key: answers.trials()}
    judged = dataclasses.replace(table, trials=trials, above_chance=True)
    found = depend(judged, each.key, each.artifact.phrases)
    return found if isinstance(found, Dependence) else None


def _resembling(placebo: Placebo) -> bool:
    return not neutral(placebo)


def _asks_more(found: Dependence, put_in: Effect) -> bool:
    """Tell whether more is asked of what was put in beside its placebos: where use may be claimed.

    Correction over all tests of a run may take a claim away and never gives one, and nothing else
    is claimed by what more is asked.
    """
    return not put_in.unplaced and any(e.within_reach for e in found.effects)
