"""Files for build servers: they parse, call commands that exist, and pass on what they are given.

Their scripts run in a shell, with a program in place of melaudit that notes how it is called.
"""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

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


def steps() -> dict[str, dict[str, Any]]:
    """Return the steps of the action by name."""
    return {step.get("name", step.get("uses")): step for step in ACTION["runs"]["steps"]}


def shell(script: str, place: Path, **given: str) -> tuple[int, list[list[str]]]:
    """Run a script as GitHub's bash does; return its code and how programs were called."""
    programs = place / "programs"
    programs.mkdir(exist_ok=True)
    for name in ("melaudit", "python"):
        (programs / name).write_text(NOTES)
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


def audited(place: Path, **given: str) -> tuple[int, list[list[str]], str]:
    """Run the step of the action that audits."""
    out = place / "output"
    usual = {"MODEL": "ckpt.pt", "DATA": "images", "POLICY": "", "OPTIONS": "", "OUT": "audit"}
    files = {"GITHUB_OUTPUT": str(out), "GITHUB_STEP_SUMMARY": "summary.md"}
    code, calls = shell(steps()["Audit"]["run"], place, **{**usual, **files, **given})
    return code, calls, out.read_text()


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
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]
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
    assert users and users[-1] != "root"
    (entry,) = [rest for word, rest in lines if word == "ENTRYPOINT"]
    assert yaml.safe_load(entry)[0] in project["scripts"]
    version = [int(part) for part in re.findall(r"^FROM python:(\d+)\.(\d+)", text, re.M)[0]]
    lowest = [int(part) for part in project["requires-python"].removeprefix(">=").split(".")]
    assert version >= lowest
