"""How long an audit will take: its own steps, rehearsed on a few images, times what is planned.

Everything that costs by the image is measured by doing it: the pass with all its finders, the edits
of each artifact, corruptions, maps. Conclusions are drawn from numbers; what they cost was measured
on other audits and is scaled by how fast this machine does a part of them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Artifact, HasKinds
from melaudit.audit.conclude.table import PRESENT, measured
from melaudit.audit.discovery.mined_parts import MAX_CLASSES
from melaudit.audit.discovery.mining import INTO, LOOKED_AT
from melaudit.audit.discovery.screening import SHOWN
from melaudit.audit.edits.corruption_curves import corrupted
from melaudit.audit.edits.interventions import chosen, intervene
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.measure import visual_words
from melaudit.audit.measure.learn_words import sight
from melaudit.audit.measure.measurer import CheckSample, Measurer
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.sweep import sweep
from melaudit.audit.measure.visual_words import Sight
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.preparation import Prepared, with_contents
from melaudit.audit.viewer import Viewer
from melaudit.detectors.interface import Detector, artifacts_of
from melaudit.detectors.rungs.shown import MIN_OF_KIND
from melaudit.detectors.rungs.stopping import may_end_early
from melaudit.images.imagefile import Read
from melaudit.measurements import Measurements, Trials
from melaudit.observer import Observer, Silent
from melaudit.statistics.estimates import mean
from melaudit.statistics.sampling import sample

BATCHES = 3
"""Batches of the rehearsal: the first one of them starts processes and does not count."""
MAX_EDITED, MAX_CORRUPTED = 4, 2
"""Images that are edited in the rehearsal, and whose quality is taken. Chosen: a twentieth of what
an audit edits."""
FOLLOW_UPS = 1.4
"""What smaller doses, look-alikes and bare ground add to the edits, where decisions move. Measured:
30 % of the time of the edits of an audit of 200 images."""
ENDING_EARLY = 0.7
"""What is left of the edits where trials may end early. Measured on the small demo (240 images, 40
edits of each class), where most artifacts turn some decisions; where none does, less is left."""
AFTERWARDS = {
    "Concluding": (100, 5.0),
    "Looking at the channels that matter": (80, 0.0),
    "Explaining the images that are shown": (20, 1.5),
    "Writing the report": (0, 5.0),
}
"""What follows the edits: how many maps of an image it takes as long as, and seconds besides, on a
machine where `_unit` takes `UNIT`. Both grow with the images up to `MEASURED_ON`; more are taken to
take as long, because samples are drawn; of a run too large to keep its maps, a hundred more are
computed. Measured on 60 images of 128 pixels and on the 240 of the small demo, channels and images
that are shown on 200 and 1,000 of 128 pixels."""
MEASURED_ON, UNIT = 200, 0.0054
HALVES = 2
"""Halves of the images on which an audit chooses what it discovers."""
CHOOSING = 6.0
"""Seconds in which an audit finds candidates for what it discovers on both halves, on a machine
where `_unit` takes `UNIT`. Measured on 240 images of 128 pixels as 4 s for one half; on 180 of 96
pixels both halves take 1.5 times what one takes."""
MINED_PICTURES = 2
"""Pictures that the model is shown for each image that gets what another one has: with it, and with
what lies there in an image decided otherwise."""
SCREENED = 6
"""Candidates of each half. Measured: 8 to 18 of both together, on four models."""
SCREENED_PICTURES = 3
"""Pictures that the model is shown for each image that a candidate is put into: with it, and with
two placebos."""
DISCOVERED_PICTURES = 4.5
"""Pictures that the model is shown for each image that a discovered artifact is put into: with it,
with its placebos, and of as many images with it taken out. Measured: 324 to 520 pictures for each
of five artifacts, of 100 to 112 images."""
QUALITIES = 21
"""Pictures that the model is shown of each image whose quality is taken."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Stage:
    """One stage of a run, and what it is expected to take."""

    name: str
    """As the run names it."""
    seconds: float
    work: str
    """What is done: "200 images"."""


class _Watch(Silent):
    """Notes when work was done."""

    def __init__(self) -> None:
        self._marks = [(time.monotonic(), 0)]

    def advance(self, images: int, computed: bool = True) -> None:
        """Note that so many items are done."""
        self._marks.append((time.monotonic(), self._marks[-1][1] + images))

    def per_item(self) -> float:
        """Return seconds for each item, without the first batch where there is more than one."""
        first = self._marks[1] if len(self._marks) > 2 else self._marks[0]
        last = self._marks[-1]
        return (last[0] - first[0]) / max(1, last[1] - first[1])


