"""Artifacts as transforms: what goes in and comes out, and what a DataLoader makes of them."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from benchmarks.pictures import radiograph
from melaudit.artifacts import Artifact, artifacts
from melaudit.artifacts.interface import Edited, Mask
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.artifacts.kinds.ruler import Ruler
from melaudit.artifacts.transforms import Put, Remove
from melaudit.domains import domain
from melaudit.errors import ArtifactError
from tests.artifacts.pictures import RGB, lesion, skin

IN_RADIOGRAPHS = ("side_marker", "annotation", "tube", "black_border", "inverted")
of_every_kind = pytest.mark.parametrize("artifact", artifacts(), ids=lambda a: a.id)


def clean(artifact: Artifact) -> RGB:
    """A picture without it; not small, which is an artifact of its own."""
    if artifact.id in IN_RADIOGRAPHS:
        return radiograph(np.random.default_rng(0), False, side=260)
    return lesion(skin(260, 260))


def tensor(image: RGB) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


def pixels(picture: Any) -> RGB:
    """The pixels of whatever came out, as (h, w, 3)."""
    if isinstance(picture, Image.Image):
        return np.asarray(picture)
    array = picture.numpy().transpose(1, 2, 0)
    return np.asarray(array if array.dtype == np.uint8 else np.rint(array * 255), np.uint8)


def made(transform: v2.Transform, picture: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return transform(picture)


@pytest.fixture(autouse=True)
def _own_draws() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        yield


@of_every_kind
def test_every_artifact_is_put_into_every_type_of_picture_alike(artifact: Artifact) -> None:
    image = clean(artifact)
    put = Put(artifact.id, p=1)
    one = made(put, Image.fromarray(image))
    eight = made(put, tensor(image))
    floats = made(put, tensor(image).float() / 255)
    wrapped = made(put, tv_tensors.Image(tensor(image)))
    assert (pixels(one) != image).any()
    for other in (eight, floats, wrapped):
        assert (pixels(other) == pixels(one)).all()
    assert isinstance(one, Image.Image) and one.mode == "RGB"
    assert type(eight) is torch.Tensor and eight.dtype == torch.uint8
    assert type(floats) is torch.Tensor and floats.dtype == torch.float32
    assert type(wrapped) is tv_tensors.Image and wrapped.dtype == torch.uint8
    assert (pixels(made(put, Image.fromarray(image), seed=1)) != pixels(one)).any()


@of_every_kind
def test_every_artifact_that_is_found_is_taken_out_and_where_none_is_nothing_is_done(
    artifact: Artifact,
) -> None:
    image = clean(artifact)
    remove = Remove(artifact.id)
    assert (pixels(remove(tensor(image))) == image).all()
    for seed in range(8):  # until one is found, and taken out so that its finder says so
        shown = artifact.add(image, np.random.default_rng(seed)).image
        if artifact.id == "picture_size":  # its edit shows what it does, its finder sees the shape
            shown = np.ascontiguousarray(shown[:100])
        found = artifact.find(shown)
        left = pixels(remove(Image.fromarray(shown)))
        if not found.present:
            assert (left == shown).all()
        elif artifact.id == "picture_size":
            assert (left != shown).any()
            return
        elif artifact.find(left).score < found.score:
            return
    pytest.fail("it was never found, or never taken out")


@of_every_kind
def test_every_transform_can_be_pickled_and_says_what_it_is(artifact: Artifact) -> None:
    for transform in (Put(artifact.id, p=1), Remove(artifact.id, p=1)):
        again = pickle.loads(pickle.dumps(transform))
        assert repr(again) == f"{type(transform).__name__}({artifact.id!r}, p=1)"
        image = tensor(lesion(skin(64, 64)))
        assert (made(again, image) == made(transform, image)).all()


def test_what_shows_it_already_does_not_get_it_twice() -> None:
    ringed = made(Put("dark_ring", p=1), tensor(lesion(skin())))
    assert (made(Put("dark_ring", p=1), ringed, seed=5) == ringed).all()


def test_a_share_of_the_images_is_edited() -> None:
    image = tensor(lesion(skin(48, 48)))
    tinted = (image * torch.tensor([0.4, 0.7, 1.0])[:, None, None]).to(torch.uint8)
    torch.manual_seed(0)
    for p, times in ((0.0, 5), (0.3, 120), (1.0, 5)):
        for transform, given in (
            (Put("colour_cast", p), image),
            (Remove("colour_cast", p), tinted),
        ):
            share = np.mean([bool((transform(given) != given).any()) for _ in range(times)])
            assert abs(share - p) <= 3 * (p * (1 - p) / times) ** 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_keep_type_and_what_the_edit_leaves_alone(dtype: torch.dtype) -> None:
    exact = (torch.rand(3, 80, 80) * 0.2 + 0.7).to(dtype)
    ringed = made(Put("dark_ring", p=1), exact)
    assert ringed.dtype == dtype
    middle = (slice(None), slice(36, 44), slice(36, 44))
    assert (ringed[middle] == exact[middle]).all()
    assert ringed[:, 0, 0].max() < 0.3 < 0.6 < exact[:, 0, 0].min()


def test_pictures_of_one_sample_are_edited_alike_and_nothing_else_is_touched() -> None:
    image = tv_tensors.Image(tensor(lesion(skin(90, 90))))
    sample = {
        "left": image,
        "right": image.clone(),
        "mask": tv_tensors.Mask(torch.ones(90, 90, dtype=torch.int64)),
        "boxes": tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(90, 90)),
        "label": torch.tensor(3),
        "name": "a.jpg",
    }
    out = made(Put("dark_ring", p=1), sample)
    assert (out["left"] != image).any() and (out["left"] == out["right"]).all()
    for name in ("mask", "boxes", "label", "name"):
        assert out[name] is sample[name]


NORMALISED = v2.functional.normalize(torch.rand(3, 40, 40), [0.5] * 3, [0.2] * 3)
REFUSED = [
    (Image.new("L", (40, 40)), ValueError, "mode L", [v2.RGB()]),
    (Image.new("RGBA", (40, 40)), ValueError, "mode RGBA", [v2.RGB()]),
    (torch.zeros(1, 40, 40, dtype=torch.uint8), ValueError, r"shape \(1, 40, 40\)", [v2.RGB()]),
    (torch.zeros(3, 40, 40, dtype=torch.int16), TypeError, "int16", [v2.ToDtype(torch.uint8)]),
    (np.zeros((40, 40, 3), np.uint8), TypeError, "sample of ndarray", [v2.ToImage()]),
    (NORMALISED, ValueError, "put Put before v2.Normalize", []),
    (torch.full((3, 40, 40), torch.nan), ValueError, "floats from nan", []),
    (torch.zeros(40, 40), ValueError, r"shape \(40, 40\)", []),
    (torch.zeros(2, 3, 40, 40), TypeError, "batch of shape", []),
    (tv_tensors.Video(torch.zeros(2, 3, 40, 40)), TypeError, "video or batch", []),
    ("a.jpg", TypeError, "sample of str", []),
]


@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize(("picture", "error", "message", "remedy"), REFUSED)
def test_what_is_not_taken_is_refused_whatever_is_drawn_and_the_remedy_works(
    picture: Any, error: type[Exception], message: str, remedy: list[v2.Transform], p: float
) -> None:
    put = Put("dark_ring", p=p)
    with pytest.raises(error, match=message) as refused:
        put(picture)
    assert "RGB" in str(refused.value)
    for before in remedy:
        assert f"v2.{type(before).__name__}(" in str(refused.value)
        v2.Compose([before, put])(picture)


def test_names_and_shares_that_do_not_exist_are_refused() -> None:
    with pytest.raises(
        ArtifactError, match=r"no artifact is named 'dark_rings'; did you mean 'dar"
    ):
        Put("dark_rings")
    with pytest.raises(ArtifactError, match="there is: dark_ring, "):
        Remove("xyz")
    with pytest.raises(ValueError, match=r"got p=1.5; expected .* 0 to 1"):
        Put("dark_ring", p=1.5)
    with pytest.raises(ValueError, match=r"Remove\('colour_cast'\)"):
        Remove("colour_cast.bluish")


def test_a_kind_a_field_and_the_make_of_some_images_can_be_named() -> None:
    # A lamp of one hue, drawn many times, stays on one side of grey.
    image = tensor(lesion(skin(280, 280)))
    for seed in range(4):
        blue = made(Put("colour_cast.bluish", p=1), image, seed).double() - image
        assert blue[2].mean() > blue[0].mean()
    photo = domain("photo").artifact("brightness")
    assert Put(photo).artifact is photo
    with pytest.raises(ArtifactError, match="no artifact is named 'dark_ring'"):
        domain("photo").artifact("dark_ring")
    make = Ruler().like([Ruler().add(clean(DarkRing()), np.random.default_rng(2)).image])
    assert (made(Put(make, p=1), image) != image).any()


class Careless(DarkRing):
    """An artifact of somebody else, whose edits are pictures of another type."""

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        edited = super().add(image, rng, dose)
        return replace(edited, image=edited.image / 255)  # type: ignore[arg-type]

    def remove(self, image: RGB, mask: Mask) -> Edited:
        return replace(super().remove(image, mask), image=image[:-1])


def test_an_artifact_that_breaks_its_contract_is_named() -> None:
    plain = clean(Careless())
    with pytest.raises(ArtifactError, match="artifact dark_ring: add gave an array"):
        made(Put(Careless(), p=1), Image.fromarray(plain))
    ringed = DarkRing().add(plain, np.random.default_rng(0)).image
    with pytest.raises(ArtifactError, match="artifact dark_ring: remove gave an array"):
        made(Remove(Careless()), Image.fromarray(ringed))


class Same(Dataset[torch.Tensor]):
    """One picture, many times."""

    def __init__(self, transform: v2.Transform) -> None:
        self.image, self.transform = Image.fromarray(lesion(skin(48, 48))), transform

    def __len__(self) -> int:
        return 12

    def __getitem__(self, number: int) -> torch.Tensor:
        out: torch.Tensor = v2.functional.pil_to_tensor(self.transform(self.image))
        return out


def loaded(seed: int, workers: int, transform: v2.Transform) -> torch.Tensor:
    torch.manual_seed(seed)
    loader = DataLoader(Same(transform), batch_size=2, num_workers=workers)
    return torch.cat(list(loader))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_draws_anew_for_every_image_in_every_worker_and_again_for_the_same_seed(
    workers: int,
) -> None:
    # Lamps have so many hues and strengths that no two edits are alike.
    first, again, other = (loaded(seed, workers, Put("colour_cast", p=1)) for seed in (3, 3, 4))
    assert (first == again).all()
    assert not any((a == b).all() for a, b in zip(first, other, strict=True))
    assert not any((a == b).all() for a, b in itertools.combinations(first, 2))


def test_epochs_differ_and_so_do_the_images_that_are_chosen() -> None:
    torch.manual_seed(0)
    loader = DataLoader(Same(Put("colour_cast", p=0.5)), batch_size=2, num_workers=2)
    plain = v2.functional.pil_to_tensor(Same(Put("colour_cast")).image)
    epochs = [torch.cat(list(loader)) for _ in range(2)]
    chosen = [(epoch != plain).flatten(1).any(1).tolist() for epoch in epochs]
    assert chosen[0] != chosen[1]
    assert all(2 <= sum(each) <= 10 for each in chosen)
