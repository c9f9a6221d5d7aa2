"""Settings: one field says name, type, default, bounds and help; values are read by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from melaudit.audit.prepare.configuration import Configuration
from melaudit.choices import Sharing
from melaudit.errors import ConfigurationError
from melaudit.settings import Topic, about, settings_of
from melaudit.wording.names import as_option


@dataclass(frozen=True)
class Some:
    place: Path = field(metadata=about(Topic.RUN, "A place."))
    count: int | None = field(default=None, metadata=about(Topic.RUN, "A count.", least=2))
    share: float = field(default=0.5, metadata=about(Topic.RUN, "A share.", least=0, most=1))
    sharing: Sharing = field(default=Sharing.FULL, metadata=about(Topic.RUN, "What is shown."))
    mean: tuple[float, ...] | None = field(default=None, metadata=about(Topic.RUN, "Numbers."))
    tables: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict, metadata=about(Topic.RUN, "Tables.")
    )
    plain: int = 0
    """No setting."""


KNOWN = settings_of(Some)


def test_every_field_with_a_description_is_a_setting() -> None:
    assert list(KNOWN) == ["place", "count", "share", "sharing", "mean", "tables"]
    assert KNOWN["count"].type is int and KNOWN["count"].default is None
    assert KNOWN["tables"].default == {}


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("place", "a/b", Path("a/b")),
        ("count", 3, 3),
        ("count", None, None),
        ("share", "0.25", 0.25),
        ("share", 1, 1.0),
        ("sharing", "blur", Sharing.BLUR),
        ("mean", ".5, .25", (0.5, 0.25)),
        ("mean", [1, 2], (1.0, 2.0)),
        ("tables", {"mine": {"limit": 3}}, {"mine": {"limit": 3}}),
    ],
)
def test_values_are_brought_to_the_type_of_the_field(name: str, value: Any, read: Any) -> None:
    found = KNOWN[name].read(value)
    assert found == read and type(found) is type(read)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("count", 1, "file: count is 1; it must be at least 2"),
        ("count", "3", "file: count is '3'; expected int"),
        ("count", True, "file: count is True; expected int"),
        ("share", 1.5, "file: share is 1.5; it must be 0 to 1"),
        ("share", float("nan"), "file: share is nan; it must be 0 to 1"),
        ("share", "much", "file: share is 'much'; expected float"),
        ("sharing", "some", "file: sharing is 'some'; expected one of full, blur, no-images"),
        ("mean", ".5,x", "file: mean is 'x'; expected float"),
        ("mean", 3, "file: mean is 3; expected a list"),
        ("tables", {"mine": 3}, "file: tables.mine is 3; expected a table"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(name: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        KNOWN[name].read(value, "file")
    assert str(error.value) == said


@pytest.mark.parametrize("text", ["\n::error::x", "a\rb", "a, " + "b" * 200_000])
def test_a_list_that_is_no_row_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected items on one line") as error:
        settings_of(Configuration)["classes"].read(text, "file")
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 200


def test_an_item_of_a_list_may_hold_a_comma_in_quotation_marks() -> None:
    names = settings_of(Configuration)["classes"].read('benign, "Melanoma, NOS" ,nevus')
    assert names == ("benign", "Melanoma, NOS", "nevus")
    assert settings_of(Configuration)["classes"].read(as_option(names).strip("'")) == names
