"""Which kind of source a path is: a plain folder or table, or a container or address of images."""

from __future__ import annotations

from pathlib import Path

from melaudit.errors import DatasetError
from melaudit.images.containers import hdf5_index, tar_shards
from melaudit.images.containers.members import Members, extension, why_not
from melaudit.images.files import Omissions
from melaudit.images.imagefile import SUFFIXES
from melaudit.images.storage.address import address_of
from melaudit.images.storage.stored import Stored


def members_of(path: Path, omitted: Omissions) -> Members | None:
    """Return what a container, a folder of tar shards or an address holds; None for anything else.

    Raises DatasetError for one that cannot be read.
    """
    address = address_of(path)
    if address is not None:
        return _behind(address, omitted)
    tar_shards.refuse_packed(path)
    suffix = path.suffix.lower()
    if path.is_dir():
        shards = _shards(path)
        return tar_shards.tar_members(str(path.resolve()), shards, omitted) if shards else None
    if suffix == tar_shards.SUFFIX and path.exists():
        return tar_shards.tar_members(str(path.resolve()), [str(path.resolve())], omitted)
    if suffix in hdf5_index.SUFFIXES and path.exists():
        return hdf5_index.hdf5_members(str(path.resolve()), omitted)
    return None


def _shards(folder: Path) -> list[str]:
    """Return the tar files of a folder that holds neither images nor folders beside them."""
    root = folder.resolve()
    shards = []
    for entry in sorted(root.iterdir()):
        suffix = entry.suffix.lower()
        if entry.name.startswith("."):
            continue
        if suffix in SUFFIXES or entry.is_dir():
            return []
        if suffix == tar_shards.SUFFIX and not entry.is_symlink():
            shards.append(str(entry))
    return shards


def _behind(address: str, omitted: Omissions) -> Members:
    """Return what is below an address: images, or tar shards; or of one tar shard."""
    from melaudit.images.storage import remote  # fsspec takes a while to import

    if address.lower().endswith(tar_shards.SUFFIX):
        return tar_shards.tar_members(address, [address], omitted)
    if extension(address) or Path(address).suffix.lower() in (*hdf5_index.SUFFIXES, ".csv", ".tsv"):
        raise DatasetError(
            f"{address} is one file; expected the address of a folder of images or of tar shards. "
            "Download a table or an HDF5 file; the images of a table may stay where they are: "
            "--image-root ADDRESS"
        )
    objects = remote.listed(address)
    images = [each for each in objects if extension(each.name)]
    if not images:
        shards = [o.address for o in objects if o.name.lower().endswith(tar_shards.SUFFIX)]
        if shards:
            return tar_shards.tar_members(address, shards, omitted)
        raise DatasetError(
            f"no images are listed at {address} ({len(objects)} other objects); expected a folder "
            "of images or of tar shards. Web servers must list their folders, and are not "
            "followed to other addresses"
        )
    sizes, places = {}, {}
    for each in objects:
        reason = why_not(each.name)
        if reason is None and not extension(each.name):
            reason = "not_an_image_extension"
        if reason is None:
            sizes[each.name] = each.size
            places[each.name] = str(Stored(each.address, "", 0, each.size, each.version))
        elif reason:
            omitted.add(reason, each.name)
    return Members(address, "address", sizes, places)
