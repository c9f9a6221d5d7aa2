"""A policy in TOML: what is meant is read, what is not is refused with what to write instead."""

import datetime
import re
import tomllib
from pathlib import Path

import pytest

from melaudit import policy
from melaudit.errors import ConfigurationError
from melaudit.findings import Rung, Severity, Trust
from melaudit.policy import DEFAULT, PassTerms, Waiver, parse_policy, read_policy

EXAMPLE = "\n".join(
    line[4:] for line in (policy.__doc__ or "").splitlines() if line.startswith("    ")
)


def parsed(text: str) -> policy.Policy:
    return parse_policy(tomllib.loads(text), "policy.toml")


def test_the_example_of_the_documentation_is_a_policy() -> None:
    read = parsed(EXAMPLE)
    assert (read.fail_on, read.rung) == (Severity.HIGH, Rung.DEPENDENCE)
    assert read.coverage.maps is Trust.TRUSTED and read.coverage.min_images == 500
    assert read.performance.recall == {"malignant": 0.9}
    assert read.passing == PassTerms(
        ("hair",), 50, ("planted_evidence",), ("specificity",), unchecked_maps=True
    )
    assert read.waivers == (
        Waiver(
            "dark_ring.malignant",
            "A. Author",
            "retraining is under way; the model is not in use",
            datetime.date(2027, 1, 31),
        ),
    )


def test_an_empty_policy_fails_from_high_on() -> None:
    assert parsed("") == DEFAULT
    assert parsed("[coverage]\nmin_images = 5").fail_on is Severity.HIGH


def test_a_policy_about_rungs_alone_leaves_severities_alone() -> None:
    assert parsed('rung = "dependence"').fail_on is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('fail_onn = "high"', "unknown key 'fail_onn'; did you mean 'fail_on'"),
        ('fail_on = "terrible"', "expected one of info, low"),
        ("fail_on = [1]", "expected one of info, low"),
        ('rung = "looks"', "expected one of opportunity"),
        ('findings = "dark_ring"', "expected a list of texts"),
        ("coverage = 3", "expected a table"),
        ("[coverage]\nmax_skipped = 5", "expected a share, 0 to 1"),
        ("[coverage]\nmin_images = true", "expected a number of images"),
        ("[coverage]\nmaps = 1", "expected one of trusted"),
        ("[pass]\nuntested = 'hair'", "expected a list of texts"),
        ("[pass]\nmin_images = 0", "pass.min_images is 0; expected a number of images"),
        ("[pass]\nunchecked_maps = 1", "expected true or false"),
        ("[pass]\nunteste = []", "did you mean 'untested'"),
        ("[performance]\naccuracy = '0.9'", "expected a share"),
        ("[performance.recall]\nmalignant = 2", "recall.malignant is 2"),
        ('[waiver]\nfinding = "x"', "[[waiver]] with two brackets"),
        ('[[waiver]]\nfinding = "x"\nowner = "y"', "waiver 1 lacks expires, reason"),
        ("[[waiver]]\nowners = 'y'", "waiver 1: unknown key 'owners'; did you mean 'owner'"),
        ("[coverage]\nmax_skipped = true", "coverage.max_skipped is True; expected a share"),
        ("[performance]\nauc = nan", "performance.auc is nan; expected a share"),
        (
            '[[waiver]]\nfinding = "x"\nowner = "y"\nreason = "z"\nexpires = "soon"',
            "expected a date like",
        ),
        (
            '[[waiver]]\nfinding = 3\nowner = "y"\nreason = "z"\nexpires = 2027-01-01',
            "waiver 1.finding is 3; expected a text",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        parsed(text)


def test_a_file_that_is_missing_or_broken_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_policy(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("fail_on = ")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        read_policy(tmp_path / "broken.toml")


def test_a_waiver_holds_until_the_day_it_expires() -> None:
    waiver = Waiver("dark_ring*", "o", "r", datetime.date(2027, 1, 31))
    assert not waiver.expired(datetime.date(2027, 1, 30))
    assert waiver.expired(datetime.date(2027, 1, 31))


def test_a_pattern_covers_and_an_odd_id_covers_itself() -> None:
    def covers(pattern: str, identity: str) -> bool:
        return Waiver(pattern, "o", "r", datetime.date.max).covers(identity)

    assert covers("dark_ring*", "dark_ring.malignant")
    assert not covers("dark_ring", "dark_ring.malignant")
    assert covers("dark_ring.[x]", "dark_ring.[x]")
