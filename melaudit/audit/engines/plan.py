"""The plan of a run: all that another process needs to compute a part of it, in the output folder.

The process that concludes writes it before the first unit and removes it at the end. It is JSON,
and beside it the hashes of the files: reading them runs nothing. A process that joins must be of
the same versions and must see the same model and images, or it is told so and computes nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from melaudit.audit.leases import Leases
from melaudit.audit.prepare.configuration import Configuration, typed
from melaudit.audit.prepare.preparation import Prepared
from melaudit.audit.prepare.provenance import code_fingerprint, versions
from melaudit.errors import ConfigurationError, StoreError
from melaudit.images.storage.address import absolute
from melaudit.publish import publish
from melaudit.settings import settings_of

FOLDER = "plan"
"""Beside the shards, in the output folder."""
_NAME = "plan.json"
_FORMAT = 1
_LOOK = 1.0
"""Seconds between two looks for a plan that is not there yet."""


@dataclass(frozen=True)
class Part:
    """What is audited: one of these for each label of a multi-label model, one for any other."""

    label: str
    folder: str
    """In the output folder."""
    model: str
    """SHA-256 of the checkpoint."""
    images: str
    """Fingerprint of names, sizes and labels."""
    known: str
    """Fingerprint of what the user knows of the images."""

    @classmethod
    def of(cls, prepared: Prepared, folder: str) -> Part:
        """Describe what was prepared."""
        knowledge, dataset = prepared.knowledge.fingerprint, prepared.dataset.fingerprint
        return cls(prepared.label, folder, prepared.loaded.sha256, dataset, knowledge)


@dataclass(frozen=True)
class Plan:
    """What a run is, for the processes that compute it."""

    run: str
    """Tells this run from every other one in the same folder."""
    configuration: Configuration
    device: str
    """Kind of device: cpu, cuda, mps."""
    parts: tuple[Part, ...]
    code: str
    versions: Mapping[str, str]

    @classmethod
    def of(cls, configuration: Configuration, prepared: Sequence[tuple[Prepared, str]]) -> Plan:
        """Plan the run of what was prepared, each with its folder."""
        return cls(
            secrets.token_hex(8),
            configuration,
            prepared[0][0].device.type,
            tuple(Part.of(each, folder) for each, folder in prepared),
            code_fingerprint(),
            versions(),
        )

    def write(self, out: Path, contents: bytes) -> None:
        """Publish the plan; `contents` are the hashes of all files, which all parts have.

        Raises StoreError when the folder cannot be written.
        """
        folder = out / FOLDER
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
        publish(folder / self._contents, contents)
        text = asdict(self) | {"format": _FORMAT, "configuration": _plain(self.configuration)}
        publish(folder / _NAME, json.dumps(text, indent=2).encode())

    @classmethod
    def read(cls, out: Path) -> Plan | None:
        """Return the plan in an output folder; None where there is none.

        Raises StoreError for one that is not of this melaudit.
        """
        try:
            told = json.loads((out / FOLDER / _NAME).read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"the plan of {out} cannot be read: {error}") from error
        try:
            if told["format"] != _FORMAT:
                raise ConfigurationError(_differs("plans", f"format {told['format']}", _FORMAT))
            settings = typed(told["configuration"], str(out / FOLDER / _NAME))
            return cls(
                str(told["run"]),
                Configuration(**settings),
                str(told["device"]),
                tuple(Part(**part) for part in told["parts"]),
                str(told["code"]),
                dict(told["versions"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"the plan of {out} is damaged ({error!r})") from error

    def refuse_other_versions(self) -> None:
        """Raise ConfigurationError unless this process computes what the others do."""
        for name, there in self.versions.items():
            here = versions().get(name, "nothing")
            if here != there:
                raise ConfigurationError(_differs(name, there, here))
        if code_fingerprint() != self.code:
            raise ConfigurationError(_differs("melaudit's code", self.code[:8], "another"))

    def here(self, out: Path, factory: str | None) -> Configuration:
        """Return the settings for a process of this machine, which sees the output folder as `out`.

        LOCAL_RANK, which torchrun and its like set, chooses the device. A factory is code, so the
        folder does not decide on it: raises ConfigurationError unless `factory` names the same.
        """
        wanted = self.configuration.factory
        if wanted is not None and factory != wanted:
            raise ConfigurationError(
                f"the run builds its model with {wanted}, which runs code; a worker does so when "
                f"it is told to: melaudit worker {out} --factory {wanted}"
            )
        device = self.device
        if device == "cuda":
            rank, count = os.environ.get("LOCAL_RANK", ""), torch.cuda.device_count()
            device = f"cuda:{int(rank) % count}" if rank.isdecimal() and count else "cuda"
        return dataclasses.replace(
            self.configuration, out=out, device=device, processes=1, engine_address=None
        )

    def agreed(self, everything: Sequence[Prepared], out: Path) -> list[tuple[Prepared, str]]:
        """Return what this process prepared, with what the files held when the run began.

        Each has its folder in the output folder.

        Raises ConfigurationError when this process sees another model or other images.
        """
        if len(everything) != len(self.parts):
            raise ConfigurationError(_other("the model and its labels"))
        try:
            contents = np.frombuffer((out / FOLDER / self._contents).read_bytes(), np.uint8)
        except OSError as error:
            raise StoreError(f"the plan of {out} is no longer there: {error.strerror}") from error
        agreed = []
        for prepared, part in zip(everything, self.parts, strict=True):
            mine = Part.of(prepared, part.folder)
            for name, what in _SEEN.items():
                if getattr(mine, name) != getattr(part, name):
                    raise ConfigurationError(_other(what))
            rows = contents.reshape(len(prepared.dataset), -1)
            dataset = dataclasses.replace(prepared.dataset, contents=rows)
            agreed.append((dataclasses.replace(prepared, dataset=dataset), part.folder))
        return agreed

    def finished(self, out: Path) -> bool:
        """Tell whether the run is finished: it has taken its plan away, and the folder is there.

        A run that fails or is killed leaves its plan, and storage that is gone has no folder.
        """
        try:
            now = Plan.read(out)
        except StoreError:
            return False
        return out.is_dir() and (now is None or now.run != self.run)

    def leases(self, out: Path, **more: Any) -> Leases:
        """Return the leases on units of this run; `more` are arguments of `Leases`."""
        return Leases(out / FOLDER, self.run, **more)

    @property
    def _contents(self) -> str:
        return f"contents-{self.run}"


_SEEN = {
    "label": "the labels of the model",
    "model": "the model",
    "images": "the images",
    "known": "what is known of the images",
}


def awaited(out: Path, seconds: float) -> Plan:
    """Return the plan of a run that begins within so many seconds.

    Raises StoreError if there is none by then.
    """
    end = time.monotonic() + seconds
    while (plan := Plan.read(out)) is None:
        left = end - time.monotonic()
        if left <= 0:
            raise StoreError(
                f"there is no plan of a run in {out}: the run has not begun, has ended, or writes "
                "to a folder that this machine does not share. Start melaudit run with this --out, "
                "and give workers the same folder"
            )
        time.sleep(min(_LOOK, left))
    return plan


@contextlib.contextmanager
def in_force(plan: Plan, out: Path, contents: bytes) -> Iterator[None]:
    """Have the plan in the output folder; it goes when the run is finished, and not if it fails."""
    plan.write(out, contents)
    yield
    # The plan goes first. A worker that misses another file then sees that the run is finished.
    with contextlib.suppress(OSError):
        (out / FOLDER / _NAME).unlink()
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def _plain(configuration: Configuration) -> dict[str, Any]:
    """Return the settings as JSON's own types, with whole paths; None and defaults are left out."""
    return {
        name: _as_json(getattr(configuration, name))
        for name, setting in settings_of(Configuration).items()
        if getattr(configuration, name) not in (None, setting.default)
    }


def _as_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(absolute(value))
    if isinstance(value, Mapping):
        return {key: _as_json(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_as_json(inner) for inner in value]
    return value


def _differs(what: str, there: object, here: object) -> str:
    return (
        f"this process cannot join the run: {what} {there} computes it, and here is {here}; "
        "install the same versions on all machines"
    )


def _other(what: str) -> str:
    return (
        f"this process cannot join the run: it does not see {what} that the run began with. Give "
        "all machines the same files under the same paths, on storage that they share"
    )