@dataclass(frozen=True)
class _Rehearsal:
    """A run on a few images, step by step."""

    configuration: Configuration
    prepared: Prepared
    """With the few images alone."""
    viewer: Viewer
    detectors: tuple[Detector, ...]
    folder: Path

    def sight(self) -> tuple[Sight, float]:
        """Learn the visual words; return them and the seconds for each image."""
        begun = time.monotonic()
        dataset, seed = self.prepared.dataset, self.configuration.seed
        workers = self.configuration.workers
        seen = sight(self.viewer, dataset, self.folder, seed, Silent(), workers)
        return seen, (time.monotonic() - begun) / len(dataset)

    def measured(self, seen: Sight, prepared: Prepared | None = None) -> tuple[Measurements, float]:
        """Measure the images, or others; return what was measured and the seconds for each."""
        prepared = prepared or self.prepared
        dataset, watch = prepared.dataset, _Watch()
        store = Store(self.folder / f"pass-{len(dataset)}", "rehearsal", dataset.ids)
        unchecked = CheckSample(np.zeros(len(dataset), bool))
        measurer = Measurer(self.viewer, dataset, self.detectors, unchecked, seen)
        sweep([(measurer, store)], watch, workers=self.configuration.workers)
        table = measured(store, prepared, self.viewer.layer, self.configuration.seed)
        return table, watch.per_item()

    def edited(
        self, seen: Sight
    ) -> tuple[Measurements, list[tuple[Artifact, Trials, float]], float]:
        """Edit very few of the images.

        Returns what was measured of them, the trials and the seconds of each artifact, and the
        seconds of taking quality from one image.
        """
        few = taken(self.prepared, MAX_EDITED, self.configuration.seed)
        table, _ = self.measured(seen, few)
        laboratory = Laboratory(
            self.viewer, few.dataset, table.ids, domain=self.prepared.domain.domain
        )
        tried: list[tuple[Artifact, Trials, float]] = []
        for artifact in artifacts_of(self.detectors):
            begun = time.monotonic()
            found = intervene([artifact], table, laboratory, Silent(), MAX_EDITED)
            seconds = (time.monotonic() - begun) / max(1, len(found))
            tried += [(artifact, trials, seconds) for trials in list(found.values())[:1]]
        done = min(MAX_CORRUPTED, len(table.ids))
        corrupted(table, laboratory, 1, Silent())  # the first one warms up
        begun = time.monotonic()
        corrupted(table, laboratory, done, Silent())
        return table, tried, (time.monotonic() - begun) / done


@dataclass(frozen=True)
class Forecast:
    """What a rehearsal measured, from which the time for any number of images follows."""

    configuration: Configuration
    checked: float
    """Seconds that the checks of the maps took."""
    learning: float
    measuring: float
    corrupting: float
    mapping: float
    """Seconds for each image."""
    speed: float
    """How many times longer than elsewhere this machine takes for conclusions."""
    small: Measurements
    """Of the images that were edited."""
    table: Measurements
    """Of more images, which tell how many show an artifact."""
    tried: Sequence[tuple[Artifact, Trials, float]]
    """Artifact, its trials, and the seconds of each."""

    def stages(self, labels: NDArray[np.int64]) -> tuple[Stage, ...]:
        """Return what each stage of an audit of images with these labels (n,) is to take."""
        n, edits, seed = len(labels), self.configuration.edits, self.configuration.seed
        early = may_end_early(edits * len(np.unique(labels)))
        editing = (
            FOLLOW_UPS
            * (ENDING_EARLY if early else 1.0)
            * sum(
                seconds * _times_more(artifact, trials, self.small, self.table, labels, edits, seed)
                for artifact, trials, seconds in (self.tried if edits else ())
            )
        )
        corruptions = min(n, self.configuration.corruption_images)
        share = min(1.0, n / MEASURED_ON)
        learned = min(n, visual_words.MAX_IMAGES)
        checks, each = self.configuration.check_images, f"{1 / self.measuring:.1f} each second"
        stages = (
            Stage("Checking the maps", self.checked, f"{checks} images"),
            Stage("Learning what there is to see", learned * self.learning, f"{learned} images"),
            Stage("Measuring", n * self.measuring, f"{n} images, {each}"),
            Stage(
                "Editing images",
                editing,
                f"{len(self.tried)} artifacts, {edits} images of each class",
            ),
            *self._discovering(labels, early),
            Stage(
                "Taking quality from images",
                corruptions * self.corrupting,
                f"{corruptions} images",
            ),
            *(
                Stage(name, share * (maps * self.mapping + self.speed * seconds), "once")
                for name, (maps, seconds) in AFTERWARDS.items()
            ),
        )
        return tuple(stage for stage in stages if stage.seconds > 0)

    def _discovering(self, labels: NDArray[np.int64], early: bool) -> Iterator[Stage]:
        """Yield what artifacts that an audit finds itself take, if it finds as many as it tries."""
        edits, discover = self.configuration.edits, self.configuration.discover
        if not (edits and discover):
            return
        half = np.bincount(labels[labels >= 0]) / 2
        pictures = DISCOVERED_PICTURES * float(np.minimum(half, edits).sum())
        each = pictures * self.corrupting / QUALITIES * (ENDING_EARLY if early else 1.0)
        most = HALVES * discover
        shown = HALVES * SCREENED * SCREENED_PICTURES * min(SHOWN, float(half.sum()))
        mined = np.sort(np.minimum(half, LOOKED_AT))[-MAX_CLASSES:].sum()
        shown += HALVES * MINED_PICTURES * INTO * float(mined)
        seconds = self.speed * CHOOSING * min(1.0, len(labels) / MEASURED_ON)
        seconds += shown * self.corrupting / QUALITIES + most * each
        yield Stage("Discovering artifacts", seconds, f"up to {most}, {edits} images of each class")


