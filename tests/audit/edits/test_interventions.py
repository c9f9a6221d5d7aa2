"""Interventions on a model of known behaviour: what it is shown, what is kept of its answers."""

# Long because: every way of editing is tried on the few pictures and models made here.

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from melaudit.artifacts.interface import RGB, Edited, Found
from melaudit.artifacts.kinds.colour_cast import ColourCast
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.audit.conclude.controls import controls
from melaudit.audit.conclude.courses import tried as courses_tried
from melaudit.audit.edits.answers import Answers
from melaudit.audit.edits.attempts import DOSES, filled_elsewhere, taken_out
from melaudit.audit.edits.interventions import as_shown, chosen, intervene
from melaudit.audit.edits.laboratory import Laboratory, Responses, natural_distances
from melaudit.audit.edits.trial_store import TrialStore
from melaudit.audit.exhibits.edit_exhibits import edit_exhibits
from melaudit.audit.viewer import Viewer
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.rungs.dependence import Dependence, depend
from melaudit.detectors.rungs.shown import shown
from melaudit.detectors.rungs.stopping import FIRST
from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.findings import Finding, Rung, Trust
from melaudit.images.dataset import open_dataset
from melaudit.images.preprocessing import resolve
from melaudit.measurements import Array, Course, Measurements, Stop
from melaudit.relevance import Explainer
from melaudit.statistics.correction import settle
from tests.said import said

Make = Callable[..., Measurements]
SIDE = 48


class Silent:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None: ...

    def advance(self, images: int, computed: bool = True) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


class Corners(nn.Module):
    """Says malignant when the middle is dark or, by `weight`, when the corners are."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.mix.weight, 1 / 3)
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        grey = self.mix(x)
        middle = grey[:, 0, 16:32, 16:32].mean((1, 2))
        corners = torch.stack(
            [grey[:, 0, y : y + 4, x_ : x_ + 4] for y in (0, 44) for x_ in (0, 44)]
        )
        dark = -corners.mean((0, 2, 3))
        margin = -8 * (middle - 0.55) + self.weight * (dark + 0.4)
        return torch.stack([torch.zeros_like(margin), margin], 1)


def picture(rng: np.random.Generator, malignant: bool, ringed: bool) -> RGB:
    """Draw skin with a spot, darker when malignant, and perhaps black corners."""
    image = np.full((SIDE, SIDE, 3), (220, 180, 160), np.float64) + rng.normal(
        0, 4, (SIDE, SIDE, 3)
    )
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    image[np.hypot(y, x) < 11] -= 110 if malignant else 40
    if ringed:
        image[np.hypot(y, x) > 22] = 4
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image folder: 24 benign and 24 malignant images, 10 of the latter ringed."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for kind, rings in (("benign", 0), ("malignant", 10)):
        (root / kind).mkdir()
        for i in range(24):
            image = picture(rng, kind == "malignant", i < rings)
            Image.fromarray(image).save(root / kind / f"{i:02}.png")
    return root


def table_and_laboratory(
    make: Make, folder: Path, weight: float
) -> tuple[Measurements, Laboratory]:
    dataset = open_dataset(folder)
    ring = DarkRing()
    images = [np.asarray(Image.open(path)) for path in dataset.paths]
    present = np.array([ring.find(image).present for image in images])
    preprocessing = resolve(None, image_size=SIDE, mean=(0.0,), std=(1.0,))
    model = Corners(weight)
    with torch.no_grad():
        logits = model(torch.stack([preprocessing.apply(image) for image in images])).numpy()
    table = make(
        {
            "dark_ring.present": present,
            "dark_ring.score": present * 0.9,
            "dark_ring.rule": present,
            "dark_ring.mask": np.zeros((len(images), 32, 32), np.uint8),
            **{f"dark_ring.{name}": np.zeros(len(images)) for name in ("share", "signed", "area")},
        },
        labels=dataset.labels,
        predictions=logits.argmax(1),
        logits=logits,
        explanations=Trust.UNUSABLE,
    )
    table = dataclasses.replace(table, ids=dataset.ids)
    explainer = Explainer(model, num_classes=2)
    viewer = Viewer(explainer, preprocessing, torch.device("cpu"), "mix", 8)
    return table, Laboratory(viewer, dataset, dataset.ids, domain=DERMOSCOPY)


class Foreign(Detector):
    """Another package's detector with an artifact, which is shown like any of ours."""

    id, title, artifact = "dark_ring", "Rings", DarkRing()

    def measure(self, batch: Batch) -> dict[str, Array]:
        return {}

    def conclude(self, measurements: Measurements) -> list[Result]:
        return []


