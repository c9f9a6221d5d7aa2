"""On photographs: is what was planted found, named or not, and is what is claimed true?

Plants are cut out of other photographs (`plants`): rings, rulers, ink, hair, bubbles, lettering,
stickers; white balance, blur and JPEG of the whole picture are torchvision's. They go with one
class of photographs of skin (HAM10000), or with tiles of photographs that show none. A third of the
models has no plant, a fifth of the others two. EfficientNet-Lite0 has weights of ImageNet; a narrow
ResNet18 and a small ViT start from nothing.

A model counts when it uses its plant, by a rule that was written down first (`models.USED`), on
photographs that nothing has seen. Each is audited twice: by default, and with every named detector
off (`--without artifacts`). Columns:

    found      a finding of dependence about the artifact that the plant is, towards its class
    either     that, or a discovered artifact of dependence that is called what the plant is, or
               whose images show the plant
    grouped    a group holds the plant (purity .8, recall .6)
    proven     with named detectors off: such a discovered artifact
    claims     findings of dependence, each tried again with edits of other code (`edits`): about
               the plant, true, false, or untried where there is no such edit

Photographs have cues of their own, so a claim is false only where other edits do not move
decisions. Seeds below 100 are for work; those from 100 on are reported, and each is run once, in
rising order (see `cases.case_of`: plants, backbones and clean models alternate). What is kept in
--folder is not computed twice, so that a run may be stopped, and shared out. With --record the rows
of reported seeds are added to `reported.csv` and `claims.csv` beside this file; --reported prints
what these hold.

    python -m benchmarks.photographs --folder F --seeds 100 235 --record --until 09:58
    python -m benchmarks.photographs --reported --document docs/detection.md

Run it where ../shared/data holds the photographs (see plants.DATA). Needs the extra `bench`; what
of the rivals is not installed has no figure.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import torch

from benchmarks.photographs import record, tables
from benchmarks.photographs.cases import LAST, REPORTED, case_of
from benchmarks.photographs.rows import Result, Sizes, credited, examined

MARKS = ("<!-- reported seeds -->", "<!-- end of reported seeds -->")
"""Between which a document has the tables."""


def main() -> None:
    """Examine the cases that are missing, and print what is known."""
    options = _options()
    if options.reported:
        for line in of_reported():
            print(line)
        if options.document:
            documented(options.document)
        return
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    sizes = Sizes(options.side, options.epochs, options.edits)
    part, parts = (int(v) for v in options.part.split("/"))
    code = record.commit()
    recorded = {row.seed for row in tables.rows_of(record.read())}
    results = []
    for seed in range(*options.seeds):
        case = case_of(seed)
        kept = (options.folder / f"{case.name}.json").exists()
        if not kept and (options.so_far or seed % parts != part - 1 or _late(options.until)):
            continue
        if options.record and seed in recorded:
            continue
        results.append(examined(case, options.folder, sizes))
        if options.record:
            if seed < REPORTED:
                raise SystemExit(f"seed {seed} is for work; those from {REPORTED} on are reported")
            record.add(results[-1], code)
        for line in _lines(credited(results[-1])):
            print(line, flush=True)
    print()
    for line in tables.everything(results):
        print(line)


def of_reported() -> list[str]:
    """Return the tables of the reported seeds that were run, and which were not."""
    results = record.read()
    run = {row.seed for row in tables.rows_of(results)}
    every = range(REPORTED, LAST + 1)
    return [
        f"{len(run)} of {len(every)} reported seeds were run, {len(every) - len(run)} were not.",
        "",
        *tables.everything(results),
    ]


def documented(path: Path) -> None:
    """Write the tables of the reported seeds into a document, between its two marks."""
    before, rest = path.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    block = "\n".join(["", "", *of_reported()])
    path.write_text(f"{before}{MARKS[0]}{block}{MARKS[1]}{after}")


def _late(until: datetime.time | None) -> bool:
    """Tell whether no model is to be begun any more."""
    return until is not None and datetime.datetime.now().time() >= until


def _lines(result: Result) -> list[str]:
    mark = {True: "yes", False: "-"}
    lines = [
        f"{row.seed:>4} {row.pictures:6}{row.backbone:20}{row.plant or 'clean':14}{row.share:>4.0%}"
        f"  accuracy {row.accuracy:.2f}  use {100 * row.use:>4.0f}  found {mark[row.found]:4}"
        f"discovered {mark[row.discovered]:4}grouped {mark[row.grouped]:4}"
        f"proven {mark[row.proven]:4}made {result.making:.0f} s, audited {result.seconds:.0f} + "
        f"{result.seconds_bare:.0f} s, judged {result.judging:.0f} s {row.error}"
        for row in result.rows
    ]
    return lines + [
        f"       {claim.verdict:8}{claim.audit:8} {claim.finding} ({claim.severity}) towards "
        f"{claim.towards}"
        + ("" if claim.moved is None else f", other edits: {100 * claim.moved:+.0f} of 100")
        for claim in result.claims
    ]


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
    parser.add_argument("--edits", type=int, default=20, help="images of each class")
    parser.add_argument("--until", type=datetime.time.fromisoformat, help="begin no model after it")
    parser.add_argument("--so-far", action="store_true", help="only print what is kept")
    parser.add_argument("--record", action="store_true", help="add rows beside this code")
    parser.add_argument("--reported", action="store_true", help="only print what is recorded")
    parser.add_argument("--document", type=Path, help="with --reported: write it there as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
