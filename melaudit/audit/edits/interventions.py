"""Interventions: what the model says of images with an artifact put in, taken out or imitated.

Forward passes only, on a seeded sample matched over the classes. Every artifact is screened: put
in, taken out, and against the placebos that should mean nothing. Where decisions move, more is
asked: what resembles it, smaller doses, and the artifact on pictures without the object.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Adaptable, Artifact
from melaudit.audit.edits.attempts import (
    Attempt,
    on_bare_ground,
    put_in,
    resembling,
    smaller_doses,
    taken_out,
)
from melaudit.audit.edits.laboratory import Laboratory, Responses, natural_distances
from melaudit.audit.edits.trial_store import TrialStore
from melaudit.audit.leases import ALONE, Turns, Units
from melaudit.audit.measure.store import Store
from melaudit.detectors.interface import Detector, artifacts_of
from melaudit.detectors.rungs.dependence import Dependence, depend
from melaudit.detectors.rungs.shown import Shown, shown
from melaudit.detectors.rungs.trials import left_alone
from melaudit.errors import ends_the_run
from melaudit.measurements import Array, Edit, Measurements, Trials
from melaudit.observer import Observer

MAX_IMAGES = 160
"""Images of all classes together that are edited, unless more are asked of two classes. Chosen: a
round figure, not measured."""
MIN_PER_CLASS = 8
"""Images of a class that are edited however many classes there are. Chosen: a round figure, not
measured."""
MAX_PER_DOSE = 16
"""Images of each class that smaller doses are put into, and that are shown without the object.
Chosen: a round figure, not measured."""
MAX_EXAMPLES, MIN_EXAMPLES = 24, 4
"""Images by which it is told which kind of an artifact the data show, at most and at least. Chosen:
round figures, not measured."""
PROMISING = 0.06
"""Change of decisions beyond the placebo from which more is asked: below what counts as use
(`dependence.MIN_SHARE`), so that nothing that may count is passed over. Chosen, not measured."""

Rows = NDArray[np.int64]


@dataclass
class _Results:
    """What the model said of the attempts at one artifact, as they come in."""

    edits: dict[str, Edit] = field(default_factory=dict)
    kept: list[tuple[str, int, float]] = field(default_factory=list)
    before: list[NDArray[np.float32]] = field(default_factory=list)
    after: list[NDArray[np.float32]] = field(default_factory=list)
    features: list[NDArray[np.float32] | None] = field(default_factory=list)

    def arrays(self) -> dict[str, Array]:
        """Return all of it as arrays, by name, as they are stored."""
        names = list(self.edits)
        ids, rows, doses = zip(*self.kept, strict=True) if self.kept else ((), (), ())
        edits = [dataclasses.asdict(edit) for edit in self.edits.values()]
        known = [i for i, values in enumerate(self.features) if values is not None]
        features = [values for values in self.features if values is not None]
        return {
            "edits": np.array(json.dumps(edits)),
            "edit": np.array([names.index(identity) for identity in ids], np.int64),
            "rows": np.array(rows, np.int64),
            "dose": np.array(doses, np.float64),
            "before": np.array(self.before, np.float32),
            "after": np.array(self.after, np.float32),
            "described": np.array(known, np.int64),
            "features": np.array(features, np.float32),
        }

    @staticmethod
    def of(arrays: Mapping[str, Array]) -> _Results:
        """Read what `arrays` wrote."""
        edits = {e["id"]: Edit(**e) for e in json.loads(str(arrays["edits"]))}
        names = list(edits)
        features: list[NDArray[np.float32] | None] = [None] * len(arrays["rows"])
        for i, values in zip(arrays["described"], arrays["features"], strict=True):
            features[int(i)] = values
        return _Results(
            edits,
            [
                (names[int(edit)], int(row), float(dose))
                for edit, row, dose in zip(
                    arrays["edit"], arrays["rows"], arrays["dose"], strict=True
                )
            ],
            list(arrays["before"]),
            list(arrays["after"]),
            features,
        )


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
    # The run's name leaves out what cannot change a measurement, and so how many are edited.
    kept = TrialStore(store.folder, f"{store.run_id}-{per_class}")
    trials = intervene(sought, table, laboratory, observer, per_class, kept, turns)
    return dataclasses.replace(table, trials=trials)


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
) -> dict[str, Trials]:
    """Edit images for every artifact, and every kind of it that images show.

    Returns what the model said of them, by the key of what was `shown`.

    Artifacts may be anybody's: one that fails is left out, and the user is told. What `store` holds
    of an earlier run, or of another process, is taken from there, and what is new is kept in it.
    """
    every = [each for artifact in artifacts for each in shown(artifact, table, artifacts)]
    observer.stage("Editing images", len(every), "artifacts")
    results: dict[str, _Results] = {}

    def there(each: Shown) -> bool:
        kept = None if store is None else store.read(each.key)
        if kept is not None:
            results[each.key] = _remembered(kept, laboratory)
        return kept is not None

    def name(each: Shown) -> str:
        return each.key if store is None else store.head(each.key)

    def came(each: Shown) -> None:
        observer.advance(1, computed=False)

    for each in Units(every, turns, name, there, came):
        try:
            results[each.key] = _tried(each, table, laboratory, per_class, store)
        except Exception as error:  # whatever a foreign artifact raises: the run goes on
            if ends_the_run(error):
                raise
            observer.note(f"{each.key} cannot be put in or taken out: {error!r}")
        observer.advance(1)
    found = {e.key: results[e.key] for e in every if e.key in results and results[e.key].kept}
    natural = laboratory.recall(row for one in found.values() for _, row, _ in one.kept)
    return {key: _trials(one, natural) for key, one in found.items()}


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
) -> _Results:
    """Try an artifact, and keep what was seen together with the images it is held against."""
    results = _try(each, table, laboratory, per_class)
    if store is not None:
        met = laboratory.recall(row for _, row, _ in results.kept)
        natural: dict[str, Array] = {
            "met": met.rows,
            "met.logits": met.logits,
            "met.features": met.features,
        }
        store.write(each.key, results.arrays() | natural)
    return results


def _remembered(kept: Mapping[str, Array], laboratory: Laboratory) -> _Results:
    """Return what was seen before the run was cut short."""
    met = (kept[name] for name in ("met.logits", "met.features", "met"))
    laboratory.remember(Responses(*met))
    return _Results.of(kept)


def _try(each: Shown, table: Measurements, laboratory: Laboratory, per_class: int) -> _Results:
    """Show the model one artifact, and more of it where decisions move."""
    seed, present, targets = table.seed, each.present, _targets(table)
    artifact = as_shown(each, table, laboratory)
    lacking = chosen(~present, targets, per_class, seed)
    having = chosen(each.alone, targets, per_class, seed)
    results = _Results()
    _show(results, laboratory, put_in(artifact, lacking, laboratory, seed), features=True)
    _show(results, laboratory, taken_out(artifact, having, lacking, targets, laboratory))
    if _promising(each, table, results):
        few = chosen(~present, targets, min(MAX_PER_DOSE, per_class), seed)
        _show(results, laboratory, resembling(artifact, lacking, laboratory, seed))
        _show(results, laboratory, smaller_doses(artifact, few, laboratory, seed))
        _show(results, laboratory, on_bare_ground(artifact, few, laboratory, seed))
    return results


def _show(
    results: _Results,
    laboratory: Laboratory,
    attempts: Iterable[Attempt],
    features: bool = False,
) -> None:
    """Show the attempts to the model, a batch at a time, and keep what it said."""
    for batch in laboratory.viewer.batches(attempts):
        laboratory.meet(attempt.row for attempt in batch if attempt.before is None)
        seen = laboratory.look([attempt.picture for attempt in batch])
        bare = [attempt.before for attempt in batch if attempt.before is not None]
        bare_seen = iter(laboratory.look(bare).logits if bare else ())
        for i, attempt in enumerate(batch):
            if attempt.before is None:
                before = laboratory.known(attempt.row).logits[0]
            else:
                before = next(bare_seen)
            results.edits.setdefault(attempt.edit.id, attempt.edit)
            results.kept.append((attempt.edit.id, attempt.row, attempt.dose))
            results.before.append(before)
            results.after.append(seen.logits[i])
            keep = features and attempt.edit.id == "add"
            results.features.append(seen.features[i] if keep else None)


def _promising(each: Shown, table: Measurements, results: _Results) -> bool:
    """Tell whether decisions move enough to ask more."""
    if not results.kept:
        return False
    trials = _trials(results, None)
    judged = dataclasses.replace(table, trials={each.key: trials}, above_chance=True)
    found = depend(judged, each.key, each.artifact.phrases)
    if not isinstance(found, Dependence):
        return False
    return any(e.turns or e.moves or e.share.value * e.sign >= PROMISING for e in found.effects)


def _trials(results: _Results, reference: Responses | None) -> Trials:
    names = list(results.edits)
    ids, rows, doses = zip(*results.kept, strict=True)
    distance = np.full(len(rows), np.nan)
    known = {i: values for i, values in enumerate(results.features) if values is not None}
    if reference is not None and known:
        measured, edited = list(known), np.stack(list(known.values()))
        distance[measured] = natural_distances(edited, np.array(rows)[measured], reference)
    return left_alone(
        Trials(
            edits=tuple(results.edits.values()),
            edit=np.array([names.index(identity) for identity in ids], np.int64),
            rows=np.array(rows, np.int64),
            dose=np.array(doses, np.float64),
            before=np.stack(results.before),
            after=np.stack(results.after),
            distance=distance,
        )
    )
