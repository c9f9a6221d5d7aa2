"""The policy of a gate: what a team accepts of a model, written down in TOML.

    fail_on = "high"                 # findings of this severity or a higher one fail
    rung = "dependence"              # so do those that reached this rung, whatever their severity
    findings = ["dark_ring*"]        # and these in any case

    [coverage]
    max_skipped = 0.01               # share of the images that may be unusable
    min_images = 500
    detectors = ["dark_ring"]        # must have run
    maps = "trusted"                 # or "degraded": how far the maps must be trusted

    [pass]                           # what a pass may lack, by your own decision
    untested = ["hair"]              # artifacts, by id or pattern, on which dependence is open
    min_images = 50                  # fewer images than the 100 that a pass needs
    failed_controls = ["planted_evidence"]
    unchecked_maps = true            # too few checks of the maps could be made
    limits = ["specificity"]         # limits of the intended use that too few images tell

    [performance]                    # the lower end of the 95 % interval must reach these
    accuracy = 0.85
    auc = 0.9                        # has no interval: the figure itself must
    recall = { malignant = 0.9 }

    [[waiver]]
    finding = "dark_ring.malignant"  # an id, or a pattern like dark_ring*
    owner = "A. Author"
    reason = "retraining is under way; the model is not in use"
    expires = 2027-01-31             # from this day on the waiver fails the gate

Every table and key may be left out; without `fail_on`, `rung` and `findings` the gate fails on
findings from high on.

A pass says that no dependence that matters is there. By itself it needs 100 images and, for every
artifact, edits that exclude a change of 10 of 100 decisions (an equivalence test at level .025: the
95 % intervals of what putting it in does, and taking it out where 36 images or more show it, lie
within 10 of 100), or that show what the model does with it. It also needs the planted control to
be found, and half of the checks of the maps to be made. Else the verdict is inconclusive and names
what is open; `[pass]` accepts such points one by one, in writing.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from melaudit.errors import ConfigurationError
from melaudit.findings import Missing, Rung, Severity, Shortfall, Trust
from melaudit.regular_file import read_regular

E = TypeVar("E", bound=StrEnum)

_MAX_BYTES = 4 * 2**20
"""Chosen: a round figure, not measured."""


def matches(finding: str, pattern: str) -> bool:
    """Tell whether a finding's id is the one meant, or follows a pattern like dark_ring*."""
    return finding == pattern or fnmatchcase(finding, pattern)


@dataclass(frozen=True)
class Waiver:
    """A finding that somebody accepts, for a reason and for a time."""

    finding: str
    """A finding's id, or a pattern."""
    owner: str
    reason: str
    expires: datetime.date
    """The first day on which it no longer holds."""

    def covers(self, finding: str) -> bool:
        """Tell whether a finding of this id is meant."""
        return matches(finding, self.finding)

    def expired(self, today: datetime.date) -> bool:
        """Tell whether its time is over."""
        return today >= self.expires


@dataclass(frozen=True)
class Coverage:
    """What an audit must have seen to be worth judging."""

    max_skipped: float | None = None
    min_images: int | None = None
    detectors: tuple[str, ...] = ()
    maps: Trust | None = None
    """The least trust in the maps that is enough; None asks nothing."""


@dataclass(frozen=True)
class PassTerms:
    """What a pass may lack, as a team decided in writing; by default nothing."""

    untested: tuple[str, ...] = ()
    """Artifacts, by id or pattern, on which dependence may be untested or undecided."""
    min_images: int | None = None
    """Images that are enough for a pass; None leaves it to the audit."""
    failed_controls: tuple[str, ...] = ()
    """Controls, by id or pattern, that may have failed."""
    limits: tuple[str, ...] = ()
    """Measures, by name or pattern, whose limit of the intended use may stay undecided."""
    unchecked_maps: bool = False
    """Whether too few checks of the maps may have been made."""

    def accept(self, lack: Shortfall, images: int) -> bool:
        """Tell whether an audit of so many images may pass with this shortfall."""
        match lack.missing:
            case Missing.EVIDENCE:
                return False
            case Missing.IMAGES:
                return self.min_images is not None and images >= self.min_images
            case Missing.MAPS:
                return self.unchecked_maps
            case Missing.CONTROL:
                return any(matches(lack.subject, pattern) for pattern in self.failed_controls)
            case Missing.LIMIT:
                return any(matches(lack.subject, pattern) for pattern in self.limits)
            case Missing.UNTESTED | Missing.UNDECIDED:
                return any(matches(lack.subject, pattern) for pattern in self.untested)


@dataclass(frozen=True)
class Required:
    """The performance that a model must show, each 0 to 1."""

    accuracy: float | None = None
    auc: float | None = None
    recall: Mapping[str, float] = field(default_factory=dict)
    """Class name -> recall."""


@dataclass(frozen=True)
class Policy:
    """What a gate asks of an audit."""

    fail_on: Severity | None = None
    rung: Rung | None = None
    findings: tuple[str, ...] = ()
    """Ids or patterns."""
    coverage: Coverage = field(default_factory=Coverage)
    passing: PassTerms = field(default_factory=PassTerms)
    """The table `[pass]`."""
    performance: Required = field(default_factory=Required)
    waivers: tuple[Waiver, ...] = ()


DEFAULT = Policy(fail_on=Severity.HIGH)


