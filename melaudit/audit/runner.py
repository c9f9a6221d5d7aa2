"""The run as one sentence: prepare, choose a method, pass over the data, conclude, report."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from melaudit.audit.conclude.assembly import Clock, assemble
from melaudit.audit.conclude.outcome import Outcome, outcome, reviewed
from melaudit.audit.conclude.table import artifacts, measured
from melaudit.audit.edits.interventions import intervene
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.edits.trial_store import TrialStore
from melaudit.audit.exhibits.concepts import concepts
from melaudit.audit.exhibits.edit_exhibits import edit_exhibits
from melaudit.audit.exhibits.exhibits import (
    exhibits,
    gallery,
    mean_maps,
    second_opinions,
    shown,
    strips,
)
from melaudit.audit.exhibits.images_parquet import write_images
from melaudit.audit.exhibits.landscape import landscape
from melaudit.audit.exhibits.part_details import part_details
from melaudit.audit.groups.feedback import FILE as SUSPICIOUS
from melaudit.audit.groups.feedback import read_reviews, write_suspicious
from melaudit.audit.measure.learn_words import vocabularies
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.sweep import Sweep, sweep
from melaudit.audit.measure.visual_words import SIDES
from melaudit.audit.method import Examined, choose_method, explain, first_input
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.preparation import Prepared, prepare
from melaudit.audit.prepare.provenance import run_id
from melaudit.audit.prepare.training_data import training_evidence
from melaudit.detectors.interface import Detector
from melaudit.detectors.registry import detectors as all_detectors
from melaudit.errors import StoreError
from melaudit.findings import Findings, Operation
from melaudit.images.sampling import sample
from melaudit.measurements import Measurements
from melaudit.models.architectures import LoadedModel
from melaudit.observer import Observer
from melaudit.publish import publish
from melaudit.relevance import Explainer
from melaudit.reports import read_findings, shared, write_findings, write_record, write_report
from melaudit.reports.formats import record_file
from melaudit.reports.interface import ConceptView, Record


def run(
    configuration: Configuration,
    observer: Observer,
    *,
    command: str = "",
    model: LoadedModel | None = None,
) -> Findings:
    """Audit a model and write the report, its record, findings.json and images.parquet.

    `model` stands in for the checkpoint when the caller has the module at hand. Raises a
    MelauditError for everything a user can mend. The same call after an interruption goes on
    where it stopped.
    """
    clock = Clock.start()
    observer.stage("Loading")
    # Read first: a file with a fault must be known before the work, not after.
    reviews = None if configuration.labels is None else read_reviews(configuration.labels)
    asked = all_detectors(configuration.for_detectors)
    prepared = prepare(configuration, model)
    introduce(prepared, observer)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locked(configuration.out))
        training = training_evidence(configuration, prepared.classes, observer)
        prepared = dataclasses.replace(
            prepared, training=training.artifacts, learned=training.pictures
        )
        method = choose_method(
            configuration, prepared, asked, observer, configuration.out / "shards"
        )
        prepared = dataclasses.replace(prepared, notes=(*prepared.notes, *method.notes))
        explainer = stack.enter_context(
            explain(method.configuration, prepared.loaded, prepared.device)
        )
        plan = _plan(configuration, prepared, asked, explainer, method)
        store = _store(configuration, prepared, plan)
        words = vocabularies(plan, prepared.dataset, store.folder, configuration.seed, observer)
        plan = dataclasses.replace(plan, vocabularies=words)
        sweep(plan, prepared.dataset, store, observer)
        table = measured(store, prepared, plan.layer, configuration.seed)
        laboratory = _laboratory(prepared, plan, table.ids)
        table = _intervened(configuration, table, plan, laboratory, store, observer)
        observer.stage("Concluding")
        tries = laboratory if configuration.edits else None
        result = outcome(table, store, prepared, plan.detectors, tries, words)
        result = reviewed(result, reviews)
        result, cards = _concepts(result, store, prepared, plan, observer)
        findings = assemble(
            configuration,
            prepared,
            result,
            asked,
            store,
            explainer.describe(),
            _operations(explainer, prepared),
            clock,
            command,
        )
        record = _record(findings, result, prepared, plan, laboratory, observer)
        parts = part_details(result.clusters, result.measurements, prepared.dataset, plan)
        record = dataclasses.replace(record, concepts=cards, parts=parts)
        record = shared(record, configuration.sharing)
        observer.stage("Writing the report")
        _write(configuration, record, result, prepared, store)
    return record.findings


def introduce(prepared: Prepared, observer: Observer) -> None:
    """Tell the user what was understood, before time is spent on it."""
    observer.note(f"model: {prepared.loaded.name} is {prepared.loaded.architecture}")
    observer.note(f"data: {prepared.dataset.describe()}")
    observer.note(f"preprocessing: {prepared.preprocessing.describe()}")
    for note in prepared.notes:
        observer.note(f"note: {note}")


def _plan(
    configuration: Configuration,
    prepared: Prepared,
    detectors: tuple[Detector, ...],
    explainer: Explainer,
    method: Examined,
) -> Sweep:
    return Sweep(
        explainer=explainer,
        detectors=detectors,
        preprocessing=prepared.preprocessing,
        device=prepared.device,
        layer=method.layer,
        batch_size=configuration.batch_size,
        workers=configuration.workers,
        sampled=sample(prepared.dataset.labels, configuration.check_images, configuration.seed),
        knowledge=prepared.knowledge,
        known=method.known,
    )


def _operations(explainer: Explainer, prepared: Prepared) -> tuple[Operation, ...]:
    """Return which rule each operation of the model got."""
    return tuple(Operation(*told) for told in explainer.operations(first_input(prepared)))


def _store(configuration: Configuration, prepared: Prepared, plan: Sweep) -> Store:
    """Open the store of exactly this run: any change of input or setting is another folder."""
    settings = configuration.measured | {
        "engine": plan.explainer.describe(),
        "layer": plan.layer,
        "words": SIDES,
        "preprocessing": prepared.preprocessing.describe(),
        "device": prepared.device.type,
        "knowledge": prepared.knowledge.fingerprint,
    }
    name = run_id(
        prepared.loaded.sha256,
        prepared.dataset.fingerprint,
        settings,
        [detector.id for detector in plan.detectors],
    )
    return Store(configuration.out / "shards" / name[:16], name, prepared.dataset.ids)


def _laboratory(prepared: Prepared, plan: Sweep, ids: Sequence[str]) -> Laboratory:
    return Laboratory(
        forward=plan.explainer.forward,
        layer=plan.layer,
        preprocessing=plan.preprocessing,
        device=plan.device,
        batch_size=plan.batch_size,
        dataset=prepared.dataset,
        ids=ids,
        knowledge=prepared.knowledge,
    )


def _intervened(
    configuration: Configuration,
    table: Measurements,
    plan: Sweep,
    laboratory: Laboratory,
    store: Store,
    observer: Observer,
) -> Measurements:
    """Add what edits of images show, for every artifact that was looked for."""
    wanted = [d.artifact for d in plan.detectors if d.artifact is not None]
    measured = [artifact for artifact in wanted if _has(table, f"{artifact.id}.present")]
    if not measured or configuration.edits == 0:
        return table
    # The run's name leaves out what cannot change a measurement, and so how many are edited.
    kept = TrialStore(store.folder, f"{store.run_id}-{configuration.edits}")
    trials = intervene(measured, table, laboratory, observer, configuration.edits, kept)
    return dataclasses.replace(table, trials=trials)


def _has(table: Measurements, column: str) -> bool:
    try:
        table[column]
    except KeyError:  # the detector failed in the pass
        return False
    return True


def _concepts(
    result: Outcome, store: Store, prepared: Prepared, plan: Sweep, observer: Observer
) -> tuple[Outcome, tuple[ConceptView, ...]]:
    """Add the channels that matter, and return what a report shows of them."""
    observer.stage("Looking at the channels that matter")
    table = dataclasses.replace(result.measurements, explanations=result.checked.trust)
    found, cards, apart = concepts(result.clusters, table, artifacts(store), prepared.dataset, plan)
    skipped = (*result.skipped, *apart)
    return dataclasses.replace(result, concepts=found, skipped=skipped), cards


def _record(
    findings: Findings,
    result: Outcome,
    prepared: Prepared,
    plan: Sweep,
    laboratory: Laboratory,
    observer: Observer,
) -> Record:
    groups = gallery(result.measurements)
    ids = shown(findings.findings, result.clusters, groups)
    observer.stage("Explaining the images that are shown", len(ids))
    pictures = exhibits(ids, prepared.dataset, prepared.classes, plan, observer)
    # One image that a finding shows and one picked at random: the same layer at work on both.
    usual = next((identity for group in groups for identity in group.images), None)
    pair = dict.fromkeys([i for i in (ids[0] if ids else None, usual) if i])
    both = [i for i in pair if i in pictures]
    edits, curves = edit_exhibits(
        findings.findings, plan.detectors, result.measurements, laboratory
    )
    return Record(
        findings=findings,
        exhibits=pictures,
        gallery=groups,
        mean_maps=mean_maps(result.clusters, result.measurements),
        strips=strips(both, prepared.dataset, plan),
        edits=edits,
        curves=curves,
        opinions=second_opinions(both, prepared.dataset, plan),
        landscape=landscape(result.measurements, result.clusters) if result.clusters else None,
    )


def _write(
    configuration: Configuration, record: Record, result: Outcome, prepared: Prepared, store: Store
) -> None:
    out = configuration.out
    write_images(out / "images.parquet", result, prepared, store)
    write_findings(record.findings, out / "findings.json")
    write_suspicious(out / SUSPICIOUS, result.clusters, result.measurements)
    # The page is drawn from the file, so that it can be drawn again from it to the byte.
    record = dataclasses.replace(record, findings=read_findings(out / "findings.json"))
    report = write_report(record, out / "report.html", assets=configuration.assets)
    write_record(record, out / record_file.NAME)
    names = (
        *(path.relative_to(out).as_posix() for path in report),
        *("findings.json", "images.parquet", record_file.NAME),
    )
    manifest = {
        "run": store.run_id,
        "shards": f"shards/{store.folder.name}",
        "files": {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names},
    }
    publish(out / "manifest.json", json.dumps(manifest, indent=2).encode() + b"\n")


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold the output folder for one run; a second one is told so instead of mixing in."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise StoreError(f"the output folder {out} cannot be used: {error.strerror}") from error
    with lock:
        try:
            # Imported here: Windows has none, and there nobody guards the folder.
            with contextlib.suppress(ImportError):
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(
                f"another run writes to {out}; wait for it or choose another --out"
            ) from error
        yield
