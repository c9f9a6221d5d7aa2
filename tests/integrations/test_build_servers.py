"""Files for build servers: they parse, call commands that exist, and pass on what they are given.

Their scripts run in a shell, most with a program in place of melaudit that notes how it is called;
one audit of each script is melaudit's own.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
import yaml
from PIL import Image

from melaudit.cli import cli, main
from tests.docs import reference
from tests.docs.pages import OPTION, ROOT

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
GITLAB: dict[str, Any] = yaml.safe_load(
    (ROOT / "examples" / "pipelines" / "gitlab-ci.yml").read_text(encoding="utf-8")
)
HOOKS: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
)
FILES = ("action.yml", "examples/pipelines/gitlab-ci.yml", ".pre-commit-hooks.yaml", "Dockerfile")
NOTES = """#!/bin/sh
{ printf '%s' "$(basename "$0")"; printf '|%s' "$@"; echo; } >> "$NOTED"
[ "$1" = run ] && exit "${RUN_CODE:-0}"
exit 0
"""


ITSELF = f"""#!/bin/sh
exec {shlex.quote(sys.executable)} -m melaudit "$@"
"""
SMALL = """
image_size = 32
check_images = 1
composite = "epsilon_plus_flat"
corruption_images = 0
edits = 0
workers = 0
"""
"""Settings of an audit of seconds."""


def steps() -> dict[str, dict[str, Any]]:
    """Return the steps of the action by name."""
    return {step.get("name", step.get("uses")): step for step in ACTION["runs"]["steps"]}


def shell(
    script: str, place: Path, *, program: str = NOTES, **given: str
) -> tuple[int, list[list[str]]]:
    """Run a script as GitHub's bash does; return its code and how programs were called."""
    programs = place / "programs"
    programs.mkdir(exist_ok=True)
    for name, text in {"melaudit": program, "python": NOTES}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    noted = place / "noted"
    noted.touch()
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=place,
        env={"PATH": f"{programs}:{os.environ['PATH']}", "NOTED": str(noted), **given},
        check=False,
        capture_output=True,
    )
    return done.returncode, [line.split("|") for line in noted.read_text().splitlines()]


def audited(place: Path, *, program: str = NOTES, **given: str) -> tuple[int, list[list[str]], str]:
    """Run the step of the action that audits."""
    out = place / "output"
    usual = {"MODEL": "ckpt.pt", "DATA": "images", "POLICY": "", "OPTIONS": "", "OUT": "audit"}
    files = {"GITHUB_OUTPUT": str(out), "GITHUB_STEP_SUMMARY": "summary.md"}
    script = steps()["Audit"]["run"]
    code, calls = shell(script, place, program=program, **{**usual, **files, **given})
    return code, calls, out.read_text()


def a_small_model_and_its_images(place: Path) -> dict[str, str]:
    """Write what an audit of seconds needs; return what its process needs to know."""
    rng = np.random.default_rng(0)
    for name in ("benign", "malignant"):
        (place / "images" / name).mkdir(parents=True)
        for i, image in enumerate(rng.integers(60, 200, (4, 32, 32, 3), np.uint8)):
            Image.fromarray(image).save(place / "images" / name / f"{i}.png")
    torch.manual_seed(0)
    model = torchvision.models.squeezenet1_1(num_classes=2)
    torch.save(model.state_dict(), place / "ckpt.pt")
    (place / "melaudit.toml").write_text(SMALL)
    (place / "policy.toml").write_text('fail_on = "high"\n')
    return {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(place)}


def kept(files: str, out: str) -> list[str]:
    """Return the names of the files that are kept, of which all must be there."""
    return files.replace("${{ inputs.out }}", out).replace("$OUT", out).split()


def test_the_scripts_of_both_audit_a_model_and_leave_what_they_keep(tmp_path: Path) -> None:
    given = a_small_model_and_its_images(tmp_path)
    code, _, said = audited(tmp_path, program=ITSELF, POLICY="policy.toml", **given)
    assert (code, said) == (0, "exit-code=3\n")  # eight images leave most things open
    files = kept(steps()["Keep the report"]["with"]["path"], "audit")
    assert len(files) == 4 and [n for n in files if not (tmp_path / n).stat().st_size] == []
    assert "melaudit" in (tmp_path / "summary.md").read_text()

    job = GITLAB[".melaudit"]
    (tmp_path / "audit.xml").unlink()
    given |= {**job["variables"], "MELAUDIT_SOURCE": "a wheel.whl"}
    code, calls = shell("\n".join(job["script"]), tmp_path, program=ITSELF, **given)
    assert (code, calls[-1][:4]) == (3, ["python", "-m", "pip", "install"])
    files = [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]
    assert [n for n in files if not Path(tmp_path, *kept(n, "audit")).stat().st_size] == []