def test_a_model_that_reads_the_corners_is_found_to_use_the_ring(
    measurements: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, laboratory = table_and_laboratory(measurements, folder, weight=12.0)
    observer = Silent()
    trials = intervene([DarkRing()], table, laboratory, observer, per_class=20)
    assert observer.notes == []
    table = dataclasses.replace(table, trials=trials)
    (finding,) = said(ArtifactDetector(DarkRing()).conclude(table))
    assert {e.rung for e in finding.evidence if e.reached} >= {Rung.DEPENDENCE, Rung.HARM}  # type: ignore[union-attr]
    # The model said all of it in the trials: it is not asked again.
    monkeypatch.setattr(laboratory, "look", lambda _: pytest.fail("shown to the model again"))
    edits, curves = edit_exhibits([finding], [Foreign()], table, laboratory)  # type: ignore[list-item]
    assert len(edits) == 4
    (ringed,) = (t for t in trials.values())
    with_ring = torch.from_numpy(ringed.after[ringed.of("add")]).softmax(1)[:, 1].tolist()
    assert all(min(abs(e.versions[1].probability - p) for p in with_ring) < 1e-6 for e in edits)
    assert {e.versions[0].title for e in edits} == {"as it is"}
    assert all(e.versions[1].probability > e.versions[0].probability for e in edits)
    (curve,) = curves
    ring, placebo = curve.series
    assert ring.x == (0.0, *DOSES, 1.0)
    assert ring.y[-1] > ring.y[0]
    assert ring.y[-1] > placebo.y[-1]


class Kept(DarkRing):
    """A ring of kinds, that keeps the pictures it was asked to be like."""

    def like(self, images: Iterable[RGB]) -> DarkRing:
        self.seen = list(images)
        return DarkRing()


def test_the_kind_of_an_artifact_is_told_by_images_of_the_class_that_shows_it(
    measurements: Make, folder: Path
) -> None:
    table, laboratory = table_and_laboratory(measurements, folder, weight=12.0)
    ring = DarkRing()
    assert as_shown(shown(ring, table, ())[0], table, laboratory) is ring, "a ring of one make"
    kept = Kept()
    assert as_shown(shown(kept, table, ())[0], table, laboratory) is not kept
    assert len(kept.seen) == 10 and all(ring.find(image).present for image in kept.seen)
    columns = {"dark_ring.present": np.arange(len(table.ids)) < 3}
    few = dataclasses.replace(table, columns=columns.__getitem__)
    assert as_shown(shown(kept, few, ())[0], few, laboratory) is kept, "three images do not tell"


def test_a_model_that_reads_the_lesion_only_is_not(measurements: Make, folder: Path) -> None:
    table, laboratory = table_and_laboratory(measurements, folder, weight=0.0)
    trials = intervene([DarkRing()], table, laboratory, Silent(), per_class=20)
    tried = dataclasses.replace(table, trials=trials)
    (found,) = settle([depend(tried, "dark_ring", DarkRing().phrases)])
    assert isinstance(found, Dependence)
    assert not found.reached
    asked = {edit.id for edit in trials["dark_ring"].edits}
    assert not asked & {"white", "bare"}  # where nothing moves, no more is asked


@pytest.mark.parametrize("shows", [7, 8])
def test_as_few_images_as_say_nothing_are_not_freed_of_it(
    measurements: Make, folder: Path, shows: int
) -> None:
    table, laboratory = table_and_laboratory(measurements, folder, weight=12.0)
    present = table["dark_ring.present"]
    present &= np.cumsum(present) <= shows
    (trials,) = intervene([DarkRing()], table, laboratory, Silent(), 24).values()
    assert len(trials.of("remove")) == (8 if shows == 8 else 0)
    assert len(trials.of("elsewhere")) == (8 if shows == 8 else 0)


def test_every_answer_is_the_models_own_on_the_very_edit(measurements: Make, folder: Path) -> None:
    table, laboratory = table_and_laboratory(measurements, folder, weight=12.0)
    tried = intervene([DarkRing()], table, laboratory, Silent(), per_class=4)["dark_ring"]
    assert np.array_equal(np.unique(tried.rows[tried.of("add")]), tried.rows[tried.of("add")])
    model = Corners(12.0)
    preprocessing = resolve(None, image_size=SIDE, mean=(0.0,), std=(1.0,))
    dataset = open_dataset(folder)
    for i in tried.of("add"):
        image = np.asarray(Image.open(dataset.paths[tried.rows[i]]))
        with torch.no_grad():
            expected = model(preprocessing.apply(image)[None]).numpy()[0]
        assert tried.before[i] == pytest.approx(expected, abs=1e-4)
    again = intervene([DarkRing()], table, laboratory, Silent(), per_class=4)["dark_ring"]
    assert np.array_equal(again.after, tried.after)


@pytest.fixture(scope="module")
def ringless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image folder: 28 benign and 28 malignant images, none of them ringed."""
    root = tmp_path_factory.mktemp("ringless")
    rng = np.random.default_rng(1)
    for kind in ("benign", "malignant"):
        (root / kind).mkdir()
        for i in range(28):
            Image.fromarray(picture(rng, kind == "malignant", False)).save(root / kind / f"{i}.png")
    return root


@pytest.mark.parametrize(
    ("weight", "course", "placebos", "n"),
    [
        (0.0, Course(56, FIRST, Stop.EXCLUDED), 0, 50),
        (12.0, Course(56, FIRST, Stop.CLEAR), 50, 50),
    ],
)
def test_a_trial_ends_when_its_answer_is_known(
    measurements: Make, ringless: Path, weight: float, course: Course, placebos: int, n: int
) -> None:
    table, laboratory = table_and_laboratory(measurements, ringless, weight)
    trials = intervene([DarkRing()], table, laboratory, Silent(), per_class=28)
    tried = dataclasses.replace(table, trials=trials)
    of = trials["dark_ring"]
    assert of.course("add") == course
    assert (len(of.of("add")), len(of.of("texture"))) == (n, placebos)
    (found,) = settle([depend(tried, "dark_ring", DarkRing().phrases)])
    assert isinstance(found, Dependence) and found.add is not None
    assert found.reached is (course.stop is Stop.CLEAR)
    assert found.excluded is (course.stop is Stop.EXCLUDED)
    (said_of,) = courses_tried(tried)
    assert (said_of.n, said_of.planned, said_of.stop) == (n, 56, course.stop.value)
    # The first look's images are balanced, and come again whenever the run does.
    assert np.bincount(table.labels[of.rows[of.of("add")]]).tolist() == [25, 25]


def test_answers_come_back_as_they_were_kept(measurements: Make, ringless: Path) -> None:
    table, laboratory = table_and_laboratory(measurements, ringless, 0.0)
    (each,) = shown(DarkRing(), table, ())
    store = TrialStore(ringless.parent, "run")
    intervene([DarkRing()], table, laboratory, Silent(), 28, store)
    kept = store.read(each.key)
    assert kept is not None
    again = Answers.of(kept)
    assert again.courses == {"add": Course(56, FIRST, Stop.EXCLUDED)}
    assert len(again.trials().of("add")) == 50


class Broken(DarkRing):
    """An artifact of somebody's that cannot be put in."""

    id = "dark_ring"

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        raise RuntimeError("no paint")


def test_an_artifact_that_fails_is_left_out_and_named(measurements: Make, folder: Path) -> None:
    table, laboratory = table_and_laboratory(measurements, folder, weight=1.0)
    observer = Silent()
    assert intervene([Broken()], table, laboratory, observer, 20) == {}
    assert "no paint" in observer.notes[0]


def test_images_are_chosen_evenly_and_always_the_same() -> None:
    targets = np.repeat([0, 1, 2], [100, 30, 5])
    rows = np.ones(135, bool)
    picked = chosen(rows, targets, 20, seed=3)
    assert np.bincount(targets[picked]).tolist() == [20, 20, 5]
    assert np.array_equal(picked, chosen(rows, targets, 20, seed=3))
    assert not np.array_equal(picked, chosen(rows, targets, 20, seed=4))
    rows[:90] = False
    assert np.bincount(targets[chosen(rows, targets, 20, seed=3)]).tolist() == [10, 20, 5]


def test_as_many_are_edited_as_were_asked_for_and_fewer_of_each_of_many_classes() -> None:
    two, ten = np.repeat([0, 1], 200), np.repeat(np.arange(10), 200)
    rows = np.ones(400, bool)
    assert np.bincount(two[chosen(rows, two, 160, seed=0)]).tolist() == [160, 160]
    rows = np.ones(2000, bool)
    assert np.bincount(ten[chosen(rows, ten, 40, seed=0)]).tolist() == [16] * 10
    assert np.bincount(ten[chosen(rows, ten, 160, seed=0)]).tolist() == [32] * 10


def test_a_distance_is_one_for_pictures_like_the_natural_ones() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(200, 6)).astype(np.float32)
    natural = Responses(np.zeros((200, 2), np.float32), drawn, np.arange(200))
    alike = rng.normal(size=(100, 6)).astype(np.float32)
    nobody = np.full(100, -1)
    assert np.median(natural_distances(alike, nobody, natural)) == pytest.approx(1, abs=0.15)
    assert np.median(natural_distances(alike + 8, nobody, natural)) > 3
    own = natural_distances(natural.features, natural.rows, natural)
    assert np.median(own) == pytest.approx(1, abs=0.01)  # its own original does not count
    few = Responses(natural.logits[:5], natural.features[:5], natural.rows[:5])
    assert np.isnan(natural_distances(alike, nobody, few)).all()


