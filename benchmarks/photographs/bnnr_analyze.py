"""What bnnr's `analyze` (0.8) says of the models of the benchmark that are kept in a folder.

It looks at saliency maps with fixed limits: a finding "background_focus_suspected" or
"artifact_focus_suspected" speaks of a shortcut, of whatever kind and without pictures to name it.
So any such finding counts as a find where a plant is in use, and beside it stands how often there
is one where none is. Its command line loads models of its own only; its Python interface takes any.

    pip install bnnr
    python -m benchmarks.photographs.bnnr_analyze --folder F --seeds 295 355

Models that are not in the folder are left out (`python -m benchmarks.photographs` makes them). With
--part several processes share them out.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.photographs.cases import Case, case_of
from benchmarks.photographs.models import USED, Made, load, read, shown_to
from benchmarks.photographs.tables import rate
from melaudit.stopwatch import processor_seconds

FOCUS = frozenset({"background_focus_suspected", "artifact_focus_suspected"})
"""Findings that speak of a shortcut."""
PROBED = 40
"""Images whose saliency maps it computes; its own default, 500, is more than there are."""


def main() -> None:
    """Analyze the models that are kept, and print how often there is an alarm."""
    options = _options()
    torch.set_num_threads(1)
    part, parts = (int(v) for v in options.part.split("/"))
    rows = []
    for seed in range(*options.seeds):
        case = case_of(seed)
        kept = options.folder / case.name
        said = kept / "bnnr.json"
        if not (kept / "made.json").exists():
            continue
        made = read(kept)
        if not said.exists():
            if seed % parts != part - 1:
                continue
            began = processor_seconds()
            types = _finding_types(case, made, options.side)
            seconds = round(processor_seconds() - began)
            said.write_text(json.dumps({"findings": types, "seconds": seconds}))
        known = json.loads(said.read_text())
        used = any(use >= USED for use in made.uses.values())
        rows.append((used, alarms(known["findings"])))
        print(f"{case.name:60} in use {used!s:6} {', '.join(known['findings'])}", flush=True)
    for title, wanted in (("a plant in use", True), ("none in use", False)):
        print(f"alarms on models with {title}: {rate([a for u, a in rows if u == wanted])}")


def alarms(findings: Sequence[str]) -> bool:
    """Tell whether one of the types of findings speaks of a shortcut."""
    return bool(FOCUS & set(findings))


def _finding_types(case: Case, made: Made, side: int) -> list[str]:
    from bnnr.adapter import SimpleTorchAdapter
    from bnnr.analyze import analyze_model

    model = load(case, made, side)
    images, labels = shown_to(case, made, side)
    adapter = SimpleTorchAdapter(
        model, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), 0.1), device="cpu"
    )
    loader = DataLoader(TensorDataset(images, labels), batch_size=32)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        report = analyze_model(
            adapter, loader, device="cpu", run_data_quality=False, xai_samples=PROBED
        )
    return [str(finding["finding_type"]) for finding in report.findings]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.photographs.bnnr_analyze",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("out/photographs"), help="what is kept")
    parser.add_argument("--seeds", nargs=2, type=int, default=[0, 12], metavar=("FROM", "BELOW"))
    parser.add_argument("--part", default="1/1", help="which of how many shares of the seeds: 2/4")
    parser.add_argument("--side", type=int, default=96, help="of the model's input, in pixels")
    return parser.parse_args()


if __name__ == "__main__":
    main()
