"""The settings of a run: options of the command line over `melaudit.toml` over defaults."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from melaudit.errors import ConfigurationError
from melaudit.findings import Severity
from melaudit.reports import Assets
from melaudit.reports.sharing import Sharing

SETTINGS_NAME = "melaudit.toml"


@dataclass(frozen=True)
class Configuration:
    """Everything that decides what a run does; the report shows it whole."""

    model: Path
    """The checkpoint: a file, or a Hugging Face/timm folder."""
    data: Path
    """A folder of images, an image folder with a folder per class, or a table."""
    out: Path = Path("audit")
    """The output folder."""
    arch: str | None = None
    """Builder's name ("resnet50", "timm:vit_tiny_patch16_224"); None infers it."""
    factory: str | None = None
    """"module:function" or "file.py:function" that builds the model: runs the user's code."""
    classes: tuple[str, ...] | None = None
    """Class names in the order of the model's outputs; None takes the data's, by name."""
    positive: str | None = None
    """The class that matters, for example "malignant"."""
    image_root: Path | None = None
    image_column: str | None = None
    label_column: str | None = None
    lesion_masks: Path | None = None
    """A folder with a mask of the lesion per image."""
    artifact_labels: Path | None = None
    """A table of which image shows which artifact, in place of our finders."""
    artifact_masks: Path | None = None
    """A folder with a folder of masks per artifact, in place of our finders."""
    train_data: Path | None = None
    """The images the model was trained on, folder or table: what it could have learned."""
    train_sample: int = 2000
    """How many of them are looked at."""
    image_size: int | None = None
    crop: int | None = None
    """Side of the user's own centre crop; None does not crop."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    preprocess: str = "auto"
    device: str = "auto"
    engine: str = "auto"
    composite: str = "auto"
    """Rules of LRP; "auto" takes the usual ones, and others where those fail on the model."""
    canonizer: str = "auto"
    layer: str | None = None
    """The concept layer; None chooses the last one every path goes through."""
    limit: int | None = None
    """Audit a seeded sample of this many images, balanced over classes."""
    seed: int = 0
    workers: int = 1
    """Processes that decode images."""
    batch_size: int = 16
    probes: int = 16
    """Images on which the expensive checks of the maps run."""
    edits: int = 40
    """Images of each class that artifacts are put into and taken out of; 0 edits none."""
    fail_on: Severity = Severity.HIGH
    """The verdict is fail from this severity on."""
    labels: Path | None = None
    """A suspicious.csv of an earlier audit with its column `artifact` filled in."""
    max_skipped: float = 0.01
    """Share of images that may be unreadable before the verdict is inconclusive."""
    sharing: Sharing = Sharing.FULL
    """What the report shows of the photographs: "full", "blur" or "no-images"."""
    assets: Assets = Assets.INLINE
    """Whether the report is one file, or a file with a folder of pictures, style and script."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError for values that make no sense."""
        for name, low in (
            ("image_size", 8),
            ("limit", 1),
            ("batch_size", 1),
            ("probes", 1),
            ("train_sample", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < low:
                raise ConfigurationError(f"{name} is {value}; it must be at least {low}")
        for name in ("workers", "edits"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 <= self.max_skipped <= 1:
            raise ConfigurationError(f"max_skipped is {self.max_skipped}; it is a share, 0 to 1")
        if self.arch and self.factory:
            raise ConfigurationError("both arch and factory are given; name one of them")
        if (self.mean is None) != (self.std is None):
            raise ConfigurationError("mean and std go together; give both or neither")
        if self.positive and self.classes and self.positive not in self.classes:
            raise ConfigurationError(
                f"positive class {self.positive!r} is not among the classes "
                f"{', '.join(self.classes)}"
            )


_PATHS = (
    *("model", "data", "out", "image_root", "labels"),
    *("lesion_masks", "artifact_labels", "artifact_masks", "train_data"),
)


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
    settings = typed({key.replace("-", "_"): value for key, value in table.items()}, str(path))
    for name in _PATHS:
        if isinstance(settings.get(name), Path):
            settings[name] = path.parent / settings[name].expanduser()
    return settings


def typed(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Bring settings to the types `Configuration` declares.

    Raises ConfigurationError, naming `where`, for an unknown key or a value of another type.
    """
    hints = typing.get_type_hints(Configuration)
    for name in settings:
        if name not in hints:
            close = difflib.get_close_matches(name, hints, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(hints)}"
            raise ConfigurationError(f"{where}: unknown setting {name!r}{hint}")
    return {name: _typed(hints[name], v, f"{where}: {name}") for name, v in settings.items()}


def configure(options: Mapping[str, Any], folder: Path | None = None) -> Configuration:
    """Join options (those that are None count as not given) with the settings file, if any.

    Raises ConfigurationError that says exactly what to add when the model or the data is missing.
    """
    given = {k: v for k, v in options.items() if v is not None}
    model = Path(given["model"]) if "model" in given else None
    found = find_settings(model, folder or Path.cwd())
    settings = {**(read_settings(found) if found else {}), **given}
    if "model" not in settings:
        raise ConfigurationError("no model given; add --model CHECKPOINT")
    if "data" not in settings:
        beside = Path(settings["model"]).parent / SETTINGS_NAME
        raise ConfigurationError(
            f"no data given; add --data FOLDER_OR_TABLE, or write into {beside}:  "
            'data = "path/to/images"'
        )
    return Configuration(**typed(settings, "options"))


def as_plain(configuration: Configuration) -> dict[str, Any]:
    """Return the settings as JSON's own types, paths by their last part only.

    A report must be safe to share, so it names no folders of the machine.
    """
    plain: dict[str, Any] = {}
    for f in dataclasses.fields(configuration):
        value = getattr(configuration, f.name)
        if isinstance(value, Path):
            value = value.name
        plain[f.name] = list(value) if isinstance(value, tuple) else value
    if configuration.factory:
        plain["factory"] = Path(configuration.factory).name
    return plain


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def _typed(hint: Any, value: Any, where: str) -> Any:
    """Bring a value to the type its field declares, or say what was expected."""
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        if value is None:
            return None
        return _typed(next(a for a in typing.get_args(hint) if a is not type(None)), value, where)
    if origin is tuple:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            raise ConfigurationError(f"{where} is {value!r}; expected a list")
        return tuple(_typed(typing.get_args(hint)[0], part, where) for part in value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        try:
            return hint(value)
        except ValueError:
            raise ConfigurationError(
                f"{where} is {value!r}; expected one of {', '.join(hint)}"
            ) from None
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    if isinstance(value, bool) or not isinstance(value, hint):
        raise ConfigurationError(f"{where} is {value!r}; expected {hint.__name__}")
    return value
