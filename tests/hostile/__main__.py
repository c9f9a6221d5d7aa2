"""Run every hostile input and say what became of it: python -m tests.hostile --table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.hostile.case import outcome_of
from tests.hostile.cases import all_cases, row


def main() -> int:
    """Print a row for each case, or only those that ended otherwise; 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="a row of Markdown for every case")
    table = parser.parse_args().table
    met: Counter[str] = Counter()
    total: Counter[str] = Counter()
    slowest = 0.0
    if table:
        print("| area | input | must be | was |\n| --- | --- | --- | --- |")
    for case in all_cases():
        with tempfile.TemporaryDirectory() as folder:
            result = outcome_of(case, Path(folder))
        total[case.area] += 1
        met[case.area] += result.met
        slowest = max(slowest, result.seconds)
        if table or not result.met:
            print(row(case, result.outcome))
    for area, n in total.items():
        print(f"{area}: {met[area]} of {n} as they must be", file=sys.stderr)
    print(f"slowest: {slowest:.1f} s", file=sys.stderr)
    return 0 if met == total else 1


if __name__ == "__main__":
    raise SystemExit(main())
