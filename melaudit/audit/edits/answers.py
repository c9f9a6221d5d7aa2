"""What the model said of the attempts at one artifact, as it comes in and as it is kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.edits.attempts import Attempt
from melaudit.audit.edits.laboratory import Laboratory, Responses, natural_distances
from melaudit.detectors.rungs.trials import left_alone
from melaudit.measurements import Array, Course, Edit, Stop, Trials


@dataclass
class Answers:
    """What the model said of the attempts at one artifact."""

    edits: dict[str, Edit] = field(default_factory=dict)
    kept: list[tuple[str, int, float]] = field(default_factory=list)
    before: list[NDArray[np.float32]] = field(default_factory=list)
    after: list[NDArray[np.float32]] = field(default_factory=list)
    features: list[NDArray[np.float32] | None] = field(default_factory=list)
    courses: dict[str, Course] = field(default_factory=dict)
    """"add" or "remove" -> how its trial went."""

    def ask(self, laboratory: Laboratory, attempts: Iterable[Attempt]) -> None:
        """Show the attempts to the model, a batch at a time, and keep what it said."""
        for batch in laboratory.viewer.full_batches(attempts):
            laboratory.meet(attempt.row for attempt in batch if attempt.before is None)
            bare = [attempt.before for attempt in batch if attempt.before is not None]
            seen = laboratory.look([*(attempt.picture for attempt in batch), *bare])
            bare_seen = iter(seen.logits[len(batch) :])
            for i, attempt in enumerate(batch):
                if attempt.before is None:
                    before = laboratory.known(attempt.row).logits[0]
                else:
                    before = next(bare_seen)
                self.edits.setdefault(attempt.edit.id, attempt.edit)
                self.kept.append((attempt.edit.id, attempt.row, attempt.dose))
                self.before.append(before)
                self.after.append(seen.logits[i])
                described = attempt.edit.id == "add" and attempt.dose == 1
                self.features.append(seen.features[i] if described else None)

    def join(self, others: Answers) -> None:
        """Take in the answers to other attempts at the same artifact."""
        self.edits |= others.edits
        self.courses |= others.courses
        for name in ("kept", "before", "after", "features"):
            getattr(self, name).extend(getattr(others, name))

    def trials(self, reference: Responses | None = None) -> Trials:
        """Return the trials; reference: natural pictures that distances are measured from."""
        names = list(self.edits)
        ids, rows, doses = zip(*self.kept, strict=True)
        distance = np.full(len(rows), np.nan)
        known = {i: values for i, values in enumerate(self.features) if values is not None}
        if reference is not None and known:
            measured, edited = list(known), np.stack(list(known.values()))
            distance[measured] = natural_distances(edited, np.array(rows)[measured], reference)
        return left_alone(
            Trials(
                edits=tuple(self.edits.values()),
                edit=np.array([names.index(identity) for identity in ids], np.int64),
                rows=np.array(rows, np.int64),
                dose=np.array(doses, np.float64),
                before=np.stack(self.before),
                after=np.stack(self.after),
                distance=distance,
                courses=dict(self.courses),
            )
        )

    def arrays(self) -> dict[str, Array]:
        """Return all of it as arrays, by name, as they are stored."""
        names = list(self.edits)
        ids, rows, doses = zip(*self.kept, strict=True) if self.kept else ((), (), ())
        edits = [dataclasses.asdict(edit) for edit in self.edits.values()]
        courses = {name: dataclasses.asdict(course) for name, course in self.courses.items()}
        known = [i for i, values in enumerate(self.features) if values is not None]
        features = [values for values in self.features if values is not None]
        return {
            "edits": np.array(json.dumps(edits)),
            "courses": np.array(json.dumps(courses)),
            "edit": np.array([names.index(identity) for identity in ids], np.int64),
            "rows": np.array(rows, np.int64),
            "dose": np.array(doses, np.float64),
            "before": np.array(self.before, np.float32),
            "after": np.array(self.after, np.float32),
            "described": np.array(known, np.int64),
            "features": np.array(features, np.float32),
        }

    @staticmethod
    def of(arrays: Mapping[str, Array]) -> Answers:
        """Read what `arrays` wrote."""
        edits = {e["id"]: Edit(**e) for e in json.loads(str(arrays["edits"]))}
        names = list(edits)
        features: list[NDArray[np.float32] | None] = [None] * len(arrays["rows"])
        for i, values in zip(arrays["described"], arrays["features"], strict=True):
            features[int(i)] = values
        courses = {
            name: Course(course["planned"], course["error"], Stop(course["stop"]))
            for name, course in json.loads(str(arrays["courses"])).items()
        }
        return Answers(
            edits,
            [
                (names[int(edit)], int(row), float(dose))
                for edit, row, dose in zip(
                    arrays["edit"], arrays["rows"], arrays["dose"], strict=True
                )
            ],
            list(arrays["before"]),
            list(arrays["after"]),
            features,
            courses,
        )
