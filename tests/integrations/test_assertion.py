"""`assert_no_shortcut`, on made-up audits, and one real audit through the fixture of pytest."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import melaudit
from melaudit.errors import ConfigurationError
from melaudit.integrations import pytest_plugin
from melaudit.integrations.assertion import assert_no_shortcut
from melaudit.policy import Policy
from melaudit.result import Audit
from tests.docs.pages import ROOT
from tests.reports.made_up_record import record
from tests.reports.made_up_variants import nothing_found

pytest_plugins = ["pytester"]

MODULE = pytest_plugin.__name__
LOADED = any(entry.value == MODULE for entry in entry_points(group="pytest11"))
"""Whether pytest knows the plugin by itself, as where the package is installed."""

Asked = list[tuple[Any, Any, dict[str, Any]]]


def ring() -> Audit:
    """Return an audit that found a ring, without limits of an intended use."""
    return Audit.of(replace(record().findings, intended_use=None), Path("somewhere"))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Audit], Asked]:
    """Return `answers(audit)`: every audit from now on is that one; it returns what was asked."""

    def answer(audit: Audit) -> Asked:
        asked: Asked = []

        def stub(model: Any, data: Any, **options: Any) -> Audit:
            asked.append((model, data, options))
            return audit

        monkeypatch.setattr("melaudit.api.audit", stub)
        return asked

    return answer


def test_a_shortcut_is_refused_with_its_rule_and_the_report(
    answers: Callable[[Audit], Asked],
) -> None:
    asked = answers(ring())
    with pytest.raises(AssertionError, match="the gate fails") as refused:
        assert_no_shortcut("ckpt.pt", "images", image_size=64)
    assert "ring" in str(refused.value)
    assert "somewhere/report.html" in str(refused.value)
    assert asked == [("ckpt.pt", "images", {"progress": False, "image_size": 64})]


def test_findings_that_are_allowed_do_not_count(answers: Callable[[Audit], Asked]) -> None:
    audit = ring()
    answers(audit)
    serious = [f.id for f in audit.findings if f.severity in ("critical", "high")]
    assert serious
    for allow in (serious, ["*"]):
        assert assert_no_shortcut("m", "d", allow=allow) is audit
    with pytest.raises(AssertionError):
        assert_no_shortcut("m", "d", allow=["ruler*"])


def test_a_policy_comes_from_a_file_or_from_python(
    answers: Callable[[Audit], Asked], tmp_path: Path
) -> None:
    answers(ring())
    written = tmp_path / "policy.toml"
    written.write_text('findings = ["no_such_finding"]\n')
    for policy in (written, str(written), Policy(findings=("no_such_finding",))):
        assert_no_shortcut("m", "d", policy=policy)
    with pytest.raises(AssertionError):
        assert_no_shortcut("m", "d", policy=Policy(findings=("dark_ring*",)))


def test_what_is_wrong_with_the_terms_is_told_before_an_audit(
    answers: Callable[[Audit], Asked],
) -> None:
    asked = answers(ring())
    with pytest.raises(TypeError, match=r"give a list of ids: allow=\['ruler'\]"):
        assert_no_shortcut("m", "d", allow="ruler")
    with pytest.raises(ConfigurationError, match=r"the policy nowhere\.toml cannot be read"):
        assert_no_shortcut("m", "d", policy="nowhere.toml")
    assert asked == []


def test_what_was_left_open_is_no_pass(answers: Callable[[Audit], Asked]) -> None:
    unsure = replace(
        nothing_found().findings, intended_use=None, verdict=melaudit.Verdict.INCONCLUSIVE
    )
    answers(Audit.of(unsure))
    with pytest.raises(AssertionError, match="the gate cannot be decided"):
        assert_no_shortcut("m", "d")


# pytester forgets what was imported while it ran: nothing that imports torch may run in it.
def outcome(pytester: pytest.Pytester, test: str) -> tuple[pytest.RunResult, dict[str, str]]:
    """Run a test with the plugin, and return what became of it and its properties in JUnit XML."""
    pytester.makepyfile(test)
    loading = [] if LOADED else ["-p", MODULE]
    result = pytester.runpytest_inprocess(
        *loading, "-p", "no:cacheprovider", "--junit-xml=junit.xml"
    )
    tree = ElementTree.parse(pytester.path / "junit.xml")
    return result, {p.attrib["name"]: p.attrib["value"] for p in tree.iter("property")}


def test_the_fixture_fails_the_test_and_junit_tells_why(
    pytester: pytest.Pytester, answers: Callable[[Audit], Asked]
) -> None:
    answers(ring())
    test = "def test_model(assert_no_shortcut): assert_no_shortcut('ckpt.pt', 'images')"
    result, properties = outcome(pytester, test)
    result.assert_outcomes(failed=1)
    assert "test_model" in result.stdout.str() and "the gate fails" in result.stdout.str()
    assert "require_pass" not in result.stdout.str()
    assert properties["melaudit-verdict"] == properties["melaudit-gate"] == "fail"
    assert properties["melaudit-report"].endswith("report.html")


def test_the_fixture_passes_on_what_is_allowed_and_gives_the_audit(
    pytester: pytest.Pytester, answers: Callable[[Audit], Asked]
) -> None:
    asked = answers(ring())
    result, properties = outcome(
        pytester,
        "def test_model(assert_no_shortcut, tmp_path):\n"
        "    for _ in range(2):\n"
        "        audit = assert_no_shortcut('m.pt', 'images', allow=['*'], positive='malignant')\n"
        "    assert audit.verdict == 'fail'\n",
    )
    result.assert_outcomes(passed=1)
    assert properties["melaudit-gate"] == "pass"
    assert [options["out"].name for _, _, options in asked] == ["audit-1", "audit-2"]
    assert {options["positive"] for _, _, options in asked} == {"malignant"}


def test_a_real_audit_leaves_the_training_as_it_was_and_few_images_decide_nothing(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    for name in ("benign", "malignant"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i, image in enumerate(rng.integers(60, 200, (12, 48, 48, 3), np.uint8)):
            Image.fromarray(image).save(tmp_path / "images" / name / f"{name}{i}.png")
    layers = nn.Conv2d(3, 4, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    model = nn.Sequential(*layers, nn.Linear(4, 2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(AssertionError, match="the gate cannot be decided") as refused:
        assert_no_shortcut(
            model,
            tmp_path / "images",
            out=tmp_path / "audit",
            image_size=48,
            positive="malignant",
            edits=0,
            check_images=1,
            corruption_images=0,
        )
    assert (tmp_path / "audit" / "report.html").is_file()
    assert "report.html" in str(refused.value)
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_plugin_is_registered_and_imports_little() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"melaudit": MODULE}
    code = (
        f"import {MODULE}, sys\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'PIL', 'cv2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
