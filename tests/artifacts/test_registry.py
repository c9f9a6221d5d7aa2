"""Which artifacts there are, and what happens to those of others."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pkgutil import iter_modules
from typing import Any

import pytest

from melaudit.artifacts import kinds, registry
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.errors import ArtifactError, MelauditError


class Sticker(DarkRing):
    """A user's own artifact."""

    id = "sticker"


class Nameless(Sticker):
    """Its title is no text."""

    title = 5  # type: ignore[assignment]


class Astray(Sticker):
    """Its id would be a path."""

    id = "../sticker"


class Broken:
    """Lacks nearly everything."""

    id = "broken"


def _registered(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group)] if group == "melaudit.artifacts" else []

    monkeypatch.setattr(registry, "entry_points", entry_points)
    monkeypatch.setattr(EntryPoint, "load", _load)


def _load(entry: EntryPoint) -> Any:
    made = {each.__name__: each for each in (Sticker, Broken, Nameless, Astray)}
    return {**made, "Ring": DarkRing}[entry.value]


def test_ours_have_ids_of_their_own() -> None:
    ids = [artifact.id for artifact in registry.artifacts()]
    assert len(ids) == len(set(ids))
    assert {"dark_ring", "vignette", "ink", "colour_patch", "text", "white_frame"} <= set(ids)


def test_every_file_of_kinds_is_one_artifact_of_that_name_and_no_artifact_is_elsewhere() -> None:
    files = [module.name for module in iter_modules(kinds.__path__)]
    assert sorted(artifact.id for artifact in registry.OURS) == files
    for artifact in registry.OURS:
        assert type(artifact).__module__ == f"melaudit.artifacts.kinds.{artifact.id}"


def test_aliases_lead_to_artifacts_and_are_spelled_as_columns_are_compared() -> None:
    ids = {artifact.id for artifact in registry.artifacts()}
    for alias, artifact in registry.aliases().items():
        assert artifact in ids
        assert alias.isalnum() and alias == alias.casefold()


def test_a_registered_artifact_comes_after_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    _registered(monkeypatch, "sticker", "Sticker")
    assert [artifact.id for artifact in registry.artifacts()][-1] == "sticker"
    assert len(registry.artifacts()) == len(registry.OURS) + 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Missing", "cannot be loaded"),
        ("Broken", r"lacks \['title', 'phrases'"),
        ("Nameless", "has the title 5, which is not"),
        ("Astray", "has the id '../sticker', which is not"),
        ("Ring", "two artifacts have the id 'dark_ring'"),
    ],
)
def test_what_breaks_the_contract_is_an_error_in_words(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    _registered(monkeypatch, "mine", value)
    with pytest.raises(ArtifactError, match=message) as error:
        registry.artifacts()
    assert isinstance(error.value, MelauditError)
