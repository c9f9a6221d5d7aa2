"""A reviewer names what suspicious groups show, and the audit finds it in all images.

`suspicious.csv` lists the images of suspicious groups, and of what the audit discovered, with an
empty column `artifact`. Whoever fills it in (a name for what the picture shows, "none" for nothing
odd) hands the file back; for each name a linear probe on concept relevance then ranks all images,
and folds of the reviewed images that the probe did not see say how far the ranking may be believed.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from melaudit.audit.groups.portrait import moments
from melaudit.audit.prepare.configuration import Configuration
from melaudit.errors import DatasetError
from melaudit.findings import Cluster, Finding, Probe, Skipped, first_clusters
from melaudit.images.tables.swallowed_rows import swallowed_rows
from melaudit.measurements import CHUNK, Measurements
from melaudit.publish import publish
from melaudit.statistics.estimates import proportion

FILE = "suspicious.csv"
COLUMNS = ("image", "cluster", "suspicion", "predicted", "label", "why", "artifact")
MAX_LISTED_PER_CLUSTER = 200
"""Images of a group that are listed, the most typical first."""
NOTHING = ("none", "no", "0", "nothing", "-")
"""What a reviewer writes where a picture shows nothing odd."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet read a cell as a formula."""
MIN_REVIEWED = 8
"""Reviewed images with an artifact, and without, that a probe needs. Chosen, not measured."""
FOLDS = 5
MAX_TOP = 25
"""Images at the head of the ranking whose precision is reported, at most."""
MAX_RANKED = 200
"""Images of the ranking that are named."""
INVERSE_RIDGE = 0.01
"""Inverse penalty of the probe, strong because there are few images and many channels. Chosen, not
measured."""


def safe(cell: str) -> str:
    """Return a cell that no spreadsheet reads as a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def unsafe(cell: str) -> str:
    """Undo `safe`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def suspicious_csv(
    clusters: Sequence[Cluster], measurements: Measurements, findings: Sequence[Finding] = ()
) -> bytes:
    """Return the table for the reviewer, each image once.

    The images of findings on what the audit discovered come first, for it has no name yet; then
    those of groups, the most suspicious group first.
    """
    discovered = [finding for finding in findings if finding.discovered]
    first = first_clusters(clusters)
    first |= {image: each.id for each in reversed(discovered) for image in each.images}
    row_of = {identity: row for row, identity in enumerate(measurements.ids)}

    def cells(identity: str, group: str, suspicion: str, predicted: str, why: str) -> list[str]:
        label = int(measurements.labels[row_of[identity]])
        known = measurements.classes[label] if label >= 0 else ""
        return [*map(safe, (identity, group, suspicion, predicted, known, why)), ""]

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for finding in discovered:
        own = [image for image in finding.images if first[image] == finding.id]
        for identity in own[:MAX_LISTED_PER_CLUSTER]:
            predicted = measurements.classes[int(measurements.predictions[row_of[identity]])]
            writer.writerow(cells(identity, finding.id, "", predicted, finding.title))
    for cluster in clusters:
        why, suspicion = "; ".join(cluster.why), f"{cluster.suspicion:.2f}"
        own = [image for image in cluster.images if first[image] == cluster.id]
        for identity in own[:MAX_LISTED_PER_CLUSTER]:
            writer.writerow(cells(identity, cluster.id, suspicion, cluster.predicted, why))
    return out.getvalue().encode(
        "utf-8-sig"
    )  # with a byte order mark, by which spreadsheets recognise UTF-8


def write_suspicious(
    path: Path,
    clusters: Sequence[Cluster],
    measurements: Measurements,
    findings: Sequence[Finding] = (),
) -> None:
    """Write `suspicious.csv` atomically; a file that somebody filled in is kept."""
    if path.exists() and any(read_reviews(path).values()):
        return
    publish(path, suspicious_csv(clusters, measurements, findings))


def reviews_of(configuration: Configuration) -> dict[str, str] | None:
    """Return what `read_reviews` reads from the file of a run; None where the user gave none."""
    return None if configuration.labels is None else read_reviews(configuration.labels)


