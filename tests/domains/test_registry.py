"""The list of domains: ours and those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from melaudit.artifacts.kinds.hair import Hair
from melaudit.artifacts.registry import OURS as ARTIFACTS
from melaudit.domains import Domain, domain, domains, dressed, registry
from melaudit.errors import ConfigurationError, DomainError
from melaudit.findings import Words

RETINA = Domain("retina", "retinal photographs", Words(object="retina"), ())


def register(monkeypatch: pytest.MonkeyPatch, thing: Any) -> None:
    class Entry(EntryPoint):
        def load(self) -> Any:
            if isinstance(thing, Exception):
                raise thing
            return thing

    entry = Entry("retina", "eye:RETINA", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])


def test_every_artifact_comes_up_in_some_domain() -> None:
    assert {a.id for d in domains() for a in d.artifacts} == {a.id for a in ARTIFACTS}


@pytest.mark.parametrize("of", domains(), ids=lambda d: d.id)
def test_a_domain_names_itself_and_its_artifacts_once(of: Domain) -> None:
    ids = [artifact.id for artifact in of.artifacts]
    assert len(set(ids)) == len(ids) > 0
    assert of.id.isidentifier() and of.title
    assert all(vars(of.words).values())
    assert all(fact.endswith(").") for fact in of.facts), "each names its source"
    assert (of.recognises is None) == (not of.looks)


def test_skin_is_in_the_pictures_of_dermoscopy_alone() -> None:
    assert [of.id for of in domains() if of.shows_skin] == ["dermoscopy"]


def test_a_package_adds_a_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, lambda: RETINA)
    assert domain("retina") is RETINA
    register(monkeypatch, RETINA)
    assert domains()[-1] is RETINA


@pytest.mark.parametrize(
    "thing, said",
    [
        (ImportError("no eye"), "no eye; fix or uninstall"),
        (lambda: 3, "is of type int; expected a melaudit.domains.Domain"),
        (domain("photo"), "two domains have the id 'photo'"),
    ],
    ids=["unloadable", "another type", "a second one"],
)
def test_a_faulty_domain_is_named(monkeypatch: pytest.MonkeyPatch, thing: Any, said: str) -> None:
    register(monkeypatch, thing)
    with pytest.raises(DomainError, match=said):
        domains()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'radiograph'"):
        domain("radiographs")
    with pytest.raises(ConfigurationError, match="there is: auto, dermoscopy, radiograph, photo"):
        domain("x")


def test_an_artifact_in_other_words_is_another_one() -> None:
    own = dressed(Hair(), title="Fibres")
    assert (own.title, Hair().title) == ("Fibres", "Hairs over the skin")
    assert own.find.__func__ is Hair.find  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="no 'colour'"):
        dressed(Hair(), colour="x")
