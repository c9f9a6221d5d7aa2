"""How many images an audit can have in a given time, from a rehearsal on a few of them."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from melaudit.audit.doctor import examine
from melaudit.audit.forecast import Forecast
from melaudit.audit.prepare.configuration import Configuration
from melaudit.errors import ConfigurationError
from melaudit.images.dataset import Dataset
from melaudit.observer import Observer
from melaudit.publish import publish
from melaudit.regular_file import read_regular
from melaudit.wording.figures import whole_duration
from melaudit.wording.sentences import many

FOLDER, NAME = "shards", "budget.json"
"""Where the number is kept, so that the same command goes on with the same images."""
_MAX_BYTES = 2**16
_TIME = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+)s?)?")


def seconds_of(text: str) -> int:
    """Return the seconds of "90s", "10m", "1h30m". Raises ConfigurationError for other text."""
    found = _TIME.fullmatch(text.strip().lower().replace(" ", ""))
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    whole = 3600 * hours + 60 * minutes + seconds
    if not whole:
        raise ConfigurationError(f"--budget is {text!r}; expected a time such as 90s, 10m or 1h30m")
    return whole


def within(configuration: Configuration, text: str, observer: Observer) -> Configuration:
    """Return the settings with as many images as fit in a time, `limit`; None where all do.

    The time includes this look at the model and a rehearsal on a few images. An output folder in
    which an audit with the same budget was begun says the number. Raises ConfigurationError where
    there is a limit already, several labels are audited, or the time is too short for any image.
    """
    seconds, begun = seconds_of(text), time.monotonic()
    if configuration.limit is not None:
        raise ConfigurationError(
            f"--limit {configuration.limit} and --budget {text} both say how many images there "
            "are; give one of them"
        )
    kept = _kept(configuration.out / FOLDER / NAME, seconds)
    if kept is not None:
        return dataclasses.replace(configuration, limit=kept or None)
    found = examine(configuration, observer)
    if found.label:
        raise ConfigurationError(
            "--budget cannot tell how long the labels of a multi-label model take together; give "
            f"--limit, or audit one label with --output {found.label}"
        )
    left = seconds - (time.monotonic() - begun)
    limit = _most(found.dataset, found.forecast, left, configuration.seed)
    if limit is None:
        least = whole_duration(seconds - left + _needed(found.forecast, found.dataset, 1, 0))
        raise ConfigurationError(
            f"--budget {text} is too short: with one image an audit takes about {least} here. Give "
            "it more, or make it smaller with --edits and --check-images"
        )
    whole = limit == len(found.dataset)
    observer.note(
        f"budget: {text} is enough for {'all ' * whole}{many(limit, 'image')}"
        f"{'' if whole else f' of {len(found.dataset)}'}, as a rehearsal on a few says"
    )
    (configuration.out / FOLDER).mkdir(parents=True, exist_ok=True)
    told = {"seconds": seconds, "limit": 0 if whole else limit}
    publish(configuration.out / FOLDER / NAME, json.dumps(told).encode() + b"\n")
    return dataclasses.replace(configuration, limit=None if whole else limit)


def _kept(file: Path, seconds: int) -> int | None:
    """Return the number of images that was chosen before for this time, 0 for all; None if none."""
    try:
        told = json.loads(read_regular(file, _MAX_BYTES))
        return max(0, int(told["limit"])) if told["seconds"] == seconds else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _most(dataset: Dataset, forecast: Forecast, seconds: float, seed: int) -> int | None:
    """Return the most images that take no longer than so many seconds; None if one does."""

    def fits(images: int) -> bool:
        return _needed(forecast, dataset, images, seed) <= seconds

    return largest(fits, len(dataset))


def _needed(forecast: Forecast, dataset: Dataset, images: int, seed: int) -> float:
    labels = dataset.with_limit(images, seed).labels
    return sum(stage.seconds for stage in forecast.stages(labels))


def largest(fits: Callable[[int], bool], most: int) -> int | None:
    """Return the largest number up to `most` that fits, where all smaller ones do; None if none."""
    if not fits(1):
        return None
    low, high = 1, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
