"""The settings of a run: options of the command line over `melaudit.toml` over defaults."""

# Long because: a setting is one field with its help text, and all stand in one list.

from __future__ import annotations

import dataclasses
import os
import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from melaudit.audit.prepare.intended_use import stated
from melaudit.choices import Assets, EngineName, OutputKind, Resize, Sharing, Task
from melaudit.detectors.settings import DetectorSettings
from melaudit.errors import ConfigurationError
from melaudit.findings import Severity
from melaudit.images.classes import NAME_FILES, read_names
from melaudit.images.imagefile import FULL_WHITE
from melaudit.images.storage.address import within
from melaudit.settings import Topic, about, settings_of
from melaudit.tables import require_known

SETTINGS_NAME = "melaudit.toml"


@dataclass(frozen=True)
class Configuration(DetectorSettings):
    """Everything that decides what a run does; the report shows it whole.

    Options, keys of settings files and arguments of `melaudit.audit` are made from these fields and
    those of `DetectorSettings`. Raises ConfigurationError for values that make no sense.
    """

    model: Path = field(
        metadata=about(
            Topic.MODEL,
            "The checkpoint: a file, or a timm folder.",
            first=True,
            expects="a checkpoint",
        )
    )
    data: Path = field(
        metadata=about(
            Topic.DATA,
            "Folder, folder with a folder per class, table, tar or HDF5 file, or address "
            "(https://, s3://, gs://).",
            measured=False,
            first=True,
            expects="a folder or table of images",
        )
    )
    out: Path = field(
        default=Path("audit"),
        metadata=about(
            Topic.RUN,
            "Output folder.",
            measured=False,
            usual="audit-MODEL-DATE; in Python, audit",
            first=True,
        ),
    )
    arch: str | None = field(
        default=None,
        metadata=about(
            Topic.MODEL, "Builder's name (resnet50, timm:NAME) if not inferred.", first=True
        ),
    )
    factory: str | None = field(
        default=None,
        metadata=about(Topic.MODEL, "module:function or file.py:function. Runs your code."),
    )
    output: str | None = field(
        default=None,
        metadata=about(
            Topic.MODEL,
            "Which output of a model that returns several, or which label of a multi-label model: "
            "its name, or its place from 0.",
            metavar="NAME|INDEX",
        ),
    )
    classes: tuple[str, ...] | None = field(
        default=None,
        metadata=about(
            Topic.DATA,
            "Names in the order of the model's outputs: a,b,c, or a file with one a line "
            "(.txt) or a list or index of them (.json).",
            metavar="NAMES|FILE",
            first=True,
        ),
    )
    class_map: Mapping[str, str] = field(
        default_factory=dict,
        metadata=about(
            Topic.DATA,
            "Joins the labels of the data into the model's classes: mel=malignant,*=benign; "
            "NAME= leaves the images of a label out, and * stands for all others.",
            metavar="NAME=CLASS,...",
            measured=False,
        ),
    )
    positive: str | None = field(
        default=None,
        metadata=about(
            Topic.DATA,
            "The class that matters, for example malignant.",
            metavar="NAME",
            measured=False,
            first=True,
        ),
    )
    outputs: OutputKind = field(
        default=OutputKind.AUTO,
        metadata=about(
            Topic.MODEL,
            "What the model returns; auto looks at its last operation and at the sums.",
        ),
    )
    task: Task = field(
        default=Task.AUTO,
        metadata=about(
            Topic.MODEL,
            "Whether each image has one class, or each output is a finding of its own "
            "(multi-label); auto looks at the table and at the model's last operation.",
            measured=False,
        ),
    )
    threshold: float | None = field(
        default=None,
        metadata=about(
            Topic.MODEL,
            "The model decides for the positive class from this probability on; without, from "
            "0.5 on.",
            metavar="PROBABILITY",
            least=0,
            most=1,
        ),
    )
    image_root: Path | None = field(
        default=None,
        metadata=about(
            Topic.DATA,
            "Where a table's images are: a folder, a tar or HDF5 file, or an address.",
            expects="the folder of a table's images",
        ),
    )
    image_column: str | None = field(
        default=None,
        metadata=about(Topic.DATA, "The table's column of image names.", metavar="NAME"),
    )
    label_column: str | None = field(
        default=None, metadata=about(Topic.DATA, "The table's column of labels.", metavar="NAME")
    )
    domain: str = field(
        default="auto",
        metadata=about(
            Topic.DATA,
            "What kind of pictures these are: dermoscopy, radiograph, photo or one of another "
            "package; auto looks at them.",
            metavar="NAME",
        ),
    )
    object_masks: Path | None = field(
        default=None,
        metadata=about(
            Topic.KNOWLEDGE,
            "Folder of masks of the object that the model is to judge, by image.",
            measured=False,
            other_name="lesion_masks",
            expects="a folder of masks",
        ),
    )
    artifact_labels: Path | None = field(
        default=None,
        metadata=about(
            Topic.KNOWLEDGE,
            "Table: image, and 0 or 1 per artifact.",
            measured=False,
            expects="a table of artifact labels",
        ),
    )
    artifact_masks: Path | None = field(
        default=None,
        metadata=about(
            Topic.KNOWLEDGE,
            "Folder with a folder of masks per artifact.",
            measured=False,
            expects="a folder of artifact masks",
        ),
    )
    train_data: Path | None = field(
        default=None,
        metadata=about(
            Topic.KNOWLEDGE,
            "The model's own training images, folder or table.",
            measured=False,
            expects="a folder or table of training images",
        ),
    )
    train_sample: int = field(
        default=2000,
        metadata=about(Topic.KNOWLEDGE, "How many of them to look at.", least=1, measured=False),
    )
    image_size: int | None = field(
        default=None,
        metadata=about(
            Topic.PREPROCESSING, "Side of the model's input, in pixels.", least=8, first=True
        ),
    )
    crop: int | None = field(
        default=None,
        metadata=about(Topic.PREPROCESSING, "Side of your own centre crop, if you crop."),
    )
    resize: Resize | None = field(
        default=None,
        metadata=about(
            Topic.PREPROCESSING,
            "How a picture becomes a square: stretch, or letterbox, which keeps its ratio and pads "
            "the rest; without, as the weights declare, else stretch.",
        ),
    )
    pad: tuple[float, ...] | None = field(
        default=None,
        metadata=about(
            Topic.PREPROCESSING,
            "The colour around a letterboxed picture, 0 to 255: one number, or r,g,b; without, "
            "black.",
            metavar="COLOUR",
        ),
    )
    mean: tuple[float, ...] | None = field(
        default=None,
        metadata=about(
            Topic.PREPROCESSING, "Per channel, on 0 to 1: a,b,c.", metavar="NUMBERS", first=True
        ),
    )
    std: tuple[float, ...] | None = field(
        default=None,
        metadata=about(
            Topic.PREPROCESSING, "Per channel, on 0 to 1: a,b,c.", metavar="NUMBERS", first=True
        ),
    )
    white: int | None = field(
        default=None,
        metadata=about(
            Topic.PREPROCESSING,
            "The value that is white in grey images of 16 bits (4095 where 12 bits count); "
            "without, as the files or their largest values say.",
            least=1,
            most=FULL_WHITE,
        ),
    )
    preprocess: str = field(
        default="auto",
        metadata=about(
            Topic.PREPROCESSING,
            "Where the rest is from: auto, weights, weights:ENUM, imagenet or FILE.json.",
            metavar="SOURCE",
        ),
    )
    device: str = field(
        default="auto", metadata=about(Topic.RUN, "auto, cpu, cuda, cuda:1, ...", metavar="DEVICE")
    )
    engine: EngineName = field(
        default=EngineName.AUTO,
        metadata=about(
            Topic.RELEVANCE, "What makes the maps; auto falls back where it fails on the model."
        ),
    )
    composite: str = field(
        default="auto",
        metadata=about(
            Topic.RELEVANCE,
            "Rules of LRP, such as epsilon_plus; auto takes the usual ones, and others where "
            "these fail on the model.",
            metavar="NAME",
        ),
    )
    canonizer: str = field(
        default="auto",
        metadata=about(
            Topic.RELEVANCE, "auto, none, or a canonizer's name (engine zennit).", metavar="NAME"
        ),
    )
    layer: str | None = field(
        default=None,
        metadata=about(
            Topic.RELEVANCE,
            "The layer whose channels are the concepts; without, the last one that every path "
            "goes through. The heads of an attention module are a layer as well: NAME:heads.",
            metavar="NAME",
        ),
    )
    limit: int | None = field(
        default=None,
        metadata=about(
            Topic.DATA,
            "Take a random sample of so many images, in proportion to the classes (of a "
            "multi-label model: the same for all labels).",
            least=1,
            first=True,
        ),
    )
    seed: int = field(default=0, metadata=about(Topic.RUN, "Of every random choice."))
    workers: int = field(
        default=1,
        metadata=about(
            Topic.RUN, "Processes that decode images; 0: this one.", least=0, measured=False
        ),
    )
    processes: int = field(
        default=1,
        metadata=about(
            Topic.RUN,
            "Processes that compute the run: on this machine, or with --engine-address all that "
            "join, this one among them.",
            least=1,
            measured=False,
            recorded=False,
        ),
    )
    engine_address: str | None = field(
        default=None,
        metadata=about(
            Topic.RUN,
            "A Ray cluster whose nodes compute too: auto, or ray://HOST:PORT.",
            metavar="ADDRESS",
            measured=False,
            recorded=False,
        ),
    )
    batch_size: int = field(default=16, metadata=about(Topic.RUN, "Images at a time.", least=1))
    check_images: int = field(
        default=16,
        metadata=about(
            Topic.RELEVANCE, "Images on which the expensive checks of the maps run.", least=1
        ),
    )
    edits: int = field(
        default=40,
        metadata=about(
            Topic.DETECTORS,
            "Images of each class that artifacts are put into and taken out of; 0: none.",
            least=0,
            measured=False,
        ),
    )
    discover: int = field(
        default=2,
        metadata=about(
            Topic.DETECTORS,
            "Parts and looks of pictures that one class shows and others hardly do that are put in "
            "and taken out like an artifact: so many are chosen on each half of the images, by "
            "what they do there, and tested on the other. 0: none of these.",
            least=0,
            measured=False,
        ),
    )
    corruption_images: int = field(
        default=12,  # 252 pictures more: an estimated 4 of 100 of an audit of 120 images
        metadata=about(
            Topic.DETECTORS,
            "Images that noise, blur, JPEG and brightness of five strengths are tried on; 0: none.",
            least=0,
            measured=False,
        ),
    )
    intended_use: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=about(
            Topic.RESULT,
            "What the model is for: purpose, population, reference_standard, operating_threshold "
            "and a table acceptance of limits.",
            measured=False,
            option=False,  # texts and tables; a settings file has them
        ),
    )
    fail_on: Severity = field(
        default=Severity.HIGH,
        metadata=about(Topic.RESULT, "The verdict is fail from this severity on.", measured=False),
    )
    labels: Path | None = field(
        default=None,
        metadata=about(
            Topic.KNOWLEDGE,
            "A suspicious.csv with what you saw filled in.",
            measured=False,
            expects="a suspicious.csv with what you saw filled in",
        ),
    )
    max_skipped: float = field(
        default=0.01,
        metadata=about(
            Topic.RESULT,
            "Share of images that may be unreadable before the verdict is inconclusive.",
            metavar="SHARE",
            least=0,
            most=1,
            measured=False,
        ),
    )
    sharing: Sharing = field(
        default=Sharing.FULL,
        metadata=about(
            Topic.RESULT,
            "What the report shows of the images.",
            measured=False,
            option=False,  # two flags ask for it
        ),
    )
    assets: Assets = field(
        default=Assets.INLINE,
        metadata=about(
            Topic.RESULT,
            "The report as one file, or split: with a folder assets beside it.",
            measured=False,
        ),
    )

    def __post_init__(self) -> None:
        """Raise ConfigurationError for values that make no sense."""
        for name, known in settings_of(Configuration).items():
            known.check(getattr(self, name))
        if self.arch and self.factory:
            raise ConfigurationError("both arch and factory are given; name one of them")
        if (self.mean is None) != (self.std is None):
            raise ConfigurationError("mean and std go together; give both or neither")
        use = stated(self.intended_use)
        if use is not None and use.operating_threshold is not None:
            if self.threshold not in (None, use.operating_threshold):
                raise ConfigurationError(
                    f"threshold is {self.threshold:g} and the operating_threshold of the intended "
                    f"use is {use.operating_threshold:g}; give one, or the same twice"
                )
            object.__setattr__(self, "threshold", use.operating_threshold)  # what is audited
        if self.threshold in (0, 1):
            raise ConfigurationError(
                f"threshold is {self.threshold:g}, where the model always decides alike; it must "
                "lie between 0 and 1, such as 0.3"
            )
        if self.positive and self.classes and self.positive not in self.classes:
            raise ConfigurationError(
                f"positive class {self.positive!r} is not among the classes "
                f"{', '.join(self.classes)}"
            )

    @property
    def for_detectors(self) -> DetectorSettings:
        """What detectors see of it."""
        names = settings_of(DetectorSettings)
        return DetectorSettings(**{name: getattr(self, name) for name in names})

    @property
    def measured(self) -> dict[str, Any]:
        """The settings that a measurement may depend on, by name: part of the name of a run."""
        counted = {k: s.about.measured for k, s in settings_of(Configuration).items()}
        tables = {k: v for k, v in as_plain(self).items() if counted[k]}
        return tables | {"detectors": self.detectors}  # whole: a folder's path may matter there


