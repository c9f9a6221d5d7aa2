"""A class map: the labels of the data joined into the classes that the model tells apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from melaudit.domains.registry import FALLBACK, domains
from melaudit.images.classes import in_order
from melaudit.wording.names import as_option, visible
from melaudit.wording.sentences import many

REST = "*"
"""The name in a map that stands for all classes that it does not name."""
_MAX_SHOWN = 12


@dataclass(frozen=True)
class MappedLabels:
    """Labels after a class map."""

    labels: tuple[str | None, ...]
    """(n,) names of classes; None where the label is unknown."""
    kept: tuple[int, ...]
    """The images that are not ignored, as indices into the n images."""
    classes: tuple[str, ...]
    """The names that can occur, in order of name."""
    notes: tuple[str, ...]


def apply_map(
    labels: Sequence[str | None], found: Sequence[str], class_map: Mapping[str, str]
) -> MappedLabels:
    """Join the classes `found` as a map says: name in the data -> name of a class.

    `*` stands for every name that the map does not give, an empty class for images to leave out;
    without `*`, other names stay as they are. Names may differ in case, and numbers in how they
    are written (0, 0.0).
    """
    by_name = {_same(name): visible(target.strip()) for name, target in class_map.items()}
    rest = by_name.pop(REST, None)
    targets = {name: by_name.get(_same(name), name if rest is None else rest) for name in found}
    kept = tuple(i for i, label in enumerate(labels) if label is None or targets[label])
    return MappedLabels(
        labels=tuple(None if label is None else targets[label] for label in labels),
        kept=kept,
        classes=tuple(in_order({target for target in targets.values() if target})),
        notes=_notes(labels, targets, {name: _same(name) for name in class_map}),
    )


def _notes(
    labels: Sequence[str | None], targets: Mapping[str, str], keys: Mapping[str, str]
) -> tuple[str, ...]:
    """Say what was joined, what was left out, and what the map names in vain."""
    joined = [
        f"{target} is {_listed([n for n, t in targets.items() if t == target])}"
        for target in in_order({target for target in targets.values() if target})
    ]
    notes = [f"Classes were joined by --class-map: {'; '.join(joined)}."]
    ignored = [name for name, target in targets.items() if not target]
    if ignored:
        n = sum(label in ignored for label in labels)
        were = "was" if n == 1 else "were"
        notes.append(
            f"{many(n, 'image')} of {_listed(ignored)} {were} left out, as --class-map says."
        )
    present = {_same(name) for name in targets}
    vain = [visible(name) for name, key in keys.items() if key not in present and name != REST]
    if vain:
        notes.append(f"--class-map names {_listed(vain)}, which the data do not have.")
    return tuple(notes)


def _same(name: str) -> str:
    """Return what spellings of one name have in common: case, blanks, 0 and 0.0."""
    plain = visible(name.strip())
    try:
        number = float(plain)
    except ValueError:
        return plain.casefold()
    return str(int(number)) if number.is_integer() else plain.casefold()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_SHOWN]) + " ..." * (len(names) > _MAX_SHOWN)


def offer(found: Sequence[str], classes: Sequence[str] | None, positive: str | None = None) -> str:
    """Return an option --class-map that joins the classes `found` into two, ready to change.

    `classes` are the names of the model's two classes, if they are known. The names tell the
    domain, which knows the diagnoses that belong to the class that matters; where none is known,
    the first class is taken.
    """
    plain = {name: "".join(c for c in name.casefold() if c.isalnum()) for name in found}
    fields = domains()
    field = next((each for each in fields if each.diagnoses & set(plain.values())), FALLBACK)
    known = [name for name in found if plain[name] in field.diagnoses]
    names = tuple(classes or field.joined)
    wanted = {positive} if positive else {"1", *(n for each in fields for n in each.positive)}
    matters = next((name for name in names if name.casefold() in wanted), names[-1])
    other = next(name for name in names if name != matters)
    pairs = [f"{name}={matters}" for name in known or found[:1]]
    return f"--class-map {as_option([*pairs, f'{REST}={other}'])}"
