"""Commands on finished audits, as a user and a build server call them."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from melaudit.cli import main
from melaudit.findings import Rung, Severity, Verdict
from melaudit.reports import write_findings, write_record
from melaudit.reports.interface import Record
from tests.reports.made_up_record import record
from tests.reports.made_up_variants import hostile


def output(made: Record, folder: Path) -> Path:
    folder.mkdir()
    write_findings(made.findings, folder / "findings.json")
    write_record(made, folder / "record.zip")
    return folder


def _without_limits(made: Record) -> Record:
    """Leave out the intended use, whose limits fail a gate whatever else is found."""
    return replace(made, findings=replace(made.findings, intended_use=None))


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    return output(_without_limits(record()), tmp_path / "ring")


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Return an audit of a model that sees the ring and does not use it."""
    made = _without_limits(record())
    first = made.findings.findings[0]
    evidence = tuple(
        replace(e, estimate=0.02, ci_low=-0.01, ci_high=0.05, reached=False)
        if e.rung is Rung.DEPENDENCE
        else e
        for e in first.evidence
        if e.rung is not Rung.HARM
    )
    mild = replace(first, severity=Severity.LOW, rung=Rung.OPPORTUNITY, evidence=evidence)
    findings = replace(made.findings, verdict=Verdict.PASS, findings=(mild,))
    return output(replace(made, findings=findings), tmp_path / "clean")


def test_report_draws_the_page_again_and_a_copy_for_sharing(ring: Path) -> None:
    assert main(["report", str(ring)]) == 0
    assert main(["report", str(ring), "--no-images"]) == 0
    assert main(["report", str(ring), "--blur", "--csv", str(ring / "x.csv")]) == 0
    full, bare, blurred = (
        (ring / name).read_text()
        for name in ("report.html", "report-no-images.html", "report-blur.html")
    )
    assert "shows no images" in bare and "are blurred" in blurred
    assert "shows no images" not in full
    assert (ring / "x.csv").read_bytes().startswith(b"finding,severity,rung")


def test_both_ways_of_sharing_at_once_are_refused(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(ring), "--no-images", "--blur"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_diff_says_in_its_first_line_what_differs_and_by_how_much(
    ring: Path, clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "diff.html"
    assert main(["diff", str(ring), str(clean), "--html", str(page)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("Fail before, pass after. Better: ")
    assert "dependence on the dark ring" in first and "\u22120.787" in first
    assert "dependence on the dark ring" in page.read_text()
    assert main(["diff", str(ring), str(clean / "findings.json"), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["changes"][0]["figures"][0]["change"] == pytest.approx(-0.787)


def test_gate_answers_by_its_exit_code(ring: Path, clean: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    assert main(["gate", str(ring)]) == 1
    assert main(["gate", str(clean)]) == 0
    assert main(["gate", str(ring), "--baseline", str(ring / "findings.json")]) == 0
    policy.write_text("[coverage]\nmin_images = 100000")
    assert main(["gate", str(clean), "--policy", str(policy)]) == 3
    policy.write_text("nonsense = 1")
    assert main(["gate", str(clean), "--policy", str(policy)]) == 2
    assert main(["gate", str(tmp_path / "none")]) == 2


def test_gate_writes_what_a_build_server_reads(
    ring: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sarif, junit, summary = (tmp_path / n for n in ("f.sarif", "junit.xml", "summary.md"))
    arguments = ["--sarif", str(sarif), "--junit", str(junit), "--step-summary", str(summary)]
    assert main(["gate", str(ring), *arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "fail"
    assert json.loads(sarif.read_text())["version"] == "2.1.0"
    assert ElementTree.parse(junit).getroot().tag == "testsuites"
    assert summary.read_text().startswith("## melaudit: fail")


def test_record_writes_the_files_of_a_technical_file(ring: Path, tmp_path: Path) -> None:
    out = tmp_path / "record"
    out.mkdir()
    policy = tmp_path / "policy.toml"
    policy.write_text(
        '[[waiver]]\nfinding = "dark_ring*"\nowner = "A. Author"\nreason = "r"\n'
        "expires = 9999-01-01\n"
    )
    assert main(["record", str(ring), "--out", str(out), "--policy", str(policy)]) == 0
    names = {"model_card.md", "bom.cdx.json", "annex.md", "affected_images.csv"}
    assert {path.name for path in out.iterdir()} == names
    assert "Accepted until 9999-01-01 by A. Author" in (out / "annex.md").read_text()


def test_hostile_names_reach_neither_terminal_nor_build_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = output(hostile(), tmp_path / "evil")
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'findings = ["<img*"]\n[[waiver]]\nfinding = "\\u001b[31mx\\u202e"\n'
        'owner = "::error::x\\n::warning::y"\nreason = "r"\nexpires = 9999-01-01\n'
    )
    main(["gate", str(folder), "--policy", str(policy)])
    main(["diff", str(folder), str(folder)])
    main(["record", str(folder)])
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert all(c.isprintable() or c == "\n" for c in text)
        assert not any(line.lstrip().startswith("::") for line in text.splitlines())


def test_record_makes_its_folder(ring: Path, tmp_path: Path) -> None:
    assert main(["record", str(ring), "--out", str(tmp_path / "new" / "place")]) in (0, None)
    assert (tmp_path / "new" / "place" / "annex.md").is_file()
    (tmp_path / "file").touch()
    assert main(["record", str(ring), "--out", str(tmp_path / "file")]) == 2