def forecast(
    configuration: Configuration,
    prepared: Prepared,
    detectors: tuple[Detector, ...],
    viewer: Viewer,
    checked: float,
    observer: Observer,
    folder: Path,
) -> Forecast:
    """Rehearse an audit on a few images.

    checked: seconds that the checks of the maps took; `folder` holds what the rehearsal leaves.
    """
    n, seed = len(prepared.dataset), configuration.seed
    few = taken(prepared, min(n, BATCHES * viewer.batch_size), seed)
    observer.stage("Rehearsing on a few images", len(few.dataset))
    rehearsal = _Rehearsal(configuration, few, viewer, detectors, folder)
    seen, learning = rehearsal.sight()
    table, measuring = rehearsal.measured(seen)
    small, tried, corrupting = rehearsal.edited(seen)
    observer.advance(len(few.dataset))
    path_of = dict(zip(few.dataset.ids, few.dataset.paths, strict=True))
    readable = [path_of[identity] for identity in table.ids]
    return Forecast(
        configuration,
        checked,
        learning=learning,
        measuring=measuring,
        corrupting=corrupting,
        mapping=_mapping(viewer, readable, prepared.read),
        speed=_unit() / UNIT,
        small=small,
        table=table,
        tried=tried,
    )


def taken(prepared: Prepared, images: int, seed: int) -> Prepared:
    """Return what was prepared with so many of the images alone, balanced over the labels."""
    rows = np.flatnonzero(sample(prepared.dataset.labels, images, seed))
    few = dataclasses.replace(prepared, dataset=prepared.dataset.take(rows))
    return with_contents((few,), Silent())[0]


def _times_more(
    artifact: Artifact,
    trials: Trials,
    small: Measurements,
    table: Measurements,
    labels: NDArray[np.int64],
    per_class: int,
    seed: int,
) -> float:
    """Return how many times more pictures of an artifact an audit will edit than the rehearsal did.

    small: what was measured of the rehearsed images; table: of more images, which tell how many
    show the artifact, and which kinds of it; labels: (n,) of all.
    """
    present = f"{artifact.id}{PRESENT}"
    kinds = [expected(mask, table.labels, labels) for mask in _kinds(artifact, table, len(labels))]
    planned = [
        sum(len(chosen(mask, labels, per_class, seed)) for mask in masks)
        for masks in ([~has for has in kinds], kinds)
    ]
    taking = [e.id == "remove" or e.placebo_for == "remove" for e in trials.edits]
    removed = np.array(taking)[trials.edit]
    done = [int((~small[present]).sum()), int(small[present].sum())]
    pictures = [int((~removed).sum()), int(removed.sum())]
    each = [p / d if d else 0.0 for p, d in zip(pictures, done, strict=True)]
    if not done[1] and pictures[0]:  # none shows it: taking it out shows the image and a placebo
        each[1] = 2.0
    will = sum(images * e for images, e in zip(planned, each, strict=True))
    return will / max(1, sum(pictures))


def _kinds(artifact: Artifact, table: Measurements, n: int) -> list[Mask]:
    """Return which images (m,) show each kind that will be edited by itself, of n images in all."""
    present = table[f"{artifact.id}{PRESENT}"].astype(bool)
    if not isinstance(artifact, HasKinds):
        return [present]
    column, times = table[f"{artifact.id}.kind"], n / max(1, len(present))
    kinds = [present & (column == index) for index in range(len(artifact.kinds))]
    return [kind for kind in kinds if kind.sum() * times >= MIN_OF_KIND] or [present]


def expected(shown: Mask, known: NDArray[np.int64], labels: NDArray[np.int64]) -> Mask:
    """Return which of n images will show an artifact, if as many of each class do as of a few.

    shown: (m,) whether images of labels known (m,) show it; labels: (n,).
    """
    has = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows, of = np.flatnonzero(labels == label), shown[known == label]
        if len(of):
            has[rows[: round(len(rows) * float(of.mean()))]] = True
    return has


def _mapping(viewer: Viewer, paths: Sequence[str], read: Read) -> float:
    """Return the seconds of decoding and explaining an image, of the second of two equal rounds."""
    seconds, paths = 0.0, paths[: viewer.batch_size]
    for _ in range(2):  # the first one warms up
        begun = time.monotonic()
        white = viewer.preprocessing.white
        decoded = (read(path, white=white).image for path in paths)
        images = [image for image in decoded if image is not None]
        viewer.explainer.attribute(viewer.inputs(images), None, viewer.layers).maps.cpu()
        seconds = time.monotonic() - begun
    return seconds / len(paths)


def _unit() -> float:
    """Return the seconds of a few intervals by bootstrap, which conclusions are full of."""
    values = np.linspace(0, 1, 100)
    begun = time.monotonic()
    for _ in range(5):
        mean(values, 0, np.arange(100) // 2)
    return time.monotonic() - begun
