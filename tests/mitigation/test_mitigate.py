"""A mitigation from an audit's folder to new weights and their proof, through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.cli import main
from melaudit.findings import Method, Outcome
from melaudit.images.preprocessing import resolve
from melaudit.mitigation.command import mitigate_audit
from melaudit.models.factories import build_from_factory
from melaudit.observer import Silent
from melaudit.reports import read_findings
from tests.mitigation.made_up_audit import SIDE, MadeUp, made_up_audit


def _called(audit: MadeUp, weights: Path, ring: bool) -> int:
    """Count by hand how many benign images a model calls malignant, as they are or with a ring."""
    model = build_from_factory(audit.factory)
    state = (
        torch.load(weights, weights_only=True) if weights.suffix == ".pt" else load_file(weights)
    )
    model.load_state_dict(state)
    preprocessing = resolve(None, image_size=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3)
    rng = np.random.default_rng(5)
    pictures = []
    for path in sorted((audit.data / "benign").glob("*.png"))[1:]:
        picture = np.asarray(Image.open(path))
        pictures.append(DarkRing().add(picture, rng).image if ring else picture)
    with torch.no_grad():
        logits = model.eval()(torch.stack([preprocessing.apply(p) for p in pictures]))
    return int(logits.argmax(1).sum())


def test_the_ring_no_longer_turns_decisions_and_the_file_drops_in(
    audit: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    out = audit.folder / "fixed.safetensors"
    code = main(
        ["mitigate", str(audit.folder), "--factory", audit.factory, "--out", str(out), "--json"]
    )
    made = json.loads(capsys.readouterr().out)

    flips = made["dependence"]["flips"]
    assert flips["before"] > 0.3
    assert flips["after"] < flips["before"] / 2
    assert flips["ci_high"] < 0
    assert made["placebo"]["flips"]["after"] > made["placebo"]["flips"]["before"] / 2
    assert code == (0 if made["outcome"] == Outcome.REDUCED else 1)
    assert "reduced" in made["statement"] and "removed" not in made["statement"]
    # Counted again with nothing of the mitigation's own:
    before, after = (_called(audit, weights, ring=True) for weights in (audit.model, out))
    assert (
        after - _called(audit, out, ring=False)
        < (before - _called(audit, audit.model, ring=False)) / 2
    )

    old, new = torch.load(audit.model, weights_only=True), load_file(out)
    assert old.keys() == new.keys()
    assert all(old[name].shape == new[name].shape for name in old)
    with safe_open(out, "pt") as file:
        note = json.loads(file.metadata()["melaudit.mitigation"])
    assert note["finding"] == "dark_ring" and note["changed"].startswith("2:")
    kept = read_findings(audit.folder).mitigations
    assert [m.finding for m in kept] == ["dark_ring"]
    assert kept[0].new_model == "fixed.safetensors"
    assert "reduced" in (audit.folder / "mitigation.html").read_text()


def test_thin_groups_are_filled_and_said(audit: MadeUp) -> None:
    given = {"factory": audit.factory}
    out = audit.folder / "fixed.safetensors"
    made = mitigate_audit(audit.folder, None, Method.PROJECT, 0.02, out, given, Silent())
    assert made is not None
    assert "1 ringed image of benign" in made.filled
    assert (
        dict(made.fitted_on)["benign, ringed (ring put in)"]
        == dict(made.fitted_on)["benign, ring-free"]
    )
    assert {other.artifact for other in made.others} == {"blur"}


def test_on_a_model_without_such_a_finding_there_is_nothing_to_mitigate(
    audit: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    path = audit.folder / "findings.json"
    found = json.loads(path.read_text())
    found["findings"] = [f for f in found["findings"] if f["rung"] in ("opportunity", "attention")]
    path.write_text(json.dumps(found))
    assert main(["mitigate", str(audit.folder), "--factory", audit.factory]) == 0
    assert "Nothing to mitigate" in capsys.readouterr().err
    assert not (audit.folder / "mitigated.safetensors").exists()


def test_too_few_images_are_refused_with_how_many_are_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = made_up_audit(tmp_path, n=40)
    assert main(["mitigate", str(audit.folder), "--factory", audit.factory]) == 2
    said = capsys.readouterr().err
    assert "a mitigation needs 15 to fit on and 15 that no step has used" in said
    assert "audit again with at least" in said


def test_another_model_than_the_audited_one_is_refused(
    audit: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(audit.model, weights_only=True)
    torch.save({**state, "2.bias": state["2.bias"] + 1}, audit.model)
    assert main(["mitigate", str(audit.folder), "--factory", audit.factory]) == 2
    assert "is not the model that was audited" in capsys.readouterr().err


def test_code_that_builds_the_model_runs_only_when_named(
    audit: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mitigate", str(audit.folder)]) == 2
    assert "add --factory FILE.py:FUNCTION" in capsys.readouterr().err


def test_an_audit_that_does_not_say_where_its_images_lie_asks_for_them(
    audit: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    (audit.folder / "shards" / "places.json").unlink()
    arguments = ["mitigate", str(audit.folder), "--factory", audit.factory]
    assert main(arguments) == 2
    assert "add --model PLACE" in capsys.readouterr().err
    (audit.folder / "findings.json").with_suffix(".kept").touch()
    named = ["--model", str(audit.model), "--data", str(audit.data), "--method", "project"]
    assert main([*arguments, *named]) in (0, 1)


def test_a_finding_that_the_audit_has_not_is_told_from_those_it_has(
    audit: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["mitigate", str(audit.folder), "--factory", audit.factory, "--finding", "rings"]
    assert main(arguments) == 2
    assert "has no finding 'rings'; can be mitigated: dark_ring" in capsys.readouterr().err
