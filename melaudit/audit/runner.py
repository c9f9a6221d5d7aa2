"""The run as one sentence: load, pass over the data, try edits, conclude, report."""

from __future__ import annotations

from melaudit.audit.conclude.assembly import Clock, assemble
from melaudit.audit.conclude.outcome import outcome, reviewed
from melaudit.audit.conclude.table import measured
from melaudit.audit.edits.corruption_curves import corrupted
from melaudit.audit.edits.interventions import edited
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.exhibits.concepts import with_concepts
from melaudit.audit.exhibits.record import make_record
from melaudit.audit.groups.feedback import read_reviews
from melaudit.audit.measure.sweep import measure
from melaudit.audit.method import choose_method, operations, viewing
from melaudit.audit.output_folder import held, write
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.preparation import informed, prepare
from melaudit.audit.prepare.training_data import training_evidence
from melaudit.detectors.interface import artifacts_of
from melaudit.detectors.registry import detectors as all_detectors
from melaudit.findings import Findings
from melaudit.models.architectures import LoadedModel
from melaudit.observer import Observer
from melaudit.reports import shared


def run(
    configuration: Configuration,
    observer: Observer,
    *,
    command: str = "",
    model: LoadedModel | None = None,
) -> Findings:
    """Audit a model and write the report, its record, findings.json and images.parquet.

    What passes each door: loading gives `Prepared` and, once a method of explanation is chosen, a
    `Viewer`; the pass leaves `Passed`, a store of columns, which is read as `Measurements`; edits
    add their trials to these; conclusions are an `Outcome`, put together as `Findings`; with the
    pictures that are shown they are the `Record` that the report is drawn from.

    `model` stands in for the checkpoint when the caller has the module at hand. Raises a
    MelauditError for everything a user can mend. The same call after an interruption goes on
    where it stopped.
    """
    clock = Clock.start()
    observer.stage("Loading")
    # Read first: a file with a fault must be known before the work, not after.
    reviews = None if configuration.labels is None else read_reviews(configuration.labels)
    prepared = prepare(configuration, model)
    detectors = all_detectors(configuration.for_detectors, prepared.domain.domain)
    artifacts = artifacts_of(detectors)
    prepared = informed(prepared, configuration, artifacts)
    prepared.introduce(observer)
    out, seed = configuration.out, configuration.seed
    with held(out):
        prepared = prepared.with_contents(observer)
        training = training_evidence(configuration, artifacts, prepared.classes, observer)
        method = choose_method(configuration, prepared, detectors, observer, out / "shards")
        with viewing(method.configuration, prepared, method.layer) as viewer:
            passed = measure(configuration, prepared, viewer, detectors, method.known, observer)
            table = measured(passed.store, prepared, viewer.layer, seed, training)

            laboratory = Laboratory(
                viewer, prepared.dataset, table.ids, prepared.knowledge, prepared.domain.domain
            )
            edits = configuration.edits
            tested = edited(table, detectors, laboratory, passed.store, edits, observer)
            worse = corrupted(table, laboratory, configuration.corruption_images, observer)

            observer.stage("Concluding")
            tries = laboratory if edits else None
            words, store = passed.vocabularies, passed.store
            concluded = outcome(tested, store, prepared, detectors, tries, words, worse)
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
            write(out, configuration.assets, sent, result, prepared, store)
    return sent.findings
