"""A scan: artifacts in the images alone, and the classes they go with. No model is asked.

Images are decoded and searched in worker processes; what is counted goes through the same
association as a detector's.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts import artifacts
from melaudit.artifacts.interface import Artifact
from melaudit.audit.exhibits.exhibits import webp
from melaudit.audit.leases import Leases
from melaudit.audit.prepare.domain_choice import USUAL, ChosenDomain
from melaudit.audit.prepare.provenance import code_fingerprint
from melaudit.audit.prepare.shared_units import Keeping, chunks, of_all
from melaudit.detectors.rungs.company import Company, Part, company
from melaudit.detectors.rungs.opportunity import Association, associate
from melaudit.errors import ConfigurationError, DatasetError
from melaudit.images.artifact_scan import RULES, ImageScores, Scoring
from melaudit.images.dataset import Dataset
from melaudit.images.imagefile import FULL_WHITE, read_image
from melaudit.reports.scan import MAX_PICTURES, Scan, Scanned
from melaudit.statistics.correction import settle

if TYPE_CHECKING:
    from melaudit.observer import Observer

MIN_IMAGES = 5
"""Images with and without an artifact below which no odds ratio is given. Chosen: a round figure,
not measured."""
MAX_EXAMPLES = 20
"""Images that are named for an artifact."""
CHUNK = 16
"""Images that a worker is handed at a time."""
UNIT = 512
"""Images that one process looks at before another may have the next: as many as a shard has."""


def scan(
    dataset: Dataset,
    observer: Observer,
    *,
    domain: ChosenDomain = USUAL,
    workers: int = 0,
    rules: Sequence[str] = (),
    pictures: bool = False,
    white: int = FULL_WHITE,
    keep: Path | None = None,
) -> Scan:
    """Look for every artifact of a domain, and the named rules, in every image.

    `pictures` keeps photographs of what was found, for a page that shows them; `white` is what is
    white in 16-bit grey images. `keep` is a folder for what is seen of each `UNIT` images: what is
    there is not looked at again, and processes that name the same folder share the images. All of
    them return the same.
    An image that twice kills its worker or holds it up is skipped. Raises ConfigurationError for an
    unknown rule, DatasetError when no image can be read or many workers are lost, StoreError for a
    folder that cannot be written.
    """
    unknown = [rule for rule in rules if rule not in RULES]
    if unknown:
        raise ConfigurationError(f"no rule is named {unknown[0]!r}; there is: {', '.join(RULES)}")
    scoring = Scoring(tuple(rules), domain.domain.id, white)
    with tempfile.TemporaryDirectory() if keep is None else nullcontext(keep) as folder:
        scored = _scored(dataset, scoring, Path(folder), observer, workers)
    read = np.array([not image.skipped for image in scored], np.bool_)
    left_out = {reason: list(names) for reason, names in dataset.examples.items()}
    for identity, image in zip(dataset.ids, scored, strict=True):
        if image.skipped:
            left_out.setdefault(image.skipped, []).append(identity)
    skipped = Counter(dataset.skipped) + Counter(i.skipped for i in scored if i.skipped)
    if not read.any():
        raise DatasetError(
            f"none of the {len(dataset)} images could be read ({', '.join(sorted(skipped))}); "
            "check that they are JPEG, PNG, TIFF, BMP, WEBP or GIF files"
        )
    images = [image for image in scored if not image.skipped]
    rows, failed = _rows(
        dataset.take(np.flatnonzero(read)),
        images,
        artifacts(domain.domain.artifacts),
        tuple(rules),
    )
    return Scan(
        data=f"{dataset.root.name}, {dataset.describe()}",
        classes=dataset.classes,
        read=int(read.sum()),
        labelled=int((dataset.labels[read] >= 0).sum()),
        skipped=dict(skipped),
        left_out={reason: tuple(names[:MAX_EXAMPLES]) for reason, names in left_out.items()},
        artifacts=tuple(rows),
        failed=failed,
        version=version("melaudit"),
        domain=domain.info,
        pictures=_pictures(dataset, rows, white) if pictures else {},
    )


def _scored(
    dataset: Dataset, scoring: Scoring, folder: Path, observer: Observer, workers: int
) -> list[ImageScores]:
    """Return what finders and rules say of every image, kept in a folder."""
    facts = [dataset.fingerprint, asdict(scoring), code_fingerprint()]
    fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    keeping = Keeping(
        lambda unit: folder / f"scan-{fingerprint}-{unit:05d}.msgpack",
        _kept,
        msgspec.msgpack.encode,
        lambda parts: tuple(itertools.chain.from_iterable(parts)),
    )
    units = chunks(dataset.paths, UNIT)
    with Leases(folder, secrets.token_hex(8)) as turns:
        parts = of_all(
            units, scoring, keeping, "Scanning", observer, turns, workers=workers, at_a_time=CHUNK
        )
    return list(itertools.chain.from_iterable(parts))


def _kept(place: Path, n: int) -> tuple[ImageScores, ...] | None:
    """Return what was said of n images; None where that is not there, or is damaged."""
    try:
        kept = msgspec.msgpack.decode(place.read_bytes(), type=tuple[ImageScores, ...])
    except (OSError, msgspec.MsgspecError):
        return None
    return kept if len(kept) == n else None


def _pictures(dataset: Dataset, rows: Sequence[Scanned], white: int) -> dict[str, bytes]:
    """Return the surest images of each artifact as WebP, by id."""
    shown = {i for row in rows for i in row.examples[:MAX_PICTURES]}
    paths = {i: path for i, path in zip(dataset.ids, dataset.paths, strict=True) if i in shown}
    decoded = {identity: read_image(path, white=white).image for identity, path in paths.items()}
    return {i: webp(image) for i, image in decoded.items() if image is not None}


def _rows(
    dataset: Dataset,
    images: Sequence[ImageScores],
    sought: Sequence[Artifact],
    rules: tuple[str, ...],
) -> tuple[list[Scanned], dict[str, str]]:
    """Associate everything with the labels, the clearest first; and say what failed."""
    named = [(a.id, a.title) for a in sought] + [(rule, RULES[rule][0]) for rule in rules]
    looked_for: list[tuple[str, str, NDArray[np.bool_], NDArray[np.float64]]] = []
    failed: dict[str, str] = {}
    for k, (identity, title) in enumerate(named):
        failures = [image.failures[k] for image in images if image.failures[k]]
        if failures:
            failed[identity] = f"{len(failures)} images failed, the first with {failures[0]}"
            continue
        present = np.array([image.present[k] for image in images], np.bool_)
        scores = np.array([image.scores[k] for image in images], np.float64)
        looked_for.append((identity, title, present, scores))
    # What could not be compared is a text, and holds no test.
    compared = settle([_compared(dataset, present) for _, _, present, _ in looked_for])
    beside = _beside(dataset, {i: present for i, _, present, _ in looked_for}, sought)
    rows = [
        _scanned(identity, title, dataset, present, scores, data, beside.get(identity))
        for (identity, title, present, scores), data in zip(looked_for, compared, strict=True)
    ]
    order = sorted(rows, key=lambda r: (not r.reached, 1.0 if r.p_value is None else r.p_value))
    return order, failed


@dataclass(frozen=True)
class _Looked:
    """What finders saw, as `company` asks for it: a scan keeps no places and knows no training."""

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    present: Mapping[str, NDArray[np.bool_]]
    labelled: Mapping[str, NDArray[np.int8]] = field(default_factory=dict)
    training: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.int64]]] = field(
        default_factory=dict
    )

    def __getitem__(self, name: str) -> NDArray[np.bool_]:
        if not name.endswith(".present"):
            raise KeyError(name)
        return self.present[name.removesuffix(".present")]


def _beside(
    dataset: Dataset, present: Mapping[str, NDArray[np.bool_]], sought: Sequence[Artifact]
) -> dict[str, tuple[str, tuple[Company, ...]]]:
    """Return, by artifact, several of it in words, and what takes something from it."""
    looked = _Looked(dataset.labels, tuple(dataset.classes), present)
    return {
        each.id: (each.phrases.things, company(looked, each, each.id, present[each.id], sought))
        for each in sought
        if each.id in present
    }


def _compared(dataset: Dataset, present: NDArray[np.bool_]) -> Association | str:
    """Associate an artifact with the labels, or say why that cannot be done."""
    known = dataset.labels >= 0
    n, showing = int(known.sum()), int(present[known].sum())
    if n == 0:
        return "no labels"
    if showing < MIN_IMAGES or n - showing < MIN_IMAGES:
        few = "with" if showing < MIN_IMAGES else "without"
        return f"fewer than {MIN_IMAGES} images {few} it"
    return associate(present, dataset.labels, dataset.classes) or "the labels cannot tell"


def _scanned(
    identity: str,
    title: str,
    dataset: Dataset,
    present: NDArray[np.bool_],
    scores: NDArray[np.float64],
    compared: Association | str,
    beside: tuple[str, tuple[Company, ...]] | None,
) -> Scanned:
    """Count one artifact and write down how it goes with the labels."""
    things, others = beside or (title, ())
    explained = any(each.part is Part.SEEN_WITH for each in others)
    labels, classes = dataset.labels, dataset.classes
    known = labels >= 0
    data = None if isinstance(compared, str) else compared
    by_label = {
        name: (int(present[labels == k].sum()), int((labels == k).sum()))
        for k, name in enumerate(classes)
    }
    if not known.all():
        by_label["unknown"] = int(present[~known].sum()), int((~known).sum())
    rows = np.flatnonzero(present)
    surest = rows[np.argsort(-scores[rows], kind="stable")][:MAX_EXAMPLES]
    return Scanned(
        artifact=identity,
        title=title,
        n=len(present),
        present=int(present.sum()),
        by_label=by_label,
        label=None if data is None else classes[data.target],
        odds_ratio=None if data is None else data.odds.value,
        ci_low=None if data is None else data.odds.low,
        ci_high=None if data is None else data.odds.high,
        p_value=None if data is None else data.odds.p_value,
        q_value=None if data is None else data.odds.q_value,
        reached=data is not None and data.reached and not explained,
        beside=tuple(each.words(things) for each in others),
        reason=compared if isinstance(compared, str) else "",
        examples=tuple(dataset.ids[i] for i in surest),
    )