def test_the_action_audits_and_hands_on_the_exit_code(tmp_path: Path) -> None:
    code, calls, said = audited(tmp_path, RUN_CODE="3", OPTIONS="--image-size 224")
    usual = "run|--model|ckpt.pt|--data|images|--out|audit|--sarif|audit.sarif|--junit|audit.xml"
    asked = f"melaudit|{usual}|--step-summary|summary.md|--image-size|224"
    assert calls == [asked.split("|")]
    assert (code, said) == (0, "exit-code=3\n")
    assert shell(steps()["Verdict"]["run"], tmp_path, CODE="3")[0] == 3


def test_the_action_checks_a_policy_before_the_audit(tmp_path: Path) -> None:
    _, calls, _ = audited(tmp_path, POLICY="my policy.toml")
    assert calls[0] == ["melaudit", "policy", "my policy.toml"]
    assert calls[1][-2:] == ["--policy", "my policy.toml"]


def test_what_a_caller_of_the_action_gives_is_never_run(tmp_path: Path) -> None:
    hostile = "a; touch broken $(touch broken) `touch broken` *"
    for name in ("MODEL", "DATA", "OUT", "POLICY", "OPTIONS"):
        audited(tmp_path, **{name: hostile})
    assert not (tmp_path / "broken").exists()
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_inputs_and_steps_of_the_action_that_are_named_exist() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    ids = {step["id"] for step in ACTION["runs"]["steps"] if "id" in step}
    assert set(re.findall(r"steps\.([\w-]+)\.outputs", text)) <= ids
    for named in re.findall(r"\$GITHUB_ACTION_PATH/([\w.]+)", text):
        assert (ROOT / named).is_file()
    assert all("shell" in step for step in ACTION["runs"]["steps"] if "run" in step)


def test_the_template_for_gitlab_checks_the_policy_and_audits(tmp_path: Path) -> None:
    job = GITLAB[".melaudit"]
    variables = {**job["variables"], "MELAUDIT_SOURCE": "a wheel.whl", "MODEL": "my ckpt.pt"}
    code, calls = shell("\n".join(job["script"]), tmp_path, RUN_CODE="1", **variables)
    assert code == 1
    assert calls[0] == ["python", "-m", "pip", "install", "a wheel.whl"]
    assert calls[1] == ["melaudit", "policy", "policy.toml"]
    assert calls[2][:4] == ["melaudit", "run", "--model", "my ckpt.pt"]
    assert job["artifacts"]["reports"]["junit"].replace("$OUT", "audit") == calls[2][-1]
    assert shell("\n".join(job["script"]), tmp_path, **job["variables"])[0] != 0


@pytest.mark.parametrize("name", FILES)
def test_every_command_and_option_that_a_file_gives_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for command, rest in re.findall(r"\bmelaudit (policy|run|gate|record)\b(.*)", text):
        options = reference.option_names(cli.commands[command])
        assert set(OPTION.findall(rest)) <= options, f"{name}: melaudit {command} {rest}"
    assert "://" not in text


def test_the_hook_checks_policies_and_takes_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (hook,) = HOOKS
    assert {"id", "name", "entry", "language", "files"} <= set(hook)
    names = ("policy.toml", "gates/release-policy.toml", "a/policy.toml")
    assert all(re.search(hook["files"], name) for name in names)
    others = ("policy.toml.orig", "pyproject.toml", "policy.py")
    assert not [name for name in others if re.search(hook["files"], name)]
    program, *words = shlex.split(hook["entry"])
    assert program == "melaudit"
    monkeypatch.chdir(tmp_path)
    Path("policy.toml").write_text('fail_on = "high"\n')
    Path("wrong-policy.toml").write_text("fail_on = 3\n")
    assert main([*words, "policy.toml"]) == 0
    assert main([*words, "policy.toml", "wrong-policy.toml"]) == 2
    assert "wrong-policy.toml" in capsys.readouterr().err


def test_the_dockerfile_copies_what_there_is_and_runs_melaudit_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    whole = text.replace("\\\n", " ")  # lines that go on in the next one
    lines = [line.split(maxsplit=1) for line in whole.splitlines() if line and line[0] != "#"]
    known = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in lines} <= known
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    copied = [path for word, rest in lines if word == "COPY" for path in rest.split()[:-1]]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert set(copied) == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / path).exists() for path in copied)
    assert {project["readme"], *project["license-files"], "pyproject.toml"} <= set(copied)
    users = [rest for word, rest in lines if word == "USER"]
    assert users and users[-1] not in {"root", "0"}
    assert any(f"--uid {users[-1]} " in rest for word, rest in lines if word == "RUN")
    (entry,) = [rest for word, rest in lines if word == "ENTRYPOINT"]
    assert yaml.safe_load(entry)[0] in project["scripts"]
    version = [int(part) for part in re.findall(r"^FROM python:(\d+)\.(\d+)", text, re.M)[0]]
    lowest = [int(part) for part in project["requires-python"].removeprefix(">=").split(".")]
    assert version >= lowest
