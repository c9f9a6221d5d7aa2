"""Which images two audits had right, image by image, from the tables in their folders."""

from __future__ import annotations

from pathlib import Path

from melaudit.findings import Findings
from melaudit.reports.comparison.figure_change import Pairs, Shared, shared_images

TABLE = "images.parquet"


def paired_answers(before: Findings, after: Findings, folders: tuple[Path, Path]) -> Pairs | None:
    """Return whether each labelled image was right in the first audit, and in the second.

    None where the audits are of different images, or a folder has no table of them.
    """
    tables = [folder / TABLE for folder in folders]
    if shared_images(before, after) is Shared.NOTHING or not all(t.is_file() for t in tables):
        return None
    import pandas as pd

    columns = ["id", "label", "prediction"]
    first, second = (pd.read_parquet(table, columns=columns) for table in tables)
    both = first.merge(second, on="id", suffixes=("_before", "_after")).dropna()
    both = both[both["label_before"] == both["label_after"]]
    both = both[both["label_before"] != ""]
    right = tuple(
        (both[f"label_{side}"] == both[f"prediction_{side}"]).to_numpy(bool)
        for side in ("before", "after")
    )
    return (right[0], right[1]) if len(both) else None
