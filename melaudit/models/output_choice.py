"""Which of several outputs of a model is audited, and a model that returns only that one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from melaudit.errors import CheckpointError
from melaudit.relevance.model.outputs import candidate_outputs
from melaudit.wording.names import visible


@dataclass(frozen=True)
class ModelOutput:
    """One output of a model that could be its logits."""

    name: str
    """As `CandidateOutput.name`."""
    width: int
    """Number of columns."""
    under_logits: bool

    def __str__(self) -> str:
        return f"{visible(self.name) or 'output'} ({self.width} wide)"


class _TakeOutput:
    """A forward hook that returns one output in place of all. It can be copied and pickled."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: nn.Module, inputs: object, returned: object) -> Tensor | None:
        if isinstance(returned, Tensor):
            return None
        return next(c.logits for c in candidate_outputs(returned) if c.name == self.name)


def outputs_of(returned: object) -> tuple[ModelOutput, ...]:
    """Describe the outputs in what a model returned, the likeliest first."""
    return tuple(
        ModelOutput(c.name, c.logits.shape[1], c.under_logits) for c in candidate_outputs(returned)
    )


def choose_output(
    outputs: Sequence[ModelOutput], wanted: str | None, classes: int | None
) -> tuple[ModelOutput | None, tuple[str, ...]]:
    """Return the output to audit, and a note that names it and the others; None if there is one.

    wanted: the user's own choice, a name or a place among `outputs`. classes: how many classes the
    user or the data name. Raises CheckpointError if there is no output of that name or place.
    """
    listed = ", ".join(map(str, outputs))
    if wanted is not None and len(outputs) < 2:
        raise CheckpointError(f"--output {visible(wanted)}: the model returns one output only")
    if wanted is not None:
        found = [o for o in outputs if o.name == wanted]
        if not found and wanted.isdecimal() and int(wanted) < len(outputs):
            found = [outputs[int(wanted)]]
        if not found:
            raise CheckpointError(
                f"--output {visible(wanted)}: the model returns {listed}; give "
                " one of these names, or its place from 0"
            )
        return found[0], ()
    if len(outputs) < 2 or sum(o.under_logits for o in outputs) == 1:
        return None, ()
    widths = () if classes is None else (2, 1) if classes == 2 else (classes,)
    fitting = [o for width in widths for o in outputs if o.width == width]
    taken = (fitting or list(outputs))[0]
    why = ""
    if fitting:
        alike = sum(o.width == taken.width for o in outputs) > 1
        why = f", the first for {classes} classes" if alike else f", the one for {classes} classes"
    return taken, (
        f"The model returns {len(outputs)} outputs: {listed}. {visible(taken.name)} was taken"
        f"{why}; --output NAME takes another one.",
    )


def returning_only(model: nn.Module, output: ModelOutput) -> None:
    """Make a model return one of its outputs instead of all."""
    model.register_forward_hook(_TakeOutput(output.name))
