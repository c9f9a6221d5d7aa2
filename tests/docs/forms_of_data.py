"""Every form of data that people have, made small."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from melaudit.images.dataset import open_dataset
from tests.docs.forms import Form, Subject

CLASSES = ("benign", "malignant")


def images(*paths: str) -> None:
    """Write small images."""
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (180, 120, 100)).save(path)


def opened(place: str, **options: Any) -> str:
    """Open the data, and say what they are as `melaudit run` does."""
    data = open_dataset(Path(place), **options)
    lost = "".join(f"; skipped: {n} {why}" for why, n in data.skipped.items())
    return f"data: {data.describe()}{lost}"


def in_folders(names: Sequence[str], **options: Any) -> str:
    """Write a folder of images for each name, and open what holds them."""
    images(*(f"images/{name}/{name}{i}.png" for name in names for i in range(2)))
    return opened("images", **options)


def in_table(rows: Sequence[Sequence[object]], name: str = "labels.csv", **options: Any) -> str:
    """Write a table beside a folder of images, and open it; the first row names the columns."""
    images(*(f"images/{i}.png" for i in range(4)))
    table = pd.DataFrame(rows[1:], columns=list(rows[0]))
    if name.endswith(".parquet"):
        table.to_parquet(name)
    else:
        table.to_csv(name, index=False, sep="\t" if name.endswith(".tsv") else ",")
    return opened(name, **options)


def flat() -> str:
    """Write images without labels, and open their folder."""
    images("images/0.png", "images/1.png")
    return opened("images")


def empty() -> str:
    """Make an empty folder, and open it."""
    Path("images").mkdir()
    return opened("images")


def splits() -> str:
    """Write a folder of splits, and open it."""
    images("images/train/benign/a.png", "images/test/benign/b.png")
    return opened("images")


def other_file() -> str:
    """Write a file that is no table, and open it."""
    Path("notes.docx").write_bytes(b"PK")
    return opened("notes.docx")


PLAIN = [("image", "label"), *((f"{i}.png", CLASSES[i % 2]) for i in range(4))]
ONE_HOT = [("image", "MEL", "NV"), *((f"{i}", 1.0 - i % 2, float(i % 2)) for i in range(4))]
HAM = [
    ("lesion_id", "image_id", "dx", "age", "sex", "localization"),
    *((f"L{i // 2}", f"{i}", ("mel", "nv")[i // 2], 50, "male", "back") for i in range(4)),
]
ELSEWHERE = [("image", "label"), *((f"other{i}.png", CLASSES[i % 2]) for i in range(4))]
UNNAMED = [("which", "what"), *((f"x{i}", CLASSES[i % 2]) for i in range(4))]

HEAD = """\
# Every form of data

Written by `make reference`: each form below is made by `tests/docs/forms_of_data.py`, given to
melaudit, and its answer copied here; a test checks that the answers are current.

Images that cannot be used are counted and named with the reason, never silently dropped, and no
audit passes on less than the declared coverage (`--max-skipped`). When accuracy is near chance,
or the classes look swapped, the verdict is inconclusive and says why. Images without labels will
do, but then nothing is known of classes: what depends on labels is not tested.

What else is known of the images can be given too:

* `--object-masks DIR` (also `--lesion-masks`): masks of what the model is to look at, named as
  the image, perhaps with `_segmentation`.
* `--domain dermoscopy|radiograph|photo`: which artifacts come up and what things are called;
  without it the images decide, and the report says why ([domains](domains.md)).
* `--artifact-labels TABLE`: a column of image names and a column of 0 and 1 per artifact. Your
  word replaces our finder's; columns that no finder knows become artifacts of their own.
  `--artifact-masks DIR`: the same as masks, in `DIR/ruler/IMAGE.png`.
* `--train-data DIR`: the images the model was trained on. A model may react to a ring it never
  saw; only these tell whether it could have learned to. A sample of `--train-sample` images,
  balanced over the classes, is looked through.
* Columns `patient_id` or `lesion_id` of the data table: images of one patient are resampled
  together. Columns of site, sex, age, source and instrument are audited.

## What is taken
"""
REFUSED = """\
## What is refused, and the way out
"""

USED = (
    Form(
        "A folder with a folder for each class",
        "The order of the outputs is that of the names, unless `--classes` says another.",
        "--model ckpt.pt --data images",
        partial(in_folders, CLASSES),
    ),
    Form("A folder of images without labels", "", "--model ckpt.pt --data images", flat),
    Form(
        "A CSV table of images and labels",
        "Images are sought beside the table; `--image-root` names another folder, "
        "`--image-column` and "
        "`--label-column` name columns that are called something else. TSV and parquet are "
        "the same.",
        "--model ckpt.pt --data labels.csv --classes benign,malignant",
        partial(in_table, PLAIN, classes=CLASSES),
    ),
    Form(
        "A parquet table",
        "",
        "--model ckpt.pt --data labels.parquet",
        partial(in_table, PLAIN, name="labels.parquet"),
    ),
    Form(
        "The ground truth of ISIC: a column for each class",
        "",
        "--model ckpt.pt --data labels.csv",
        partial(in_table, ONE_HOT),
    ),
    Form(
        "The metadata of HAM10000",
        "Images of one lesion are resampled together; age, sex and site are audited.",
        "--model ckpt.pt --data metadata.csv",
        partial(in_table, HAM, name="metadata.csv"),
    ),
    Form(
        "More labels than the model has classes",
        "Join them: `--class-map`; `NAME=` leaves the images of a label out.",
        "--model ckpt.pt --data images --classes benign,malignant --class-map "
        "nevus=benign,keratosis=benign,melanoma=malignant",
        partial(
            in_folders,
            ("nevus", "keratosis", "melanoma"),
            classes=CLASSES,
            class_map={"nevus": "benign", "keratosis": "benign", "melanoma": "malignant"},
        ),
    ),
)
REFUSALS = (
    Form("Nothing there", "", "--model ckpt.pt --data images", partial(opened, "images")),
    Form("An empty folder", "", "--model ckpt.pt --data images", empty),
    Form(
        "A folder of splits",
        "",
        "--model ckpt.pt --data images",
        splits,
    ),
    Form(
        "Labels that are no classes of the model",
        "",
        "--model ckpt.pt --data images --classes benign,malignant",
        partial(in_folders, ("nevus", "melanoma"), classes=CLASSES),
    ),
    Form(
        "A table whose images are elsewhere",
        "",
        "--model ckpt.pt --data labels.csv",
        partial(in_table, ELSEWHERE),
    ),
    Form(
        "A table without a column of images",
        "",
        "--model ckpt.pt --data labels.csv",
        partial(in_table, UNNAMED),
    ),
    Form(
        "A column that is not there",
        "",
        "--model ckpt.pt --data labels.csv --label-column diagnosis",
        partial(in_table, PLAIN, label_column="diagnosis"),
    ),
    Form("A file that is no table", "", "--model ckpt.pt --data notes.docx", other_file),
)

SUBJECT = Subject("docs/data.md", HEAD, USED, REFUSED, REFUSALS)