def find_settings(model: Path | None, folder: Path) -> Path | None:
    """Return the settings file that applies: beside the checkpoint, else in the working folder.

    A `pyproject.toml` counts when it has a table `[tool.melaudit]`.
    """
    places = [folder]
    if model is not None:
        places.insert(0, model if model.is_dir() else model.parent)
    for place in places:
        if (place / SETTINGS_NAME).is_file():
            return place / SETTINGS_NAME
        project = place / "pyproject.toml"
        if project.is_file() and "melaudit" in _toml(project).get("tool", {}):
            return project
    return None


def read_settings(path: Path) -> dict[str, Any]:
    """Read settings, typed, with paths made relative to the file's own folder.

    Raises ConfigurationError for broken TOML, an unknown key or a value of the wrong type.
    """
    table = _toml(path)
    if path.name == "pyproject.toml":
        table = table["tool"]["melaudit"]
    named = {key.replace("-", "_"): value for key, value in table.items()}
    settings = typed(named, str(path), path.parent)
    return {
        name: within(path.parent, value) if isinstance(value, Path) else value
        for name, value in settings.items()
    }


def typed(settings: Mapping[str, Any], where: str, folder: Path = Path()) -> dict[str, Any]:
    """Bring settings to the types `Configuration` declares; a file of class names lies in `folder`.

    Raises ConfigurationError, naming `where`, for an unknown key, a value of another type or one
    out of bounds, and DatasetError for a file of class names that cannot be read.
    """
    known = settings_of(Configuration)
    other = {s.about.other_name: name for name, s in known.items() if s.about.other_name}
    settings = {other.get(name, name): value for name, value in settings.items()}
    require_known(settings, known, where, "setting")
    read = {name: known[name].read(value, where) for name, value in settings.items()}
    if (file := _names_file(read.get("classes"))) is not None:
        read["classes"] = read_names(folder / file.expanduser())
    return read


