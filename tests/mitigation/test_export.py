"""The folder for the next training: what its pages say, and that the lines in it work."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from melaudit.artifacts.kinds.colour_cast import ColourCast
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.cli import main
from melaudit.domains import domain
from melaudit.errors import ArtifactError, MelauditError, StoreError
from melaudit.findings import Findings
from melaudit.images.dataset import open_dataset
from melaudit.mitigation.export import export, export_finding, shown_in
from melaudit.observer import Silent
from melaudit.reports import write_findings
from tests.artifacts.pictures import RGB, lesion, skin
from tests.docs import pages
from tests.reports.made_up_findings import findings

DERMOSCOPY = domain("dermoscopy")
KINDS = ("bluish", "yellowish")


def ringed(image: RGB) -> RGB:
    """The picture in a black ring, drawn here and not by the artifact."""
    side = image.shape[0]
    y, x = np.mgrid[:side, :side] + 0.5
    outside = np.hypot(y - side / 2, x - side / 2) > 0.49 * side
    return np.asarray(np.where(outside[..., None], 6, image), np.uint8)


def is_ringed(image: RGB) -> bool:
    corners = [image[y, x] for y in (1, -2) for x in (1, -2)]
    return sum(bool((corner < 60).all()) for corner in corners) >= 2


def written(root: Path, cells: dict[str, tuple[int, int]]) -> Path:
    """A folder of classes with so many images without a ring, and with one."""
    for number, (label, (without, with_it)) in enumerate(cells.items()):
        (root / label).mkdir(parents=True)
        for k in range(without + with_it):
            image = lesion(skin(56, 56, seed=100 * number + k))
            name = root / label / f"={k},{label}.png"
            Image.fromarray(ringed(image) if k >= without else image).save(name)
    return root


def exported(root: Path, out: Path, key: str = "dark_ring") -> str:
    dataset = open_dataset(root)
    shows = shown_in(dataset.paths, key, DERMOSCOPY, 0, Silent())
    export(out, dataset, shows, key, DERMOSCOPY)
    return (out / "README.md").read_text(encoding="utf-8")


def trained_on(page: str, root: Path) -> tuple[ImageFolder, Any]:
    """Do literally what the page says to add to a script; return data set and sampler."""
    script = [line[4:] for line in page.splitlines() if line.startswith("    ")]
    assert len([line for line in script if line and not line.startswith("from ")]) == 2
    names: dict[str, Any] = {
        "dataset": ImageFolder(str(root), transform=v2.Compose([v2.PILToTensor()]))
    }
    exec("\n".join(script), names)
    return names["dataset"], names["sampler"]


def shares(dataset: ImageFolder, sampler: Any, epochs: int, workers: int = 0) -> list[float]:
    """The share of ringed images of each class among what a loader gives."""
    torch.manual_seed(0)
    loader = DataLoader(dataset, batch_size=8, sampler=sampler, num_workers=workers)
    seen, rings = Counter[int](), Counter[int]()
    for _ in range(epochs):
        for batch, labels in loader:
            for image, label in zip(batch, labels.tolist(), strict=True):
                seen[label] += 1
                rings[label] += is_ringed(image.numpy().transpose(1, 2, 0))
    return [rings[k] / seen[k] for k in (0, 1)]


def test_the_two_lines_make_the_ring_as_frequent_in_every_class(tmp_path: Path) -> None:
    root = written(tmp_path / "train", {"benign": (18, 2), "malignant": (8, 12)})
    page = exported(root, tmp_path / "next")
    with (tmp_path / "next" / "weights.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert Counter((row["class"], row["artifact"]) for row in rows) == {
        ("benign", "0"): 18,
        ("benign", "1"): 2,
        ("malignant", "0"): 8,
        ("malignant", "1"): 12,
    }
    assert "Put(domain('dermoscopy').artifact('dark_ring'), p=0.5)" in page
    assert "in 2 of 20 benign images, 12 of 20 malignant images." in page
    assert "Of what is drawn: 50 % of benign, 50 % of malignant." in page
    assert "| benign | with | 2 | 5.00 |" in page
    benign, malignant = shares(*trained_on(page, root), epochs=8)
    # Half are drawn with a ring, and half of the others get one; 320 draws.
    assert benign == pytest.approx(0.75, abs=0.1) and malignant == pytest.approx(0.75, abs=0.1)


def test_the_lines_work_in_workers_and_where_the_ring_is_the_label(tmp_path: Path) -> None:
    root = written(tmp_path / "train", {"benign": (20, 0), "malignant": (0, 20)})
    page = exported(root, tmp_path / "next")
    assert "No benign image has the ring." in page and "Every malignant image has the ring." in page
    assert "also taken out where it is found" in page
    assert "[Remove(domain('dermoscopy').artifact('dark_ring'), p=1.0), Put(" in page
    benign, malignant = shares(*trained_on(page, root), epochs=4, workers=2)
    assert benign == pytest.approx(0.5, abs=0.16) and malignant == pytest.approx(0.5, abs=0.16)


def test_what_cannot_be_half_and_half_is_said(tmp_path: Path) -> None:
    root = written(tmp_path / "train", {"benign": (9, 0), "malignant": (4, 5)})
    (root / "benign" / "broken.png").write_bytes(b"\x89PNG nothing")
    page = exported(root, tmp_path / "next")
    assert "No benign image has the ring." in page
    assert "and 5 images with it are not drawn; the transform puts it into half of the" in page
    assert "1 image without a label, or that could not be looked at, have weight 0." in page


def test_a_kind_of_an_artifact_is_told_from_the_others(tmp_path: Path) -> None:
    image, files = lesion(skin(120, 120)), []
    blue, yellow = (next(k for k in ColourCast().kinds if k.kind == kind) for kind in KINDS)
    for name, of in (("blue", blue), ("yellow", yellow), ("plain", DarkRing())):
        tinted = of.add(image, np.random.default_rng(0)).image
        if isinstance(of, ColourCast):  # twice, so that nobody doubts it
            tinted = of.add(tinted, np.random.default_rng(0)).image
        files.append(str(tmp_path / f"{name}.png"))
        Image.fromarray(tinted).save(files[-1])

    def shown(key: str) -> list[int]:
        return list(map(int, shown_in(files, key, DERMOSCOPY, 0, Silent())))

    assert shown("colour_cast") == [1, 1, 0]
    assert shown("colour_cast.bluish") == [1, 0, 0]
    assert shown("colour_cast.yellowish") == [0, 1, 0]
    assert shown("dark_ring") == [0, 0, 1]


def test_the_lines_of_the_documentation_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "train", {"benign": (3, 1), "malignant": (2, 2)})
    monkeypatch.chdir(tmp_path)
    blocks = pages.blocks("docs/mitigation.md")
    called, added, transform = (
        next(block for block in blocks if begins in block)
        for begins in ("import export", "dataset.transform = ", "import Put")
    )
    exec(called, {})
    page = Path("next/README.md").read_text(encoding="utf-8")
    assert all(f"    {line}\n" in page for line in added.splitlines())
    names: dict[str, Any] = {"v2": v2, "torch": torch}
    exec(transform, names)
    assert names["transform"](Image.new("RGB", (30, 20))).shape == (3, 224, 224)


def audit(*ids: str, field: str = "dermoscopy") -> Findings:
    """An audit with findings of these ids."""
    made, (first, *_) = findings(), findings().findings
    return replace(
        made,
        findings=tuple(replace(first, id=each) for each in ids),
        domain=replace(made.domain, id=field),
    )


def test_an_audit_and_training_images_are_enough(tmp_path: Path) -> None:
    root = written(tmp_path / "train", {"benign": (6, 2), "malignant": (4, 4)})
    said = audit("border_relevance", "dark_ring", "hair")
    for wanted in ("", "dark_ring"):
        made = export_finding(said, wanted, root, tmp_path / "next", 0, Silent())
        assert made.counts.tolist() == [[6, 2], [4, 4]]
    assert "black rings" in (tmp_path / "next" / "README.md").read_text()
    export_finding(said, "hair", root, tmp_path / "next", 0, Silent())
    assert "artifact('hair')" in (tmp_path / "next" / "README.md").read_text()


def test_what_a_person_noted_decides_and_the_finder_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = written(tmp_path / "train", {"benign": (6, 2), "malignant": (4, 4)})
    write_findings(audit("dark_ring"), tmp_path / "findings.json")
    rings = sorted(path for path in root.rglob("*.png") if is_ringed(np.array(Image.open(path))))
    noted = tmp_path / "noted.csv"
    noted.write_text(  # of two ringed images a person says that there is no ring
        "image,dark_ring\n" + "".join(f'"{p.parent.name}/{p.name}",0\n' for p in rings[:2])
    )
    given = ["mitigate", str(tmp_path), "--export", str(tmp_path / "next")]
    given += ["--train-data", str(root), "--artifact-labels", str(noted)]
    assert main(given) == 0
    assert "noted.csv says of 2 of 16 images" in capsys.readouterr().err
    with (tmp_path / "next" / "weights.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["artifact"] == "1" for row in rows) == len(rings) - 2 == 4
    noted.write_text("image,hair\n" + f'"{rings[0].name}",1\n')
    assert main(given) == 2
    said = capsys.readouterr().err
    assert "says nothing of black rings; it has hair: name a column dark_ring" in said


def test_the_command_needs_the_audit_and_the_training_images_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = written(tmp_path / "train", {"benign": (3, 1), "malignant": (2, 2)})
    write_findings(audit("dark_ring"), tmp_path / "findings.json")
    given = ["mitigate", str(tmp_path), "--export", str(tmp_path / "next")]
    assert main([*given, "--train-data", str(root)]) == 0
    said = capsys.readouterr()
    assert "README.md" in said.err and not said.out
    page = (tmp_path / "next" / "README.md").read_text(encoding="utf-8")
    assert len(shares(*trained_on(page, root), epochs=1)) == 2
    assert main(given) == 2
    assert "--train-data IMAGES go together" in capsys.readouterr().err
    assert main([*given, "--train-data", str(root), "--finding", "hair"]) == 2
    assert "has no finding 'hair'" in capsys.readouterr().err


def test_what_an_export_cannot_be_made_of_is_refused(tmp_path: Path) -> None:
    root = written(tmp_path / "train", {"benign": (1, 1), "malignant": (1, 1)})

    def refused(said: Findings, wanted: str = "", images: Path = root) -> str:
        with pytest.raises(MelauditError) as error:
            export_finding(said, wanted, images, tmp_path / "next", 0, Silent())
        return str(error.value)

    ring = audit("dark_ring", "border_relevance")
    assert "has no finding 'hair'; an export is possible against: dark_ring" in refused(
        ring, "hair"
    )
    assert "about nothing that can be put into" in refused(ring, "border_relevance")
    assert "no finding is about an artifact; an export is possible against: none" in refused(
        audit()
    )
    assert "no finding is about an artifact" in refused(audit("hair", field="photo"))
    assert "names no domain; run it again" in refused(audit("dark_ring", field=""))
    assert "have no labels" in refused(ring, images=root / "benign")
    (root / "malignant").rename(root / "nevus")
    assert "nevus" in refused(ring)


def test_a_name_of_no_artifact_and_a_folder_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="did you mean 'dark_ring'"):
        shown_in([], "dark_rings", DERMOSCOPY, 0, Silent())
    root = written(tmp_path / "train", {"benign": (1, 1), "malignant": (1, 1)})
    dataset = open_dataset(root)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="give another --export"):
        export(tmp_path / "file" / "x", dataset, np.array([0, 1, 0, 1]), "dark_ring", DERMOSCOPY)