def read_reviews(path: Path) -> dict[str, str]:
    """Read image -> what the reviewer saw, "" where nothing was written.

    Raises DatasetError for a file that cannot be read or lacks the columns image and artifact.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as a CSV in UTF-8: {error}") from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)  # spreadsheets of some countries write semicolons
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows, found = list(reader), swallowed_rows(text, delimiter)
    except csv.Error as error:
        raise DatasetError(f"{path} cannot be read as a CSV ({error})") from error
    if found is not None:
        raise DatasetError(
            f"{path}: the row that begins in line {found.first} goes on to line {found.last}, over "
            "lines that look like rows of their own; close the quotation mark in that line"
        )
    missing = {"image", "artifact"} - set(reader.fieldnames or ())
    if missing:
        raise DatasetError(
            f"{path} has no column {' and '.join(sorted(missing))}; give back the {FILE} of an "
            "audit with its column artifact filled in"
        )
    return {
        unsafe((row["image"] or "").strip()): (row["artifact"] or "").strip().casefold()
        for row in rows
    }


@dataclass(frozen=True)
class Ticks:
    """The images reviewed for one artifact, as rows."""

    shown: NDArray[np.int64]
    lacking: NDArray[np.int64]
    reviewed: bool
    """Whether the images lacking it were reviewed; else they are drawn from all other images."""


def ticks(reviews: Mapping[str, str], artifact: str, measurements: Measurements) -> Ticks:
    """Sort the reviewed images by whether they show an artifact.

    Where too few were marked as showing something else or nothing, images nobody marked stand in.
    """
    seen = np.array([reviews.get(identity, "") for identity in measurements.ids], object)
    shown = np.flatnonzero(seen == artifact)
    lacking = np.flatnonzero((seen != artifact) & (seen != ""))
    if len(lacking) >= MIN_REVIEWED:
        return Ticks(shown, lacking, reviewed=True)
    rng = np.random.default_rng(measurements.seed)
    rest = np.flatnonzero(seen != artifact)
    drawn = rng.permutation(rest)[: max(2 * len(shown), MIN_REVIEWED)]
    return Ticks(shown, np.sort(drawn), reviewed=False)


def refit(
    reviews: Mapping[str, str], measurements: Measurements
) -> tuple[tuple[Probe, ...], tuple[Skipped, ...]]:
    """Fit a probe for every artifact that a reviewer named, the most frequent first."""
    if not measurements.layer:
        return (), (Skipped("feedback", "the model has no layer whose channels are concepts"),)
    known = set(measurements.ids)
    counted = Counter(
        artifact
        for identity, artifact in reviews.items()
        if identity in known and artifact and artifact not in NOTHING
    )
    probes: list[Probe] = []
    skipped: list[Skipped] = []
    for artifact, n in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        marked = ticks(reviews, artifact, measurements)
        if min(len(marked.shown), len(marked.lacking)) < MIN_REVIEWED:
            few = f"{n} images are marked {artifact!r}"
            skipped.append(Skipped("feedback", f"{few}; a probe needs {MIN_REVIEWED}"))
            continue
        probes.append(_probe(artifact, marked, measurements))
    if not counted:
        skipped.append(Skipped("feedback", "no image of this audit is marked with an artifact"))
    return tuple(probes), tuple(skipped)


def _probe(artifact: str, marked: Ticks, measurements: Measurements) -> Probe:
    concepts = measurements["relevance.concepts"]
    middle, variance = moments(concepts)
    spread = np.sqrt(np.where(variance > 0, variance, 1))
    rows = np.concatenate([marked.shown, marked.lacking])
    shows = np.arange(len(rows)) < len(marked.shown)
    features = (concepts[rows] - middle) / spread
    held_out = _held_out(features, shows, measurements.seed)
    k = min(MAX_TOP, len(marked.shown))
    head = shows[np.argsort(-held_out, kind="stable")[:k]]
    precision = proportion(int(head.sum()), k)
    weights = _fit(features, shows).coef_[0]
    scores = np.concatenate(
        [
            ((concepts[start : start + CHUNK] - middle) / spread) @ weights
            for start in range(0, len(concepts), CHUNK)
        ]
    )
    ranked = np.argsort(-scores, kind="stable")[:MAX_RANKED]
    base = float(shows.mean())
    source = "images marked otherwise" if marked.reviewed else "images nobody marked"
    return Probe(
        artifact=artifact,
        marked=len(marked.shown),
        others=len(marked.lacking),
        reviewed=marked.reviewed,
        k=k,
        precision=precision.value,
        precision_low=precision.low,
        precision_high=precision.high,
        chance=base,
        images=tuple(measurements.ids[row] for row in ranked),
        statement=f"Of the {k} images that a probe for {artifact!r} ranks first among "
        f"{len(rows)} it was not fitted on, {int(head.sum())} are marked so; by chance it would be "
        f"{base * k:.0f}. It was fitted on {len(marked.shown)} marked images and "
        f"{len(marked.lacking)} {source}.",
    )


def _fit(features: NDArray[np.floating], shows: NDArray[np.bool_]) -> LogisticRegression:
    return LogisticRegression(C=INVERSE_RIDGE, class_weight="balanced", max_iter=1000).fit(
        features, shows
    )


def _held_out(
    features: NDArray[np.floating], shows: NDArray[np.bool_], seed: int
) -> NDArray[np.float64]:
    """Return each reviewed image's score from a probe that did not see it."""
    scores = np.empty(len(shows))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for fitted, left in folds.split(features, shows):
        scores[left] = _fit(features[fitted], shows[fitted]).decision_function(features[left])
    return scores