def read_policy(path: Path) -> Policy:
    """Read a policy from a TOML file.

    Raises ConfigurationError for a missing file, broken TOML, an unknown key or a wrong value.
    """
    try:
        table = tomllib.loads(read_regular(path, _MAX_BYTES).decode("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"the policy {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the policy {path} is not valid TOML: {error}") from error
    return parse_policy(table, str(path))


def parse_policy(table: Mapping[str, Any], where: str) -> Policy:
    """Build a policy from a TOML table.

    Raises ConfigurationError, naming `where`, for an unknown key or a wrong value.
    """
    known = {"fail_on", "rung", "findings", "coverage", "pass", "performance", "waiver"}
    _known(table, known, where)
    fail_on, rung = table.get("fail_on"), table.get("rung")
    patterns = _names(table.get("findings", []), f"{where}: findings")
    if fail_on is None and rung is None and not patterns:
        fail_on = Severity.HIGH
    return Policy(
        fail_on=None if fail_on is None else _one_of(Severity, fail_on, f"{where}: fail_on"),
        rung=None if rung is None else _one_of(Rung, rung, f"{where}: rung"),
        findings=patterns,
        coverage=_coverage(_table(table.get("coverage", {}), f"{where}: coverage"), where),
        passing=_passing(_table(table.get("pass", {}), f"{where}: pass"), where),
        performance=_required(_table(table.get("performance", {}), f"{where}: performance"), where),
        waivers=_waivers(table.get("waiver", []), where),
    )


def _coverage(table: Mapping[str, Any], where: str) -> Coverage:
    where = f"{where}: coverage"
    _known(table, {f.name for f in dataclasses.fields(Coverage)}, where)
    maps = table.get("maps")
    return Coverage(
        max_skipped=_share(table.get("max_skipped"), f"{where}.max_skipped"),
        min_images=_images(table.get("min_images"), f"{where}.min_images"),
        detectors=_names(table.get("detectors", []), f"{where}.detectors"),
        maps=None if maps is None else _one_of(Trust, maps, f"{where}.maps"),
    )


def _passing(table: Mapping[str, Any], where: str) -> PassTerms:
    where = f"{where}: pass"
    _known(table, {f.name for f in dataclasses.fields(PassTerms)}, where)
    unchecked = table.get("unchecked_maps", False)
    if not isinstance(unchecked, bool):
        raise ConfigurationError(f"{where}.unchecked_maps is {unchecked!r}; expected true or false")
    return PassTerms(
        untested=_names(table.get("untested", []), f"{where}.untested"),
        min_images=_images(table.get("min_images"), f"{where}.min_images"),
        failed_controls=_names(table.get("failed_controls", []), f"{where}.failed_controls"),
        limits=_names(table.get("limits", []), f"{where}.limits"),
        unchecked_maps=unchecked,
    )


def _images(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{where} is {value!r}; expected a number of images")
    return value


def _required(table: Mapping[str, Any], where: str) -> Required:
    where = f"{where}: performance"
    _known(table, {f.name for f in dataclasses.fields(Required)}, where)
    recall: dict[str, float] = {}
    for name, value in _table(table.get("recall", {}), f"{where}.recall").items():
        share = _share(value, f"{where}.recall.{name}")
        assert share is not None
        recall[name] = share
    return Required(
        accuracy=_share(table.get("accuracy"), f"{where}.accuracy"),
        auc=_share(table.get("auc"), f"{where}.auc"),
        recall=recall,
    )


def _waivers(tables: Any, where: str) -> tuple[Waiver, ...]:
    if not isinstance(tables, list):
        raise ConfigurationError(f"{where}: waiver is no list; write [[waiver]] with two brackets")
    return tuple(_waiver(_table(t, f"{where}: waiver"), where) for t in tables)


def _waiver(table: Mapping[str, Any], where: str) -> Waiver:
    names = {f.name for f in dataclasses.fields(Waiver)}
    _known(table, names, f"{where}: waiver")
    missing = sorted(name for name in names if table.get(name) in (None, ""))
    if missing:
        raise ConfigurationError(
            f"{where}: a waiver of {table.get('finding', 'no finding')!r} lacks "
            f"{', '.join(missing)}; every waiver names finding, owner, reason and expires"
        )
    expires = table["expires"]
    if isinstance(expires, str):
        try:
            expires = datetime.date.fromisoformat(expires)
        except ValueError:
            expires = None
    if isinstance(expires, datetime.datetime):
        expires = expires.date()
    if not isinstance(expires, datetime.date):
        raise ConfigurationError(
            f"{where}: expires of the waiver of {table['finding']!r} is {table['expires']!r}; "
            "expected a date like 2027-01-31"
        )
    finding, owner, reason = _names(
        [table["finding"], table["owner"], table["reason"]], f"{where}: waiver"
    )
    return Waiver(finding, owner, reason, expires)


def _known(table: Mapping[str, Any], names: Collection[str], where: str) -> None:
    for name in table:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(names))}"
            raise ConfigurationError(f"{where}: unknown key {name!r}; {hint}")


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} is {value!r}; expected a table")
    return value


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ConfigurationError(f"{where} is {value!r}; expected a list of texts")
    return tuple(value)


def _share(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigurationError(f"{where} is {value!r}; expected a share, 0 to 1")
    return float(value)


def _one_of(kind: type[E], value: Any, where: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(
            f"{where} is {value!r}; expected one of {', '.join(kind)}"
        ) from None
