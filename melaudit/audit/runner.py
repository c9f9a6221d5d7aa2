"""The run as one sentence: load, pass over the data, try edits, conclude, report.

A multi-label model is run once for each of its labels. Two things are common: the pass, in which
`passed` shows every image to all of them, and the correction. `studied` goes as far as what can be
said before that, `conclude_together` corrects the tests of all labels, and `reported` goes on from
there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from melaudit.audit.conclude.assembly import Clock, assemble
from melaudit.audit.conclude.conclusions import Conclusions, conclude_together
from melaudit.audit.conclude.outcome import Grouped, grouped, outcome, reviewed
from melaudit.audit.conclude.table import measured
from melaudit.audit.edits.corruption_curves import corrupted
from melaudit.audit.edits.interventions import edited
from melaudit.audit.edits.laboratory import Held, Laboratory
from melaudit.audit.exhibits.concepts import with_concepts
from melaudit.audit.exhibits.record import make_record
from melaudit.audit.groups.feedback import read_reviews
from melaudit.audit.measure.sweep import Passed, Subject, measure
from melaudit.audit.method import Examined, choose_method, operations, viewing
from melaudit.audit.output_folder import held, write, write_index
from melaudit.audit.prepare.configuration import Configuration
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
        everything = _opened(configuration, observer, model, read)
        if len(everything) > 1:
            raise ConfigurationError(
                f"the model is multi-label ({len(everything)} labels), and one audit was asked "
                "for: call melaudit.audit_labels, or audit one label with "
                f"output={everything[0].label!r}"
            )
        return _run(configuration, observer, everything, command)[0].findings


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
        everything = _opened(configuration, observer, model, read)
        given = [*of_one, *(["--labels"] if configuration.labels is not None else [])]
        if given and len(everything) > 1:
            raise ConfigurationError(
                f"{given[0]} belongs to one audit, and the model is multi-label "
                f"({len(everything)} labels, an audit each); audit one label with "
                f"--output {visible(everything[0].label)}, or leave it out"
            )
        return _run(configuration, observer, everything, command)


def _opened(
    configuration: Configuration, observer: Observer, model: LoadedModel | None, read: Read
) -> tuple[Prepared, ...]:
    observer.stage("Loading")
    if configuration.labels is not None:
        # Read first: a file with a fault must be known before the work, not after.
        read_reviews(configuration.labels)
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


def _run(
    configuration: Configuration,
    observer: Observer,
    everything: Sequence[Prepared],
    command: str,
) -> tuple[LabelAudit, ...]:
    several = len(everything) > 1
    folders = folders_of([prepared.label for prepared in everything]) if several else {}
    # Every label has the same pictures, so the same domain.
    detectors = all_detectors(configuration.for_detectors, everything[0].domain.domain)
    everything = [informed(each, configuration, artifacts_of(detectors)) for each in everything]
    pictures: Held = {}
    with held(configuration.out):
        everything = with_contents(everything, observer)
        methods = []
        for prepared in everything:
            if several:
                observer.note(f"label: {prepared.label}")
            prepared.introduce(observer)
            out = configuration.out / folders.get(prepared.label, "")
            out.mkdir(exist_ok=True)
            own = dataclasses.replace(configuration, out=out)
            methods.append(chosen(own, prepared, detectors, observer))
        studies = []
        for each, seen in passed(methods, detectors, observer):
            if several:
                observer.note(f"label: {each.prepared.label}")
            studies.append(studied(each, seen, detectors, pictures, observer))
        corrected = conclude_together([study.found.uncorrected for study in studies])
        audits = tuple(
            LabelAudit(
                study.chosen.prepared.label,
                folders.get(study.chosen.prepared.label, ""),
                reported(study, conclusions, detectors, pictures, observer, command),
            )
            for study, conclusions in zip(studies, corrected, strict=True)
        )
        if several:
            write_index(configuration.out, audits)
    return audits


def chosen(
    configuration: Configuration,
    prepared: Prepared,
    detectors: tuple[Detector, ...],
    observer: Observer,
) -> _Chosen:
    """Look through the training images, and choose a method of explanation."""
    clock = Clock.start()
    training = training_evidence(
        configuration,
        artifacts_of(detectors),
        prepared.classes,
        observer,
        prepared.label,
        prepared.preprocessing.white,
        prepared.read,
    )
    folder = configuration.out / "shards"
    method = choose_method(configuration, prepared, detectors, observer, folder)
    return _Chosen(configuration, prepared, clock, clock.seconds(), training, method)


def passed(
    methods: Sequence[_Chosen], detectors: tuple[Detector, ...], observer: Observer
) -> list[tuple[_Chosen, Passed]]:
    """Pass over the images once for all models; the time of the pass counts for each of them."""
    clock = Clock.start()
    with contextlib.ExitStack() as stack:
        subjects = [
            Subject(
                each.configuration,
                each.prepared,
                stack.enter_context(
                    viewing(each.method.configuration, each.prepared, each.method.layer)
                ),
                each.method.known,
            )
            for each in methods
        ]
        found = measure(subjects, detectors, observer)
    took = clock.seconds()
    return [
        (dataclasses.replace(each, seconds=each.seconds + took), own)
        for each, own in zip(methods, found, strict=True)
    ]


def studied(
    each: _Chosen,
    seen: Passed,
    detectors: tuple[Detector, ...],
    pictures: Held,
    observer: Observer,
) -> _Study:
    """Edit and group the images of one model.

    What passes each door: choosing a method of explanation gives a `Viewer`; the pass leaves
    `Passed`, a store of columns, which is read as `Measurements`; edits add their trials to these;
    what follows from them is `Grouped`.
    """
    configuration, prepared, method = each.configuration, each.prepared, each.method
    clock = each.clock.again(each.seconds)
    edits = configuration.edits
    with viewing(method.configuration, prepared, method.layer) as viewer:
        store, seed = seen.store, configuration.seed
        table = measured(store, prepared, viewer.layer, seed, each.training)

        laboratory = _laboratory(viewer, prepared, table, pictures)
        tested = edited(table, detectors, laboratory, store, edits, observer)
        worse = corrupted(table, laboratory, configuration.corruption_images, observer)

        observer.stage("Concluding")
        tries = laboratory if edits else None
        found = grouped(tested, store, detectors, tries, seen.vocabularies)
    return _Study(each, clock.seconds(), seen, found, worse)


def reported(
    study: _Study,
    conclusions: Conclusions,
    detectors: tuple[Detector, ...],
    pictures: Held,
    observer: Observer,
    command: str,
) -> Findings:
    """Write the report of one model, once its tests are corrected.

    Conclusions make an `Outcome`, put together as `Findings`; with the pictures that are shown they
    are the `Record` that the report is drawn from.
    """
    each = study.chosen
    configuration, prepared, method = each.configuration, each.prepared, each.method
    clock = each.clock.again(study.seconds)
    store, words = study.passed.store, study.passed.vocabularies
    reviews = None if configuration.labels is None else read_reviews(configuration.labels)
    concluded = outcome(study.found, conclusions, store, prepared, study.corruptions)
    with viewing(method.configuration, prepared, method.layer) as viewer:
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
            findings, result, cards, prepared, detectors, laboratory, words, observer
        )
        sent = shared(record, configuration.sharing)
        observer.stage("Writing the report")
        write(configuration.out, configuration.assets, sent, result, prepared, store)
    return sent.findings


def _laboratory(
    viewer: Viewer, prepared: Prepared, table: Measurements, pictures: Held
) -> Laboratory:
    domain, dataset = prepared.domain.domain, prepared.dataset
    return Laboratory(viewer, dataset, table.ids, prepared.knowledge, domain, pictures)


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
