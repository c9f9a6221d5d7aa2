"""Which detectors a run has, and what settings reach them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.detectors import registry
from melaudit.detectors.checks.randomisation import Randomisation
from melaudit.detectors.interface import Batch, Result
from melaudit.detectors.near_duplicates import NearDuplicates
from melaudit.detectors.settings import DetectorSettings
from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.errors import ConfigurationError, DetectorError
from melaudit.findings import Subject
from melaudit.measurements import Array, Measurements


class Watermark:
    """Another package's detector."""

    id, title = "watermark", "Watermarks"

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        return {}

    def conclude(self, measurements: Measurements) -> list[Result]:
        return []


class Tuned(Watermark):
    """One that takes settings."""

    def __init__(self, settings: DetectorSettings) -> None:
        self.limit = settings.table("mark").get("limit", 1)
        if self.limit < 0:
            raise ValueError("limit is below 0")


class Optional(Watermark):
    """One with parameters of its own, which have defaults."""

    def __init__(self, limit: int = 7) -> None:
        self.limit = limit


class Unfit:
    id = "unfit"


class Check(Watermark):
    """One that asks about the maps."""

    id, subject, asks, why = "check", "explanations", "Is it so?", "Because."


class Odd(Watermark):
    subject = "weather"


class Sticker(DarkRing):
    id = "sticker"


class Stickers(Watermark):
    """One with an artifact."""

    id, artifact = "sticker", Sticker()


class Confused(Watermark):
    artifact = Sticker()


PLUG_INS = {
    "plain": Watermark,
    "class": Tuned,
    "function": lambda settings: Tuned(settings),
    "optional": Optional,
    "unfit": Unfit,
    "check": Check,
    "odd": Odd,
    "sticker": Stickers,
    "confused": Confused,
    "ours": NearDuplicates,
}


def test_named_detectors_are_left_out_and_all_of_artifacts_by_one_word() -> None:
    every = [d.id for d in registry.detectors(domain=DERMOSCOPY)]
    some = registry.detectors(DetectorSettings(without=("ruler", "drift")), DERMOSCOPY)
    assert [d.id for d in some] == [each for each in every if each not in ("ruler", "drift")]
    none = registry.detectors(DetectorSettings(without=("artifacts",)), DERMOSCOPY)
    assert all(d.artifact is None for d in none)
    assert "labelled_artifacts" in [d.id for d in none]
    # What another domain looks for is left out already.
    registry.detectors(DetectorSettings(without=("tube",)), DERMOSCOPY)


def test_what_cannot_be_left_out_is_an_error_that_says_so() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'ruler'"):
        registry.detectors(DetectorSettings(without=("rulers",)), DERMOSCOPY)
    with pytest.raises(ConfigurationError, match="conservation checks the maps"):
        registry.detectors(DetectorSettings(without=("conservation",)), DERMOSCOPY)


@pytest.fixture(autouse=True)
def entry_points(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return name -> value of the plug-ins that are registered; none at first."""
    registered: dict[str, str] = {}

    def found(group: str) -> list[EntryPoint]:
        assert group == "melaudit.detectors"
        return [EntryPoint(name, value, group) for name, value in registered.items()]

    def load(entry: EntryPoint) -> Any:
        return PLUG_INS[entry.value]

    monkeypatch.setattr(registry, "entry_points", found)
    monkeypatch.setattr(EntryPoint, "load", load)
    return registered


def settings(**tables: Mapping[str, Any]) -> DetectorSettings:
    return DetectorSettings(detectors=tables)


def test_ours_have_ids_of_their_own_and_take_the_settings_of_the_run() -> None:
    found = registry.detectors(DetectorSettings(duplicate_correlation=0.8, randomisation_copies=4))
    assert Randomisation(copies=4) in found and Randomisation() in registry.detectors()
    assert len({detector.id for detector in found}) == len(found)
    (copies,) = [d for d in found if isinstance(d, NearDuplicates)]
    assert copies.correlation == 0.8
    (usual,) = [d for d in registry.detectors() if isinstance(d, NearDuplicates)]
    assert usual == NearDuplicates() == NearDuplicates(DetectorSettings().duplicate_correlation)


@pytest.mark.parametrize("value", ["class", "function"])
def test_a_registered_detector_comes_last_and_gets_its_table(
    entry_points: dict[str, str], value: str
) -> None:
    entry_points["mark"] = value
    last: Any = registry.detectors(settings(mark={"limit": 3}))[-1]
    assert (last.id, last.detector.limit) == ("watermark", 3)
    without: Any = registry.detectors()[-1]
    assert without.detector.limit == 1


def test_what_a_registered_detector_does_not_say_has_defaults(entry_points: dict[str, str]) -> None:
    entry_points |= {"a": "plain", "b": "check", "c": "sticker"}
    plain, check, sticker = registry.detectors()[-3:]
    assert (plain.subject, plain.artifact, plain.asks) == (Subject.MODEL, None, "")
    assert (check.subject, check.asks, check.why) == (Subject.EXPLANATIONS, "Is it so?", "Because.")
    assert sticker.subject is Subject.ARTIFACT and isinstance(sticker.artifact, Sticker)


def test_each_of_ours_says_what_it_is_about() -> None:
    for detector in registry.detectors():
        check = detector.subject is Subject.EXPLANATIONS
        assert check == bool(detector.asks) == bool(detector.why)
        assert detector.artifact is None or detector.subject is Subject.ARTIFACT


def test_one_that_takes_no_settings_is_called_with_nothing(entry_points: dict[str, str]) -> None:
    entry_points |= {"mark": "optional"}
    last: Any = registry.detectors()[-1]
    assert last.detector.limit == 7
    with pytest.raises(ConfigurationError, match=r"\[detectors\.mark\].*takes none; remove"):
        registry.detectors(settings(mark={"limit": 3}))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("marc", "did you mean 'mark'"),
        ("else", "registered: mark"),
        ("near_duplicates", "melaudit run --help"),
        ("dark_ring", "melaudit run --help"),
    ],
)
def test_settings_that_would_reach_nobody_are_an_error_that_says_what_to_do(
    entry_points: dict[str, str], name: str, said: str
) -> None:
    entry_points["mark"] = "class"
    with pytest.raises(ConfigurationError, match=rf"\[detectors\.{name}\].*remove the table") as e:
        registry.detectors(settings(**{name: {"limit": 3}}))
    assert said in str(e.value)


@pytest.mark.parametrize(
    ("value", "table", "said"),
    [
        ("class", {"limit": -1}, r"limit is below 0; correct its settings, \[detectors\.mark\]"),
        ("missing", {}, "cannot be loaded"),
        ("unfit", {}, r"lacks \['title', 'measure', 'conclude'\]"),
        ("odd", {}, "subject 'weather'; choose one of artifact, explanations, model"),
        ("confused", {}, "id 'watermark' and its artifact 'sticker'; give them one id"),
        ("ours", {}, "two detectors have the id 'near_duplicates'"),
    ],
)
def test_one_that_cannot_be_used_is_an_error_in_words(
    entry_points: dict[str, str], value: str, table: Mapping[str, Any], said: str
) -> None:
    entry_points["mark"] = value
    with pytest.raises(DetectorError, match=said):
        registry.detectors(settings(mark=table) if table else None)