def test_controls_alarm_as_rarely_as_they_should_and_find_what_is_planted(
    measurements: Make, folder: Path
) -> None:
    table, laboratory = table_and_laboratory(measurements, folder, weight=0.0)
    trials = intervene([DarkRing()], table, laboratory, Silent(), per_class=20)
    table = dataclasses.replace(table, trials=trials)
    found = {c.id: c for c in controls(table, {"dark_ring": table["dark_ring.present"]})}
    assert set(found) == {"shuffled_labels", "planted_evidence"}  # unusable maps: no null regions
    assert found["shuffled_labels"].passed
    assert (found["shuffled_labels"].value or 0) <= 0.2
    planted = found["planted_evidence"]
    assert planted.passed
    assert 0.1 <= (planted.value or 0) <= 0.6


def test_null_regions_do_not_alarm(measurements: Make) -> None:
    rng = np.random.default_rng(0)
    n = 120
    present = np.arange(n) < 40
    maps = rng.gamma(2, 1, (n, 32, 32))
    maps /= maps.sum((1, 2), keepdims=True)
    masks = np.where(rng.random((n, 32, 32)) < 0.2, 255, 0).astype(np.uint8)
    table = measurements(
        {
            "relevance.positive": maps.astype(np.float32),
            "hair.mask": masks,
            "hair.area": np.full(n, 0.2),
        },
        predictions=np.zeros(n, int),
    )
    (control,) = controls(table, {"hair": present})
    assert control.id == "null_regions"
    assert control.passed
    assert (control.value or 0) <= 0.15


