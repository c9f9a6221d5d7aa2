"""Inject every fault and say what became of the audit: python -m tests.faults --table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.faults import acts
from tests.faults.cases import all_faults, met, row


def main() -> int:
    """Print a row for each fault, or only for those that ended otherwise; 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="a row of Markdown for every fault")
    parser.add_argument(
        "--only",
        action="append",
        help="faults in whose area or name this occurs; may be given again",
    )
    parser.add_argument(
        "--calls", type=int, default=acts.MAX_CALLS, help="calls that all fail in turn; then some"
    )
    given = parser.parse_args()
    acts.MAX_CALLS = given.calls
    if given.table:
        print("| area | fault | must be | was |\n| --- | --- | --- | --- |")
    only = given.only or [""]
    faults = [f for f in all_faults() if any(text in f"{f.area} {f.name}" for text in only)]
    wrong = 0
    for fault in faults:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            outcome = fault.act(Path(folder), None)
        good = met(fault, outcome)
        wrong += not good
        if given.table or not good:
            print(row(fault, outcome), flush=True)
        print(f"{time.monotonic() - start:.0f} s: {fault.name}", file=sys.stderr)
    print(f"{len(faults) - wrong} of {len(faults)} as they must be", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
