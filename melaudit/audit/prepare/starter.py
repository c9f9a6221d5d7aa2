"""A melaudit.toml to begin with: what a folder shows by itself, and what else may be set.

No file is opened: names alone say what is a checkpoint, a table or a folder of images.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from melaudit.audit.prepare.configuration import Configuration
from melaudit.domains.registry import OURS
from melaudit.images.classes import in_order
from melaudit.images.imagefile import SUFFIXES
from melaudit.images.tables.table import PARQUET_SUFFIXES
from melaudit.settings import Topic, settings_of

CHECKPOINTS = (".pt", ".pth", ".ckpt", ".safetensors", ".bin")
TABLES = (".csv", ".tsv", *PARQUET_SUFFIXES)
"""Not .txt, which may be a table too and seldom is."""
_MAX_DEPTH = 3
"""Folders within folders that are looked into. Chosen: as deep as data/test/malignant lies."""
_MAX_ENTRIES = 2000
"""Entries of a folder that are looked at. Chosen: a folder of images shows what it is before."""


@dataclass(frozen=True)
class Seen:
    """What lies in a folder."""

    models: tuple[Path, ...]
    data: tuple[Path, ...]
    """Folders with a folder of images for each class, tables, and folders of images."""
    clear: bool
    """Whether the first of `data` is of a better kind than all others: a folder of classes before
    a table, a table before a folder of images, and any of them before one for training."""
    loose: tuple[Path, ...]
    """The folders of images among `data`, which a table may be about."""


def look_around(folder: Path) -> Seen:
    """Return what may be the checkpoint and the images, the likeliest first of each."""
    models: list[Path] = []
    data: list[tuple[int, Path]] = []
    for place, folders, files in _walk(folder):
        models += [place / name for name in files if Path(name).suffix.lower() in CHECKPOINTS]
        if (place / "config.json").is_file() and _any(files, (".safetensors", ".bin")):
            models.append(place)
        if len(classes_of(place)) > 1:
            data.append((0, place))
            folders.clear()  # what is below belongs to it
        elif _any(files, SUFFIXES):
            data.append((2, place))
        data += [(1, place / name) for name in files if Path(name).suffix.lower() in TABLES]
    ranked = sorted((kind, _is_training(path), path) for kind, path in data)
    clear = len({found[:2] for found in ranked[:2]}) == len(ranked[:2])
    loose = tuple(path for kind, _, path in ranked if kind == 2)
    return Seen(tuple(sorted(models)), tuple(path for _, _, path in ranked), clear, loose)


def image_root_of(data: Path, loose: Sequence[Path]) -> Path | None:
    """Return the one folder of images that a table can be about and that is not below it.

    What is below its own folder a run finds by itself.
    """
    if data.suffix.lower() not in TABLES or len(loose) != 1:
        return None
    return None if loose[0].is_relative_to(data.parent) else loose[0]


def classes_of(folder: Path) -> tuple[str, ...]:
    """Return the names of a folder's folders that hold images, in the order that a run has them."""
    if not folder.is_dir():
        return ()
    named = [name for name in _names(folder) if (folder / name).is_dir()]
    return tuple(in_order([name for name in named if _any(_names(folder / name), SUFFIXES)]))


def positive_of(classes: Sequence[str]) -> str | None:
    """Return the class that matters, by its name; None where no name says it."""
    plain = {name.casefold(): name for name in classes}
    known = (name for domain in OURS for name in domain.positive)
    return next((plain[name] for name in known if name in plain), None)


def settings_text(
    model: Path,
    data: Path,
    folder: Path,
    image_root: Path | None = None,
    others: Sequence[Path] = (),
) -> str:
    """Return the text of a melaudit.toml in `folder`: what is known, and the rest as comments.

    `others` could be meant instead of `data`, and are named in a comment.
    """
    classes = classes_of(data)
    positive = positive_of(classes)
    known = {"model": _relative(model, folder), "data": _relative(data, folder)}
    if image_root is not None:
        known["image_root"] = _relative(image_root, folder)
    lines = [
        "# Settings of melaudit. Paths are relative to this file; options of the command line",
        "# come before it. Now:  melaudit doctor, then melaudit run",
        "",
    ]
    for name, value in known.items():
        lines += _setting(name, json.dumps(value))
        if name == "data" and others:
            named = (json.dumps(_relative(path, folder)) for path in others)
            lines[-1:] = [f"# Also here: {', '.join(named)}", ""]
    if len(classes) > 1:
        lines += ["# Check that this is the order of the model's outputs."]
        lines += [f"classes = {json.dumps(list(classes))}", ""]
    if positive is not None:
        lines += _setting("positive", json.dumps(positive))
    written = {*known, "classes", *({"positive"} if positive else ())}
    first = {name: s.about for name, s in settings_of(Configuration).items() if s.about.first}
    own = [name for name in first if first[name].topic is Topic.PREPROCESSING]
    rest = [name for name in first if name not in (*own, *written)]
    lines += ["# These must be those of your own pipeline: take the # away and set them.", ""]
    lines += [line for name in own for line in _example(name)]
    lines += ["# These are set where they are needed.", ""]
    lines += [line for name in rest for line in _example(name)]
    further = [n for n in settings_of(Configuration) if n not in (*first, "positive")]
    lines += [
        "# What else may be set (docs/reference.md says what each is):",
        *(f"#   {topic}: {names}" for topic in Topic if (names := _about(topic, further))),
    ]
    return "\n".join(lines) + "\n"


EXAMPLES = {
    "image_size": "224",
    "mean": "[0.485, 0.456, 0.406]",
    "std": "[0.229, 0.224, 0.225]",
    "limit": "1000",
    "out": '"audit"',
    "arch": '"resnet50"',
    "positive": '"malignant"',
    "classes": '["benign", "malignant"]',
}
"""What a setting that is not known yet may look like, by name."""


def _setting(name: str, value: str) -> list[str]:
    return [f"# {settings_of(Configuration)[name].about.help}", f"{name} = {value}", ""]


def _example(name: str) -> list[str]:
    said, example, _ = _setting(name, EXAMPLES[name])
    return [said, f"# {example}", ""]


def _about(topic: Topic, names: Sequence[str]) -> str:
    known = settings_of(Configuration)
    return ", ".join(name for name in names if known[name].about.topic is topic)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield (folder, names of its folders, names of its files), as deep as `_MAX_DEPTH`."""
    for root, folders, files in os.walk(folder, followlinks=True):  # the depth ends any loop
        place = Path(root)
        if "shards" in folders:  # what an earlier audit left
            folders.clear()
            continue
        if len(place.relative_to(folder).parts) >= _MAX_DEPTH:
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))[:_MAX_ENTRIES]
        yield place, folders, sorted(name for name in files if not name.startswith("."))


def _names(folder: Path) -> list[str]:
    names = []
    with os.scandir(folder) as entries:
        for entry, _ in zip(entries, range(_MAX_ENTRIES), strict=False):
            names.append(entry.name)
    return [name for name in names if not name.startswith(".")]


def _any(names: Sequence[str], suffixes: Collection[str]) -> bool:
    return any(Path(name).suffix.lower() in suffixes for name in names)


def _is_training(path: Path) -> bool:
    """Tell whether images are those of training, by their name: others are audited rather."""
    return path.stem.lower().startswith("train")