def test_images_as_they_are_are_looked_at_once_and_whatever_was_asked_before(
    measurements: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, laboratory = table_and_laboratory(measurements, folder, weight=12.0)
    shown: list[int] = []
    look = Laboratory.look

    def counted(self: Laboratory, pictures: list[RGB]) -> Responses:
        shown.append(len(pictures))
        return look(self, pictures)

    monkeypatch.setattr(Laboratory, "look", counted)
    laboratory.meet([3, 1, 3, 4])
    assert shown == [1, 1, 1]
    for row in (1, 3, 4):
        ((_, picture),) = laboratory.pictures([row])
        alone = look(laboratory, [picture])
        np.testing.assert_array_equal(laboratory.known(row).logits, alone.logits)
        np.testing.assert_array_equal(laboratory.known(row).features, alone.features)
    laboratory.meet(range(12))
    assert shown == [1] * 12
    assert laboratory.recall(range(2, 40)).rows.tolist() == list(range(2, 12))


class Counted(DarkRing):
    """A finder of rings that counts how often it looks."""

    looked = 0

    def find(self, image: RGB) -> Found:
        """Look for a ring."""
        self.looked += 1
        return super().find(image)


def test_an_image_is_searched_once_for_what_is_taken_out_and_filled_elsewhere(
    measurements: Make, folder: Path
) -> None:
    _, laboratory = table_and_laboratory(measurements, folder, 40.0)
    first, second = Counted(), Counted()
    rows = np.arange(24, 34)
    partners = dict(zip(rows.tolist(), range(34, 44), strict=True))
    removed = list(taken_out(first, rows, laboratory))
    assert len(removed) == len(list(filled_elsewhere(first, rows, partners, laboratory))) == 10
    assert first.looked == 10
    again = list(taken_out(second, rows, laboratory))
    assert second.looked == 10, "another one may look otherwise"
    for one, other in zip(removed, again, strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)


def test_images_that_are_shown_together_have_one_batch_whoever_asks_for_any_of_them(
    measurements: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    look = Laboratory.look

    def counted(self: Laboratory, pictures: list[RGB]) -> Responses:
        shown.append(len(pictures))
        return look(self, pictures)

    monkeypatch.setattr(Laboratory, "look", counted)
    _, laboratory = table_and_laboratory(measurements, folder, weight=12.0)
    laboratory.show_together(np.arange(0, 40, 2))  # a batch of 8, and one of 12
    half = laboratory.of(np.arange(48) < 24)
    laboratory.meet([2, 1, 4, 20])
    assert shown == [8, 1, 12]
    assert laboratory.recall(range(48)).rows.tolist() == sorted([1, *range(0, 40, 2)])
    # Of a part of the images, a batch is the same, though some of it are no images of the part.
    late = half.of(np.arange(24) >= 12)
    late.meet([8])  # image 20
    assert shown == [8, 1, 12, 12]
    late.meet([2])  # image 14, of the first batch
    assert shown == [8, 1, 12, 12, 8]
    for row, image in ((8, 20), (2, 14)):
        np.testing.assert_array_equal(late.known(row).logits, laboratory.known(image).logits)


class Unasked(DarkRing):
    """A ring that must not be put in again."""

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        raise AssertionError("these edits were made before")


def test_a_run_that_was_cut_short_does_no_edit_twice(
    measurements: Make, folder: Path, tmp_path: Path
) -> None:
    table, laboratory = table_and_laboratory(measurements, folder, weight=12.0)
    store = TrialStore(tmp_path, "run")
    (first,) = intervene([DarkRing()], table, laboratory, Silent(), 20, store).values()

    observer = Silent()
    _, fresh = table_and_laboratory(measurements, folder, weight=12.0)
    (again,) = intervene([Unasked()], table, fresh, observer, 20, store).values()
    assert observer.notes == []
    assert again.edits == first.edits
    for name in ("edit", "rows", "dose", "before", "after", "distance"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert np.isfinite(first.distance).any()

    _, fresh = table_and_laboratory(measurements, folder, weight=12.0)
    intervene([Unasked()], table, fresh, observer, 20, TrialStore(tmp_path, "another run"))
    assert "made before" in observer.notes[0], "another run's edits are not this one's"


class Blueness(nn.Module):
    """Says malignant when the middle is dark, or when the picture is more blue than red."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 2, 1, bias=False)
        with torch.no_grad():
            self.mix.weight.copy_(torch.tensor([[1 / 3] * 3, [-1.0, 0.0, 1.0]])[..., None, None])

    def forward(self, x: Tensor) -> Tensor:
        grey, blue = self.mix(x).unbind(1)
        dark = grey[:, 16:32, 16:32].mean((1, 2)) - 0.55
        margin = -8 * dark + 30 * (blue.mean((1, 2)) + 0.12).clamp(min=0)
        return torch.stack([torch.zeros_like(margin), margin], 1)


def test_a_kind_that_few_images_show_is_put_in_as_well(measurements: Make, tmp_path: Path) -> None:
    """Pinkish skin goes with benign and is the commonest cast; what acts is the bluish one."""
    rng, cast = np.random.default_rng(0), ColourCast()
    for label, kind, casts in (("benign", 0, 16), ("malignant", 3, 8)):
        (tmp_path / label).mkdir()
        for i in range(24):
            image = picture(rng, label == "malignant", ringed=False)
            for _ in range(2 * (i < casts)):
                image = cast.kinds[kind].add(image, rng).image
            Image.fromarray(image).save(tmp_path / label / f"{i:02}.png")
    dataset = open_dataset(tmp_path)
    images = [np.asarray(Image.open(path)) for path in dataset.paths]
    found = [cast.find(image) for image in images]
    present = np.array([seen.present for seen in found])
    kinds = [cast.kind_of(i, f) if f.present else -1 for i, f in zip(images, found, strict=True)]
    preprocessing = resolve(None, image_size=SIDE, mean=(0.0,), std=(1.0,))
    model = Blueness()
    with torch.no_grad():
        logits = model(torch.stack([preprocessing.apply(image) for image in images])).numpy()
    columns = {"present": present, "score": present * 0.9, "kind": np.array(kinds)}
    table = measurements(
        {f"colour_cast.{name}": column for name, column in columns.items()},
        labels=dataset.labels,
        predictions=logits.argmax(1),
        logits=logits,
        explanations=Trust.UNUSABLE,
    )
    explainer = Explainer(model, num_classes=2)
    viewer = Viewer(explainer, preprocessing, torch.device("cpu"), "mix", 8)
    laboratory = Laboratory(viewer, dataset, dataset.ids)
    trials = intervene([cast], table, laboratory, Silent(), per_class=16)
    assert set(trials) == {"colour_cast.pinkish", "colour_cast.bluish"}
    tried = dataclasses.replace(table, trials=trials)
    results = said(ArtifactDetector(cast).conclude(tried))
    (bluish,) = [r for r in results if getattr(r, "id", "") == "colour_cast.bluish"]
    assert isinstance(bluish, Finding) and bluish.rung is Rung.HARM
    assert bluish.title.startswith("The model decides by bluish colour casts")
    others = [r for r in results if getattr(r, "id", "") == "colour_cast.pinkish"]
    assert not any(r.rung in (Rung.DEPENDENCE, Rung.HARM) for r in others if isinstance(r, Finding))
    edits, _ = edit_exhibits([bluish], [ArtifactDetector(cast)], tried, laboratory)
    assert "bluish" in edits[0].versions[1].title
