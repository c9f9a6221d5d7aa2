"""For the next training: a folder with sampling weights, and the lines that use them.

`weights.csv` has a row for each image, `README.md` says what comes of the weights and shows what to
add to a training script: a sampler, and the artifact as a transform, so that it goes with no class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from melaudit.artifacts.interface import Artifact, HasKinds
from melaudit.audit.prepare.training_data import PRESENT, look
from melaudit.domains.interface import Domain
from melaudit.domains.registry import domain as domain_of
from melaudit.errors import ArtifactError, ConfigurationError, DatasetError, StoreError
from melaudit.findings import Findings
from melaudit.images.dataset import Dataset, open_dataset
from melaudit.images.tables.artifact_labels import read_artifact_labels
from melaudit.mitigation.weights import MAX_DRAWS, UNKNOWN, Balance, Codes, balance, weights_csv
from melaudit.observer import Observer
from melaudit.publish import publish
from melaudit.reports.formats.markdown import escaped, prose, table
from melaudit.wording.names import visible
from melaudit.wording.sentences import many, percent

WEIGHTS, README = "weights.csv", "README.md"
PUT = 0.5
"""Share of the images that get the artifact: as many with it as without."""


def export_finding(
    findings: Findings,
    wanted: str,
    images: Path,
    out: Path,
    workers: int,
    observer: Observer,
    artifact_labels: Path | None = None,
) -> Balance:
    """Write the folder `out` for training again on `images`, against a finding of an audit.

    wanted: the id of the finding, the worst about an artifact if empty; images: the training
    images, a folder of class folders or a table; artifact_labels: a table that says which of them
    show it, where a person has looked. Neither the model nor the audited images are needed. Raises
    ConfigurationError for a finding that is not there or about no artifact, DatasetError for images
    of other classes than the audit's or without labels and for a table that says nothing of the
    artifact, and what `export` raises.
    """
    if not findings.domain.id:
        raise ConfigurationError(
            "the audit is of an older melaudit and names no domain; run it again"
        )
    field = domain_of(findings.domain.id)
    key = _key(findings, wanted, field)
    known = findings.provenance
    dataset = open_dataset(
        images, classes=known.classes, class_map=known.config.get("class_map") or {}
    )
    if not (dataset.labels >= 0).any():
        raise DatasetError(
            f"the images in {images} have no labels, so nothing can be balanced over the classes; "
            "name a folder with a folder per class, or a table"
        )
    observer.note(f"training images: {dataset.describe()}")
    said = said_of(dataset.ids, key, artifact_labels, field, observer)
    asked = np.flatnonzero(said == UNKNOWN)
    paths = [dataset.paths[row] for row in asked]
    said[asked] = shown_in(paths, key, field, workers, observer)
    return export(out, dataset, said, key, field)


def _key(findings: Findings, wanted: str, field: Domain) -> str:
    """Return what a finding is about: an artifact or a kind of one, by which its finding is named.

    Raises ConfigurationError if there is none.
    """
    ids = [finding.id for finding in findings.findings]
    able = [each for each in ids if _is_artifact(each, field)]
    if wanted in able or (not wanted and able):
        return wanted or able[0]
    can = f"an export is possible against: {', '.join(able) or 'none of its findings'}"
    if wanted in ids:
        raise ConfigurationError(
            f"finding {wanted!r} is about nothing that can be put into images or taken out; {can}"
        )
    named = f"the audit has no finding {wanted!r}" if wanted else "no finding is about an artifact"
    raise ConfigurationError(f"{named}; {can}")


def _is_artifact(key: str, field: Domain) -> bool:
    try:
        field.artifact(key)
    except ArtifactError:
        return False
    return True


def said_of(
    ids: Sequence[str], key: str, table: Path | None, domain: Domain, observer: Observer
) -> Codes:
    """Return what a person noted of the n images `ids`: (n,) 1, 0 or -1 where nothing is known.

    A kind of an artifact ("colour_cast.bluish") is its own column. Raises DatasetError for a table
    that cannot be read or has no column for the artifact.
    """
    if table is None:
        return np.full(len(ids), UNKNOWN)
    read = read_artifact_labels(table, ids, (key,))
    if key not in read.columns:
        names = ", ".join(visible(name) for name in read.columns)
        raise DatasetError(
            f"{table} says nothing of {domain.artifact(key).phrases.things}; it has {names}: name "
            f"a column {key}, or leave out --artifact-labels and our finder decides"
        )
    for note in read.notes:
        observer.note(note)
    out: Codes = read.columns[key].astype(np.int64)
    return out


def shown_in(
    paths: Sequence[str], key: str, domain: Domain, workers: int, observer: Observer
) -> Codes:
    """Return whether image files (n,) show an artifact, as its finder says: 1, 0 or -1 (unknown).

    `key` is an artifact's id, or one kind of it ("colour_cast.bluish"). Raises ArtifactError for
    one that is not sought in pictures of the domain.
    """
    sought, (whole, _, kind) = domain.artifact(key), key.partition(".")
    artifact = domain.artifact(whole) if kind else sought
    observer.stage(f"Looking for {sought.phrases.things}", len(paths))
    seen = look(paths, (artifact,), workers, observer)[0][:, 0].astype(np.int64)
    shows = seen >= PRESENT
    if kind and isinstance(artifact, HasKinds):
        names = [each.kind for each in artifact.kinds]
        shows = seen == PRESENT + names.index(kind)
    out: Codes = np.where(seen < 0, UNKNOWN, shows.astype(np.int64))
    return out


def export(out: Path, dataset: Dataset, shows: Codes, key: str, domain: Domain) -> Balance:
    """Write the folder `out` for training on a data set again, and return the weights.

    shows: (n,) 1 for images with the artifact, 0 without, -1 unknown. Raises DatasetError for
    images of fewer than two classes, StoreError where nothing can be written.
    """
    made = balance(dataset.labels, shows, len(dataset.classes))
    rows = weights_csv(dataset.ids, dataset.labels, shows, dataset.classes, made.weights)
    text = readme(out, made, dataset.classes, len(dataset), key, domain)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder {out} cannot be made: {error.strerror}; give another --export"
        ) from error
    publish(out / WEIGHTS, rows)
    publish(out / README, text.encode("utf-8"))
    return made


def readme(
    out: Path, made: Balance, classes: Sequence[str], images: int, key: str, domain: Domain
) -> str:
    """Return what is said of the weights of so many images, and what to add to a script."""
    artifact = domain.artifact(key)
    rows = [
        (
            escaped(name),
            ("without", "with")[k],
            f"{made.counts[c, k]:,}",
            f"{made.draws[c, k]:.2f}",
        )
        for c, name in enumerate(classes)
        for k in (0, 1)
    ]
    lines = [
        f"# The next training, without {prose(artifact.phrases.things)}",
        "",
        f"`{WEIGHTS}` names {many(images, 'image')}, with the class, whether the image shows "
        f"{prose(artifact.phrases.shows)}, and a sampling weight: how often it is drawn in an "
        f"epoch of {made.images:,} draws, on average.",
        "",
        *table(("class", prose(artifact.phrases.thing), "images", "draws of each"), rows),
        "",
        *(f"* {prose(note)}" for note in notes(made, classes, images, artifact)),
        "",
        "Add to the training script, where `dataset` is the ImageFolder of these images:",
        "",
        *(f"    {line}".rstrip() for line in script(out / WEIGHTS, made, key, domain)),
        "",
        "Then hand the sampler to the loader, in place of `shuffle`: "
        "`DataLoader(dataset, sampler=sampler, ...)`. `torch.manual_seed` repeats all draws. Train "
        "as before, audit the new model on images that it has not seen, and hold both audits "
        "against each other: `melaudit diff BEFORE AFTER`.",
    ]
    return "\n".join(lines) + "\n"


def notes(
    made: Balance, classes: Sequence[str], images: int, artifact: Artifact
) -> tuple[str, ...]:
    """Return what there is to know of the weights, a sentence or two each."""
    thing, shows = artifact.phrases.thing, artifact.phrases.shows
    there = [c for c in range(len(classes)) if made.counts[c].sum()]
    before = ", ".join(
        f"{made.counts[c, 1]:,} of {made.counts[c].sum():,} {classes[c]} images" for c in there
    )
    after = ", ".join(f"{percent(float(made.shares[c]))} of {classes[c]}" for c in there)
    out = [
        f"{shows[:1].upper()}{shows[1:]}: in {before}. Of what is drawn: {after}.",
        f"An epoch shows about {made.different:,.0f} of the {made.images:,} images.",
    ]
    for c in there:
        for k, whole in enumerate((f"Every {classes[c]} image has", f"No {classes[c]} image has")):
            if made.counts[c, k] == 0:
                out.append(f"{whole} the {thing}.")
    often = f"images drawn more than {MAX_DRAWS:.0f} times an epoch"
    if not made.even:
        out.append(
            f"No weights make the {thing} as frequent in every class without {often}. So it is "
            "also taken out where it is found, and put into half of all images; what taking out "
            "leaves behind may still tell."
        )
    elif abs(float(np.nanmax(made.shares)) - 0.5) > 1e-6:
        left = int((made.counts[:, 1] * (made.draws[:, 1] == 0)).sum())
        out.append(
            f"Half with the {thing} and half without it, in every class, would need {often}. So "
            "every class has another share of it, the same in each"
            + (f", and {many(left, 'image')} with it are not drawn" if left else "")
            + "; the transform puts it into half of the others."
        )
    if images > made.images:
        out.append(
            f"{many(images - made.images, 'image')} without a label, or that could not be looked "
            "at, have weight 0."
        )
    missing = [classes[c] for c in range(len(classes)) if c not in there]
    if missing:
        out.append(f"No image is of class {', '.join(missing)}.")
    return tuple(out)


def script(weights: Path, made: Balance, key: str, domain: Domain) -> tuple[str, ...]:
    """Return the lines of Python to add: imports, then a line for the transform and the sampler."""
    field = f"domain({domain.id!r})"
    edits = {"Put": f"Put({field}.artifact({key!r}), p={PUT})"}
    if not made.even:  # a kind of an artifact is taken out with the others
        taken = f"Remove({field}.artifact({key.partition('.')[0]!r}), p=1.0)"
        edits = {"Remove": taken} | edits
    return (
        "from torch.utils.data import WeightedRandomSampler",
        "from torchvision.transforms import v2",
        f"from melaudit.artifacts.transforms import {', '.join(sorted(edits))}",
        "from melaudit.domains import domain",
        "from melaudit.mitigation.weights import sampling_weights",
        "",
        f"dataset.transform = v2.Compose([{', '.join(edits.values())}, dataset.transform])",
        f"sampler = WeightedRandomSampler(sampling_weights({str(weights)!r}, "
        "[file for file, _ in dataset.samples]), len(dataset))",
    )
