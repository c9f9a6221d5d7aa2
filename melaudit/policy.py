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

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from melaudit.errors import ConfigurationError
from melaudit.findings import Missing, Rung, Severity, Shortfall, Trust
from melaudit.regular_file import read_regular
from melaudit.tables import Images, Share, Text, key, read_table

_MAX_BYTES = 4 * 2**20
"""Chosen: a round figure, not measured."""


def matches(finding: str, pattern: str) -> bool:
    """Tell whether a finding's id is the one meant, or follows a pattern like dark_ring*."""
    return finding == pattern or fnmatchcase(finding, pattern)


@dataclass(frozen=True)
class Waiver:
    """A finding that somebody accepts, for a reason and for a time."""

    finding: Text
    """A finding's id, or a pattern."""
    owner: Text
    reason: Text
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

    max_skipped: Share | None = None
    min_images: Images | None = None
    detectors: tuple[str, ...] = ()
    maps: Trust | None = None
    """The least trust in the maps that is enough; None asks nothing."""


@dataclass(frozen=True)
class PassTerms:
    """What a pass may lack, as a team decided in writing; by default nothing."""

    untested: tuple[str, ...] = ()
    """Artifacts, by id or pattern, on which dependence may be untested or undecided."""
    min_images: Images | None = None
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

    accuracy: Share | None = None
    auc: Share | None = None
    recall: Mapping[str, Share] = field(default_factory=dict)
    """Class name -> recall."""


@dataclass(frozen=True)
class Policy:
    """What a gate asks of an audit."""

    fail_on: Severity | None = None
    rung: Rung | None = None
    findings: tuple[str, ...] = ()
    """Ids or patterns."""
    coverage: Coverage = field(default_factory=Coverage)
    passing: PassTerms = field(default_factory=PassTerms, metadata=key("pass"))
    performance: Required = field(default_factory=Required)
    waivers: tuple[Waiver, ...] = field(default=(), metadata=key("waiver"))


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
    if not {"fail_on", "rung", "findings"} & set(table):
        table = {**table, "fail_on": Severity.HIGH}
    return read_table(table, Policy, where)
