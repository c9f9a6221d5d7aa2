"""The run as one sentence: load, pass over the data, try edits, conclude, report.

A multi-label model is run once for each of its labels. Only the correction is common: `studied`
goes as far as what can be said before it, `conclude_together` corrects the tests of all labels, and
`reported` goes on from there.

Several processes may compute one run: each does `computed`, whose units are shared by leases, and
the one that was asked for the audit goes on from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from melaudit.audit.conclude.assembly import Clock, assemble
from melaudit.audit.conclude.conclusions import Conclusions, conclude_together
from melaudit.audit.conclude.outcome import Grouped, grouped, outcome, reviewed
from melaudit.audit.conclude.table import measured
from melaudit.audit.edits.corruption_curves import corrupted
from melaudit.audit.edits.interventions import edited
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.engines.interface import Watch
from melaudit.audit.engines.plan import Plan, in_force
from melaudit.audit.engines.supply import engine
from melaudit.audit.exhibits.concepts import with_concepts
from melaudit.audit.exhibits.record import make_record
from melaudit.audit.groups.feedback import read_reviews
from melaudit.audit.leases import ALONE, Turns
from melaudit.audit.measure.sweep import Passed, measure
from melaudit.audit.method import Examined, choose_method, operations, viewing
from melaudit.audit.output_folder import held, write, write_index
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.preparation import Prepared, informed, prepare_each
from melaudit.audit.prepare.reader import reading
from melaudit.audit.prepare.training_data import training_evidence
from melaudit.audit.viewer import Viewer
from melaudit.detectors.interface import Detector, artifacts_of
from melaudit.detectors.registry import detectors as all_detectors
from melaudit.errors import ConfigurationError
from melaudit.findings import Corruption, Findings
from melaudit.images.imagefile import Read
from melaudit.measurements import Measurements
from melaudit.models.architectures import LoadedModel
from melaudit.observer import Observer
from melaudit.reports import shared
from melaudit.reports.labels import LabelAudit


def run(
    configuration: Configuration,
    observer: Observer,
    *,
    command: str = "",
    model: LoadedModel | None = None,
) -> Findings:
    """Audit a model and write the report, its record, findings.json and images.parquet.

    `model` stands in for the checkpoint when the caller has the module at hand. Raises a
    MelauditError for everything a user can mend, a multi-label model among it: `run_each` audits
    these. The same call after an interruption goes on where it stopped.
    """
    with reading(configuration.workers) as read:
        everything = opened(configuration, observer, model, read)
        if len(everything) > 1:
            raise ConfigurationError(
                f"the model is multi-label ({len(everything)} labels), and one audit was asked "
                "for: call melaudit.audit_labels, or audit one label with "
                f"output={everything[0].label!r}"
            )
        return _run(configuration, observer, everything, command, model)[0].findings


def run_each(
    configuration: Configuration,
    observer: Observer,
    *,
    command: str = "",
    model: LoadedModel | None = None,
) -> tuple[LabelAudit, ...]:
    """Do what `run` does for every label of a multi-label model; for another model, once.

    Each label has a folder of its own in the output folder, with all that an audit writes, and
    report.html there is the index of them. Where there is one audit, it stands in the output folder
    itself. Raises as `run`.
    """
    with reading(configuration.workers) as read:
        everything = opened(configuration, observer, model, read)
        return _run(configuration, observer, everything, command, model)


def opened(
    configuration: Configuration, observer: Observer, model: LoadedModel | None, read: Read
) -> tuple[Prepared, ...]:
    """Load model and data, and make them fit each other."""
    observer.stage("Loading")
    if configuration.labels is not None:
        # Read first: a file with a fault must be known before the work, not after.
        read_reviews(configuration.labels)
    return prepare_each(configuration, model, read)


@dataclass(frozen=True)
class _Study:
    """One model, studied as far as what can be said before its tests are corrected."""

    configuration: Configuration
    """With the output folder of this model."""
    prepared: Prepared
    clock: Clock
    seconds: float
    """What it took."""
    method: Examined
    passed: Passed
    found: Grouped
    corruptions: tuple[Corruption, ...]


def _run(
    configuration: Configuration,
    observer: Observer,
    everything: Sequence[Prepared],
    command: str,
    model: LoadedModel | None,
) -> tuple[LabelAudit, ...]:
    several = len(everything) > 1
    folders = folders_of([prepared.label for prepared in everything]) if several else {}
    everything, detectors = equipped(everything, configuration)
    with held(configuration.out), contextlib.ExitStack() as stack:
        everything = [prepared.with_contents(observer) for prepared in everything]
        turns = stack.enter_context(_shared(configuration, everything, folders, model, observer))
        studies = []
        for prepared in everything:
            if several:
                observer.note(f"label: {prepared.label}")
            prepared.introduce(observer)
            own = with_folder(configuration, folders.get(prepared.label, ""))
            studies.append(studied(own, prepared, detectors, observer, turns))
        corrected = conclude_together([study.found.uncorrected for study in studies])
        audits = tuple(
            LabelAudit(
                study.prepared.label,
                folders.get(study.prepared.label, ""),
                reported(study, conclusions, detectors, observer, command),
            )
            for study, conclusions in zip(studies, corrected, strict=True)
        )
        if several:
            write_index(configuration.out, audits)
    return audits


def equipped(
    everything: Sequence[Prepared], configuration: Configuration
) -> tuple[list[Prepared], tuple[Detector, ...]]:
    """Return what was prepared with what the user knows of the images, and the detectors."""
    # Every label has the same pictures, so the same domain.
    detectors = all_detectors(configuration.for_detectors, everything[0].domain.domain)
    artifacts = artifacts_of(detectors)
    return [informed(each, configuration, artifacts) for each in everything], detectors


def with_folder(configuration: Configuration, folder: str) -> Configuration:
    """Return the configuration of one label, whose folder in the output folder is made."""
    out = configuration.out / folder
    out.mkdir(exist_ok=True)
    return dataclasses.replace(configuration, out=out)


@contextlib.contextmanager
def _shared(
    configuration: Configuration,
    everything: Sequence[Prepared],
    folders: Mapping[str, str],
    model: LoadedModel | None,
    observer: Observer,
) -> Iterator[Turns]:
    """Let other processes compute the run too, those that were asked for and any that join."""
    if model is not None:  # no other process has it
        if configuration.processes > 1 or configuration.engine_address is not None:
            raise ConfigurationError(
                "other processes cannot see a model that is at hand in this one: save it, and name "
                "the checkpoint, or ask for one process and no engine"
            )
        yield ALONE
        return
    out = configuration.out
    plan = Plan.of(configuration, [(each, folders.get(each.label, "")) for each in everything])
    contents = [prepared.dataset.contents for prepared in everything]
    with (
        in_force(plan, out, [b"" if each is None else each.tobytes() for each in contents]),
        engine(configuration, plan.device) as workers,
        plan.leases(out, may_compute=Watch(workers, observer)) as turns,
    ):
        yield turns


@dataclass(frozen=True)
class _Computed:
    """What costs passes of the model over many images."""

    method: Examined
    passed: Passed
    laboratory: Laboratory
    tested: Measurements
    """With the trials of the edits."""


@contextlib.contextmanager
def computed(
    configuration: Configuration,
    prepared: Prepared,
    detectors: tuple[Detector, ...],
    observer: Observer,
    turns: Turns = ALONE,
) -> Iterator[_Computed]:
    """Measure and edit the images of one model: what `turns` leaves to this process.

    What passes each door: choosing a method of explanation gives a `Viewer`; the pass leaves
    `Passed`, a store of columns, which is read as `Measurements`; edits add their trials to these.
    All of it is there when it yields, and the viewer is open as long.
    """
    out, seed, edits = configuration.out, configuration.seed, configuration.edits
    training = training_evidence(
        configuration, artifacts_of(detectors), prepared.classes, observer, prepared.label
    )
    method = choose_method(configuration, prepared, detectors, observer, out / "shards", turns)
    with viewing(method.configuration, prepared, method.layer) as viewer:
        known = method.known
        passed = measure(configuration, prepared, viewer, detectors, known, observer, turns)
        table = measured(passed.store, prepared, viewer.layer, seed, training)
        laboratory = _laboratory(viewer, prepared, table)
        tested = edited(table, detectors, laboratory, passed.store, edits, observer, turns)
        yield _Computed(method, passed, laboratory, tested)


def studied(
    configuration: Configuration,
    prepared: Prepared,
    detectors: tuple[Detector, ...],
    observer: Observer,
    turns: Turns = ALONE,
) -> _Study:
    """Compute one model, and group its images: what follows from the measurements is `Grouped`."""
    clock = Clock.start()
    with computed(configuration, prepared, detectors, observer, turns) as done:
        tested, store, laboratory = done.tested, done.passed.store, done.laboratory
        worse = corrupted(tested, laboratory, configuration.corruption_images, observer)
        observer.stage("Concluding")
        tries = laboratory if configuration.edits else None
        found = grouped(tested, store, detectors, tries, done.passed.vocabularies)
    store.tidy()
    seconds = clock.seconds()
    return _Study(configuration, prepared, clock, seconds, done.method, done.passed, found, worse)


def reported(
    study: _Study,
    conclusions: Conclusions,
    detectors: tuple[Detector, ...],
    observer: Observer,
    command: str,
) -> Findings:
    """Write the report of one model, once its tests are corrected.

    Conclusions make an `Outcome`, put together as `Findings`; with the pictures that are shown they
    are the `Record` that the report is drawn from.
    """
    configuration, prepared, method = study.configuration, study.prepared, study.method
    clock = study.clock.again(study.seconds)
    store, words = study.passed.store, study.passed.vocabularies
    reviews = None if configuration.labels is None else read_reviews(configuration.labels)
    concluded = outcome(study.found, conclusions, store, prepared, study.corruptions)
    with viewing(method.configuration, prepared, method.layer) as viewer:
        table = study.found.judged
        laboratory = _laboratory(viewer, prepared, table)
        result, cards = with_concepts(
            reviewed(concluded, reviews), store, prepared.dataset, viewer, observer
        )
        findings = assemble(
            configuration,
            prepared,
            result,
            detectors,
            store,
            viewer.explainer.describe(),
            operations(viewer, prepared),
            (*prepared.notes, *method.notes),
            clock,
            command,
        )
        record = make_record(
            findings, result, cards, prepared, detectors, laboratory, words, observer
        )
        sent = shared(record, configuration.sharing)
        observer.stage("Writing the report")
        write(configuration.out, configuration.assets, sent, result, prepared, store)
    return sent.findings


def _laboratory(viewer: Viewer, prepared: Prepared, table: Measurements) -> Laboratory:
    domain = prepared.domain.domain
    return Laboratory(viewer, prepared.dataset, table.ids, prepared.knowledge, domain)


def folders_of(labels: Sequence[str]) -> Mapping[str, str]:
    """Return label -> the name of its folder: letters, digits, dashes; no two alike."""
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for place, label in enumerate(labels):
        plain = re.sub(r"[^A-Za-z0-9_]+", "-", label).strip("-")[:_MAX_NAME] or "label"
        name = plain if plain.casefold() not in taken else f"{plain}-{place}"
        taken.add(name.casefold())
        folders[label] = name
    return folders


_MAX_NAME = 60
"""Characters of a folder's name. Chosen: a round figure well below what file systems take."""
