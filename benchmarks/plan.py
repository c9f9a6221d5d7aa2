"""What it costs to open very many images: as files, in tar shards, in HDF5.

Makes that many small JPEGs in two classes, in a folder of its own, and opens them in a process for
each form: seconds by the clock, processor seconds, the peak of the process's memory, and seconds in
which the content of every image is read.

    python -m benchmarks.plan --images 400000
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import resource
import tarfile
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from melaudit.images.contents import contents_of
from melaudit.images.dataset import open_dataset

PER_SHARD = 10_000
"""Images in a tar file."""


def main() -> None:
    """Print the table."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        forms = _written(Path(folder), options.images)
        print("| form | clock, s | processor, s | peak, MB | all contents, s |")
        print("| --- | --- | --- | --- | --- |")
        for form, path in forms.items():
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                clock, spent, peak, read = pool.submit(_opened, path, options.images).result()
            print(f"| {form} | {clock:.1f} | {spent:.1f} | {peak:.0f} | {read:.1f} |", flush=True)


def _opened(path: Path, images: int) -> tuple[float, float, float, float]:
    begun, spent = time.monotonic(), time.process_time()
    dataset = open_dataset(path)
    clock, spent = time.monotonic() - begun, time.process_time() - spent
    if len(dataset) != images or dataset.skipped:
        raise SystemExit(f"{path} gave {dataset.describe()}, without {dict(dataset.skipped)}")
    begun = time.monotonic()
    contents = contents_of(dataset.paths, lambda _: None)
    read = time.monotonic() - begun
    if not contents.any(1).all():
        raise SystemExit("some images could not be read")
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    peak = max(own.ru_maxrss, children.ru_maxrss) / 1024
    return clock, spent + children.ru_utime + children.ru_stime, peak, read


def _written(root: Path, images: int) -> dict[str, Path]:
    """Write the images in each form; return form -> its place."""
    import h5py

    places = {"folder": root / "folder", "tar shards": root / "shards", "HDF5": root / "x.hdf5"}
    for name in ("folder/a", "folder/b", "shards"):
        (root / name).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    with h5py.File(places["HDF5"], "w") as file:
        for start in range(0, images, PER_SHARD):
            with tarfile.open(root / "shards" / f"{start // PER_SHARD:06}.tar", "w") as shard:
                for k in range(start, min(start + PER_SHARD, images)):
                    name = f"{'ab'[k % 2]}/ISIC_{k:07}.jpg"
                    content = buffer.getvalue() + k.to_bytes(8, "big")  # all differ
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    shard.addfile(info, io.BytesIO(content))
                    (places["folder"] / name).write_bytes(content)
                    file.create_dataset(name, data=np.void(content))
    return places


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__)
    parser.add_argument("--images", type=int, default=400_000)
    parser.add_argument("--folder", type=Path, help="Where to write them; by default with others.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
