"""The run as one sentence: load, pass over the data, try edits, conclude, report.

A multi-label model is run once for each of its labels. Two things are common: the pass, in which
`passed` shows every image to all of them, and the correction. `studied` goes as far as what can be
said before that, `conclude_together` corrects the tests of all labels, and `reported` goes on from
there.

Several processes may compute one run: each does `looked_at` and `tried`, whose units leases share
out, and the one that was asked for the audit concludes.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from melaudit.audit.conclude.assembly import Clock, assemble
from melaudit.audit.conclude.conclusions import Conclusions, conclude_together
from melaudit.audit.conclude.outcome import Grouped, grouped, outcome, reviewed
from melaudit.audit.conclude.table import measured
from melaudit.audit.discovery.discovery import Tried, discover
from melaudit.audit.edits.corruption_curves import corrupted
from melaudit.audit.edits.interventions import edited
from melaudit.audit.edits.laboratory import Held, Laboratory
from melaudit.audit.engines.interface import Watch
from melaudit.audit.engines.plan import Plan, in_force
from melaudit.audit.engines.supply import engine, refuse_absent
from melaudit.audit.exhibits.concepts import with_concepts
from melaudit.audit.exhibits.record import make_record
from melaudit.audit.groups.feedback import reviews_of
from melaudit.audit.leases import ALONE, Turns
from melaudit.audit.measure.sweep import Passed, Subject, measure
from melaudit.audit.method import Examined, choose_method, looking, operations
from melaudit.audit.output_folder import folders_of, held, write, write_index
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.places import write_places
from melaudit.audit.prepare.preparation import Prepared, informed, prepare_each, with_contents
from melaudit.audit.prepare.reader import reading
from melaudit.audit.prepare.training_data import TrainingEvidence, training_evidence
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
from melaudit.wording.names import visible


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
    of_one: Sequence[str] = (),
) -> tuple[LabelAudit, ...]:
    """Do what `run` does for every label of a multi-label model; for another model, once.

    Each label has a folder of its own in the output folder, with all that an audit writes, and
    report.html there is the index of them. Where there is one audit, it stands in the output folder
    itself. `of_one` are options that the user gave and that belong to one audit. Raises as `run`,
    and ConfigurationError where there are several audits and such an option.
    """
    with reading(configuration.workers) as read:
        everything = opened(configuration, observer, model, read)
        given = [*of_one, *(["--labels"] if configuration.labels is not None else [])]
        if given and len(everything) > 1:
            raise ConfigurationError(
                f"{given[0]} belongs to one audit, and the model is multi-label "
                f"({len(everything)} labels, an audit each); audit one label with "
                f"--output {visible(everything[0].label)}, or leave it out"
            )
        return _run(configuration, observer, everything, command, model)


def opened(
    configuration: Configuration, observer: Observer, model: LoadedModel | None, read: Read
) -> tuple[Prepared, ...]:
    """Load model and data, and make them fit each other."""
    observer.stage("Loading")
    reviews_of(configuration)  # a file with a fault must be known before the work, not after
    return prepare_each(configuration, model, read)


@dataclass(frozen=True)
class _Chosen:
    """One model, and how it is explained."""

    configuration: Configuration
    """With the output folder of this model."""
    prepared: Prepared
    clock: Clock
    seconds: float
    """What it took so far."""
    training: TrainingEvidence
    method: Examined


@dataclass(frozen=True)
class _Study:
    """One model, studied as far as what can be said before its tests are corrected."""

    chosen: _Chosen
    seconds: float
    """What it took."""
    passed: Passed
    found: Grouped
    corruptions: tuple[Corruption, ...]
    detectors: tuple[Detector, ...]
    """All that concluded: those of the run, and one for each artifact that was discovered."""


def _run(
    configuration: Configuration,
    observer: Observer,
    everything: Sequence[Prepared],
    command: str,
    model: LoadedModel | None,
) -> tuple[LabelAudit, ...]:
    several = len(everything) > 1
    folders = folders_of([prepared.label for prepared in everything]) if several else {}
    refuse_absent(configuration)
    everything, detectors = equipped(everything, configuration)
    pictures: Held = {}
    clock = Clock.start()
    with held(configuration.out), contextlib.ExitStack() as stack:
        everything = with_contents(everything, observer)
        parts = [(each, folders.get(each.label, "")) for each in everything]
        turns = stack.enter_context(_shared(configuration, parts, model, observer))
        studies = []
        for each, seen in looked_at(configuration, parts, detectors, clock, observer, turns):
            if several:
                observer.note(f"label: {each.prepared.label}")
            studies.append(studied(each, seen, detectors, pictures, observer, turns))
        corrected = conclude_together([study.found.uncorrected for study in studies])
        audits = tuple(
            LabelAudit(
                study.chosen.prepared.label,
                folders.get(study.chosen.prepared.label, ""),
                reported(study, conclusions, pictures, observer, command),
            )
            for study, conclusions in zip(studies, corrected, strict=True)
        )
        if several:
            write_index(configuration.out, audits)
    return audits


def equipped(
    everything: Sequence[Prepared], configuration: Configuration
) -> tuple[tuple[Prepared, ...], tuple[Detector, ...]]:
    """Return what was prepared with what the user knows of the images, and the detectors."""
    # Every label has the same pictures, so the same domain.
    detectors = all_detectors(configuration.for_detectors, everything[0].domain.domain)
    artifacts = artifacts_of(detectors)
    return tuple(informed(each, configuration, artifacts) for each in everything), detectors


@contextlib.contextmanager
def _shared(
    configuration: Configuration,
    parts: Sequence[tuple[Prepared, str]],
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
    out, plan = configuration.out, Plan.of(configuration, parts)
    contents = parts[0][0].dataset.contents
    with (
        in_force(plan, out, b"" if contents is None else contents.tobytes()),
        engine(configuration, plan.device) as workers,
        plan.leases(out, may_compute=Watch(workers, observer)) as turns,
    ):
        yield turns


def looked_at(
    configuration: Configuration,
    parts: Sequence[tuple[Prepared, str]],
    detectors: tuple[Detector, ...],
    clock: Clock,
    observer: Observer,
    turns: Turns = ALONE,
) -> list[tuple[_Chosen, Passed]]:
    """Choose how each model is explained, and pass over the images; all of it is there then.

    Each part has a folder in the output folder. What `clock` shows now counts for each of them.
    `turns` says what this process computes of it.
    """
    spent = clock.seconds()
    methods = []
    for prepared, folder in parts:
        if len(parts) > 1:
            observer.note(f"label: {prepared.label}")
        prepared.introduce(observer)
        out = configuration.out / folder
        out.mkdir(exist_ok=True)
        own = dataclasses.replace(configuration, out=out)
        methods.append(chosen(own, prepared, detectors, clock.again(spent), observer, turns))
    return passed(methods, detectors, observer, turns)


def chosen(
    configuration: Configuration,
    prepared: Prepared,
    detectors: tuple[Detector, ...],
    clock: Clock,
    observer: Observer,
    turns: Turns,
) -> _Chosen:
    """Look through the training images, and choose a method of explanation."""
    training = training_evidence(
        configuration,
        artifacts_of(detectors),
        prepared.classes,
        observer,
        prepared.label,
        prepared.preprocessing.white,
        prepared.read,
        turns,
    )
    folder = configuration.out / "shards"
    method = choose_method(configuration, prepared, detectors, observer, folder, turns)
    return _Chosen(configuration, prepared, clock, clock.seconds(), training, method)


def passed(
    methods: Sequence[_Chosen], detectors: tuple[Detector, ...], observer: Observer, turns: Turns
) -> list[tuple[_Chosen, Passed]]:
    """Pass over the images once for all models; the time of the pass counts for each of them."""
    clock = Clock.start()
    with contextlib.ExitStack() as stack:
        subjects = [
            Subject(
                each.configuration,
                each.prepared,
                stack.enter_context(looking(each.method, each.prepared)),
                each.method.known,
            )
            for each in methods
        ]
        found = measure(subjects, detectors, observer, turns)
    took = clock.seconds()
    return [
        (dataclasses.replace(each, seconds=each.seconds + took), own)
        for each, own in zip(methods, found, strict=True)
    ]


@contextlib.contextmanager
def tried(
    each: _Chosen,
    seen: Passed,
    detectors: tuple[Detector, ...],
    pictures: Held,
    observer: Observer,
    turns: Turns = ALONE,
) -> Iterator[tuple[Laboratory, Tried]]:
    """Edit the images of one model: yield the open laboratory, and the measurements with trials.

    What passes each door: choosing a method of explanation gives a `Viewer`; the pass leaves
    `Passed`, a store of columns, which is read as `Measurements`; edits add their trials to these,
    first those of named artifacts, then those of what the audit discovers.
    """
    configuration, prepared, method = each.configuration, each.prepared, each.method
    edits, seed = configuration.edits, configuration.seed
    with looking(method, prepared) as viewer:
        table = measured(seen.store, prepared, viewer.layer, seed, each.training)
        laboratory = _laboratory(viewer, prepared, table, pictures)
        table = edited(table, detectors, laboratory, seen.store, edits, observer, turns)
        yield (
            laboratory,
            discover(
                table,
                detectors,
                laboratory,
                seen.sight,
                seen.store,
                reviews_of(configuration) or {},
                (edits, configuration.discover),
                observer,
                turns,
            ),
        )


def studied(
    each: _Chosen,
    seen: Passed,
    detectors: tuple[Detector, ...],
    pictures: Held,
    observer: Observer,
    turns: Turns = ALONE,
) -> _Study:
    """Edit and group the images of one model: what follows from the trials is `Grouped`."""
    configuration = each.configuration
    clock = each.clock.again(each.seconds)
    with tried(each, seen, detectors, pictures, observer, turns) as (laboratory, tested):
        worse = corrupted(tested.table, laboratory, configuration.corruption_images, observer)
        observer.stage("Concluding")
        tries = laboratory if configuration.edits else None
        every = (*detectors, *tested.detectors)
        found = grouped(tested.table, seen.store, every, tries, seen.sight, tested.skipped)
    seen.store.tidy()
    return _Study(each, clock.seconds(), seen, found, worse, every)


def reported(
    study: _Study,
    conclusions: Conclusions,
    pictures: Held,
    observer: Observer,
    command: str,
) -> Findings:
    """Write the report of one model, once its tests are corrected.

    Conclusions make an `Outcome`, put together as `Findings`; with the pictures that are shown they
    are the `Record` that the report is drawn from.
    """
    each, detectors = study.chosen, study.detectors
    configuration, prepared, method = each.configuration, each.prepared, each.method
    clock = each.clock.again(study.seconds)
    store, sight = study.passed.store, study.passed.sight
    reviews = reviews_of(configuration)
    concluded = outcome(study.found, conclusions, store, prepared, study.corruptions)
    with looking(method, prepared) as viewer:
        table = study.found.judged
        laboratory = _laboratory(viewer, prepared, table, pictures)
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
            findings, result, cards, prepared, detectors, laboratory, sight, observer
        )
        sent = shared(record, configuration.sharing)
        observer.stage("Writing the report")
        write(configuration.out, configuration.assets, sent, result, prepared, store)
        write_places(configuration)
    return sent.findings


def _laboratory(
    viewer: Viewer, prepared: Prepared, table: Measurements, pictures: Held
) -> Laboratory:
    domain, dataset = prepared.domain.domain, prepared.dataset
    return Laboratory(viewer, dataset, table.ids, prepared.knowledge, domain, pictures)