def _names_file(classes: tuple[str, ...] | None) -> Path | None:
    """Return the file that class names stand in, if a single one is given and it is a file's."""
    if classes is None or len(classes) != 1 or not classes[0].lower().endswith(NAME_FILES):
        return None
    return Path(classes[0])


def configure(options: Mapping[str, Any], folder: Path | None = None) -> Configuration:
    """Join options (those that are None or "" count as not given) with the settings file, if any.

    Raises ConfigurationError that says exactly what to add when the model or the data is missing.
    """
    chosen = typed({k: v for k, v in options.items() if v not in (None, "")}, "options")
    file = find_settings(chosen.get("model"), folder or Path.cwd())
    settings = {**(read_settings(file) if file else {}), **chosen}
    if "model" not in settings:
        raise ConfigurationError("no model given; add --model CHECKPOINT")
    if "data" not in settings:
        beside = settings["model"].parent / SETTINGS_NAME
        raise ConfigurationError(
            f"no data given; add --data FOLDER_OR_TABLE, or write into {beside}:  "
            'data = "path/to/images"'
        )
    return Configuration(**{"out": own_folder(settings["model"]), **settings})


def own_folder(model: Path, within: Path = Path()) -> Path:
    """Return the output folder of a run that names none: the audits of two models do not mix.

    It has the model's name and today's date; if a run of an earlier day was cut short, its folder.
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "-", model.stem).strip("-") or "model"
    begun = [path.parent for path in within.glob(f"audit-{name}-[0-9]*/shards")]
    cut = [path for path in begun if not any((path / last).exists() for last in _WRITTEN_LAST)]
    return max(cut, default=within / f"audit-{name}-{_today()}")


_WRITTEN_LAST = ("manifest.json", "labels.json")
"""What the output folder of a run that ended holds: of one audit, of one for each label."""


def _today() -> str:
    """Return the date, that of SOURCE_DATE_EPOCH where it is set."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(given) if given.isdecimal() else time.time()
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def with_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return some settings, typed, with the default of each that is None or "".

    For commands that share settings with a run and need no model.
    """
    known = settings_of(Configuration)
    chosen = typed({k: v for k, v in options.items() if v not in (None, "")}, "options")
    return {name: chosen.get(name, known[name].default) for name in options}


def detector_settings(folder: Path) -> DetectorSettings:
    """Return what the settings file of a working folder, if any, says to detectors.

    For commands that list detectors and need no model. Raises as `read_settings`.
    """
    file = find_settings(None, folder)
    settings = {} if file is None else read_settings(file)
    theirs = settings_of(DetectorSettings)
    return DetectorSettings(**{name: value for name, value in settings.items() if name in theirs})


_NO_PATHS = ("factory", "preprocess", "detectors", "class_map", "output", "intended_use")
"""Settings whose text may hold a slash and be no path."""


def as_plain(configuration: Configuration) -> dict[str, Any]:
    """Return the settings as JSON's own types, paths by their last part only.

    A report must be safe to share, so it names no folders of the machine. What only says who
    computes is left out: whoever does, the report is the same.
    """
    plain = {}
    settings = settings_of(Configuration)
    for f in dataclasses.fields(configuration):
        if not settings[f.name].about.recorded:
            continue
        value = getattr(configuration, f.name)
        # Other text may hold a slash and be no path: the name of a class, of a builder.
        free = f.name not in _NO_PATHS
        plain[f.name] = _shareable(value, free)
    return plain


def _shareable(value: Any, free: bool) -> Any:
    """Return a value as JSON's own types; text too is cut to its last part unless it is `free`."""
    if isinstance(value, Mapping):
        return {key: _shareable(inner, free) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shareable(inner, free) for inner in value]
    if isinstance(value, Path):
        return value.name
    if isinstance(value, str):
        return value if free else Path(value).name
    return value if value is None or isinstance(value, int | float) else str(value)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
