"""On photographs: is what was planted found, named or not, and is what is claimed true?

Plants are cut out of other photographs (`plants`): rings, rulers, ink, hair, bubbles, lettering,
stickers; white balance, blur and JPEG of the whole picture are torchvision's. They go with one
class of photographs of skin (HAM10000), or with tiles of photographs that show none. A third of the
models has no plant, a fifth of the others two. EfficientNet-Lite0 has weights of ImageNet; ResNet18
and a small ViT start from nothing.

A model counts when it uses its plant, by a rule that was written down first (`models.USED`), on
photographs that nothing has seen. Each is audited twice: by default, and with every named detector
off (`--without artifacts`). Columns:

    found      a finding of dependence about the artifact that the plant is
    either     that, or a discovered artifact of dependence whose images show the plant
    grouped    with named detectors off: a group holds the plant (purity .8, recall .6)
    proven     with named detectors off: a discovered artifact of dependence whose images show it
    claims     findings of dependence, each tried again with edits of other code (`edits`): about
               the plant, true, false, or untried where there is no such edit

Photographs have cues of their own, so a claim is false only where other edits do not move
decisions. Seeds below 100 are for work; those from 100 on are reported and run once. What is kept
in --folder is not computed twice, so that a run may be stopped, and shared out:

    python -m benchmarks.photographs --folder F --seeds 100 235 --part 1/4

Run it where ../shared/data holds the photographs (see plants.DATA). Needs the extra `bench`; what
of the rivals is not installed has no figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.photographs.cases import REPORTED, case_of
from benchmarks.photographs.rows import Result, Row, Sizes, examined, severe
from melaudit.statistics.estimates import proportion


def main() -> None:
    """Examine the cases that are missing, and print what is known."""
    options = _options()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    sizes = Sizes(options.side, options.epochs, options.edits)
    part, parts = (int(v) for v in options.part.split("/"))
    results = []
    for seed in range(*options.seeds):
        case = case_of(seed)
        kept = (options.folder / f"{case.name}.json").exists()
        if not kept and (options.so_far or seed % parts != part - 1):
            continue
        results.append(examined(case, options.folder, sizes))
        for line in _lines(results[-1]):
            print(line, flush=True)
    print()
    for line in summary(results):
        print(line)


def _lines(result: Result) -> list[str]:
    mark = {True: "yes", False: "-"}
    lines = [
        f"{row.seed:>4} {row.pictures:6}{row.backbone:20}{row.plant or 'clean':14}{row.share:>4.0%}"
        f"  accuracy {row.accuracy:.2f}  use {100 * row.use:>4.0f}  found {mark[row.found]:4}"
        f"discovered {mark[row.discovered]:4}grouped {mark[row.grouped]:4}"
        f"proven {mark[row.proven]:4}{result.seconds:>5.0f} s{result.seconds_off:>5.0f} s"
        for row in result.rows
    ]
    return lines + [
        f"       {claim.verdict:8}{claim.finding} ({claim.severity})"
        + ("" if claim.moved is None else f", other edits: {100 * claim.moved:+.0f} of 100")
        for claim in result.claims
    ]


def summary(results: Sequence[Result]) -> list[str]:
    """Return the tables: rates with Wilson's intervals."""
    rows = [row for result in results for row in result.rows]
    used = [row for row in rows if row.uses]
    clean = [result for result in results if result.clean]
    heads = ("found", "either", "grouped", "proven")
    lines = [
        f"{len(results)} models; plants in use: {len(used)} of {sum(bool(r.plant) for r in rows)}",
        "",
        f"{'of plants in use':22}" + "".join(f"{head:>20}" for head in heads),
    ]
    groups: dict[str, list[Row]] = {"all": used}
    for name in ("plant", "backbone", "pictures", "share"):
        for value in sorted({getattr(row, name) for row in used}):
            groups[f"{value:.0%}" if name == "share" else value] = [
                row for row in used if getattr(row, name) == value
            ]
    for title, some in groups.items():
        if some:
            columns = (
                [row.found for row in some],
                [row.found or row.discovered for row in some],
                [row.grouped for row in some],
                [row.proven for row in some],
            )
            lines.append(f"{title:22}" + "".join(f"{_rate(hits):>20}" for hits in columns))
    for rival in sorted({name for row in used for name in row.rivals}):
        hits = [h for row in used if (h := row.rivals.get(rival)) is not None]
        lines.append(f"{rival:22}{_rate(hits) if hits else 'not installed':>20}")
    ranked = [row for row in used if row.precision is not None]
    if ranked:
        lines += [
            "",
            f"images ranked, {len(ranked)} findings: precision@25 "
            f"{np.mean([row.precision or 0 for row in ranked]):.2f}, recall "
            f"{np.mean([row.recall or 0 for row in ranked]):.2f}",
        ]
    lines += ["", *_claims(results), "", *_alarms(clean)]
    if results:
        lines += [
            "",
            f"an audit takes {np.median([r.seconds for r in results]):.0f} s, without named "
            f"detectors {np.median([r.seconds_off for r in results]):.0f} s (medians)",
        ]
    missed = [row for row in used if not (row.found or row.discovered)]
    return [*lines, "", *(f"missed: {row.case} ({row.plant})" for row in missed)]


def _claims(results: Sequence[Result]) -> list[str]:
    claims = [claim for result in results for claim in result.claims]
    tried = [claim for claim in claims if claim.verdict != "untried"]
    if not tried:
        return ["no claim of dependence"]
    false = [claim.verdict == "false" for claim in tried]
    worse = [claim.verdict == "false" and severe(claim) for claim in tried]
    return [
        f"claims of dependence: {len(claims)}, tried {len(tried)}: false {_rate(false)}, false and "
        f"high or critical {_rate(worse)}"
    ]


def _alarms(clean: Sequence[Result]) -> list[str]:
    if not clean:
        return ["no model without a plant in use"]
    untrue = [any(claim.verdict == "false" for claim in r.claims) for r in clean]
    return [
        f"models without a plant in use, {len(clean)}: a claim of dependence "
        f"{_rate([bool(r.claims) for r in clean])}, a false one {_rate(untrue)}"
    ]


def _rate(hits: Sequence[bool]) -> str:
    share = proportion(sum(hits), len(hits))
    return f"{sum(hits)}/{len(hits)} [{share.low:.2f} {share.high:.2f}]"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.photographs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("out/photographs"), help="what is kept")
    parser.add_argument(
        "--seeds",
        nargs=2,
        type=int,
        default=[0, 12],
        metavar=("FROM", "BELOW"),
        help=f"from {REPORTED} on they are reported, and run once",
    )
    parser.add_argument("--part", default="1/1", help="which of how many shares of the seeds: 2/4")
    parser.add_argument("--side", type=int, default=96, help="of the model's input, in pixels")
    parser.add_argument("--epochs", type=float, default=1.0, help="times the usual number")
    parser.add_argument("--edits", type=int, default=40)
    parser.add_argument("--so-far", action="store_true", help="only print what is kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
