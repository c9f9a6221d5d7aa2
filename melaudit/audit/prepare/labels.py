"""Multi-label models: each output is a question of its own, and is audited as one.

Such a model says of each of its labels, such as the findings in a chest X-ray, whether an image has
it. Taken one by one, its outputs are models with a single logit, and what the table says of one
label are their two classes: absent and present.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.model_outputs import Answers, answering
from melaudit.choices import Task
from melaudit.errors import ConfigurationError, DatasetError
from melaudit.images.dataset import Dataset
from melaudit.models.architectures import LoadedModel
from melaudit.wording.names import visible
from melaudit.wording.sentences import many

_MAX_NAMED = 12


def is_multi_label(
    task: Task, answers: Answers, outputs: int, marked: int, one_class: bool = False
) -> bool:
    """Decide whether each of a model's outputs is a question of its own.

    `marked` is how many labels a table marks, `one_class` whether the data give each image one
    class. If the user does not say: where the model ends in sigmoids and the data do not give each
    image one class, or where the outputs do not exclude each other and as many labels are marked.
    Raises ConfigurationError for a user's answer that contradicts the model.
    """
    if task is not Task.AUTO:
        if task is Task.MULTI_LABEL and outputs == 1:
            raise ConfigurationError(
                "--task multi-label was given, but the model has one output; leave it out"
            )
        if task is Task.MULTI_LABEL and answers is Answers.EXCLUSIVE:
            raise ConfigurationError(
                f"--task multi-label was given, but the model's {outputs} outputs sum to 1, so "
                "each image has one of them; pass --task single-label"
            )
        return task is Task.MULTI_LABEL
    if outputs == 1 or answers is Answers.EXCLUSIVE or one_class:
        return False
    return answers is Answers.INDEPENDENT or marked == outputs


def refuse_single_label_settings(configuration: Configuration) -> None:
    """Raise ConfigurationError for settings that mean nothing where several labels may hold."""
    if configuration.positive is not None:
        raise ConfigurationError(
            f"--positive {configuration.positive}: the model is multi-label, and each label is "
            f"audited by itself; --output {configuration.positive} audits this one alone"
        )
    if configuration.class_map:
        raise ConfigurationError(
            "--class-map joins classes that exclude each other, and the model is multi-label; "
            "leave it out, or pass --task single-label"
        )


def labels_apart(
    loaded: LoadedModel, dataset: Dataset, user_names: Sequence[str] | None, wanted: str | None
) -> list[tuple[str, LoadedModel, Dataset]]:
    """Return (label, model of one logit, data) for each label that the data say something of.

    `user_names` are those of the outputs, in order; without them, the names are those of the
    table's columns, or of the weights. `wanted` is one label, by name or place: only that one is
    returned. Where no image has a label, all are. Raises DatasetError for names that are not as
    many as the outputs, ConfigurationError for a label that is not there.
    """
    names = _names(loaded, dataset, user_names)
    if wanted is not None and wanted not in names:
        if not (wanted.isdecimal() and int(wanted) < len(names)):
            raise ConfigurationError(
                f"--output {visible(wanted)}: the labels are {_listed(names)}; give one of them, "
                "or its place from 0"
            )
        wanted = names[int(wanted)]
    untold = [name for name in names if dataset.marks and not dataset.has_marks(name)]
    if len(untold) == len(names):
        raise DatasetError(
            f"the table marks {_listed(tuple(dataset.marks))}, and --classes names none of them "
            f"({_listed(names)}); name the outputs as the columns are named"
        )
    audited = [name for name in names if name not in untold] if wanted is None else [wanted]
    notes = [_note(names, audited, user_names is None and bool(dataset.marks))]
    if untold and wanted is None:
        notes.append(f"The table says nothing of {_listed(untold)}, which were not audited.")
    return [
        (
            name,
            dataclasses.replace(
                answering(loaded, names.index(name)), notes=(*loaded.notes, *notes)
            ),
            dataset.of_label(name),
        )
        for name in audited
    ]


def _names(
    loaded: LoadedModel, dataset: Dataset, user_names: Sequence[str] | None
) -> tuple[str, ...]:
    """Return one name for each output."""
    marked = tuple(dataset.marks)
    own = loaded.class_names
    if user_names is None and own is not None and any(map(dataset.has_marks, own)):
        return own
    names = dataset.classes if user_names is not None else marked
    if not names:
        return own or tuple(f"output {i}" for i in range(loaded.outputs))
    if len(names) != loaded.outputs:
        given = "--classes names" if user_names is not None else "the table marks"
        raise DatasetError(
            f"the model has {many(loaded.outputs, 'output')} but {given} "
            f"{many(len(names), 'label')} "
            f"({_listed(names)}); pass --classes with one name for each output, in their order, "
            "named as the columns are: labels without a column are not audited"
        )
    return names


def _note(names: Sequence[str], audited: Sequence[str], by_table: bool) -> str:
    order = (
        f" Outputs are taken to be in the order of the table ({_listed(names)}); --classes gives "
        "another one."
        if by_table
        else ""
    )
    corrected = "; q-values are corrected over the tests of all of them" * (len(audited) > 1)
    return (
        f"The model is multi-label: each of its {len(names)} outputs says of one label whether it "
        f"is present. {len(audited)} of them are audited, each by itself{corrected}.{order} "
        "--task single-label takes the largest output for the decision."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_NAMED]) + " ..." * (len(names) > _MAX_NAMED)
