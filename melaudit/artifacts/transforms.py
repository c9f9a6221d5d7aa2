"""Artifacts as transforms of torchvision, for a training that must not learn them.

    from melaudit.artifacts.transforms import Put, Remove

    transform = v2.Compose([Put("dark_ring", p=0.5), v2.RandomResizedCrop(224), ...])

An artifact that is put into half of the images of every class says nothing of the class any more.
All draws come from torch's random numbers, as those of other transforms: `torch.manual_seed` (or
the generator of a DataLoader) repeats them, and each worker of a DataLoader has its own. Both
transforms leave labels, masks and boxes of a sample as they are. They stand where the picture is
as it was read, before crops and before it is normalised; pictures of many megapixels are best made
smaller first, because an edit takes time for every pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from melaudit.artifacts.held import add, find, remove
from melaudit.artifacts.interface import RGB, Artifact
from melaudit.artifacts.registry import named

PICTURES = "a PIL image of mode RGB, or a tensor (3, h, w) of type uint8 or of floats from 0 to 1"
"""What the transforms take."""
_LARGEST_SEED = 2**63 - 1


class _Edit(v2.Transform):  # type: ignore[misc]  # torchvision carries no types
    """An edit that is made to a share `p` of the samples, with a seed of its own for each."""

    def __init__(self, artifact: str | Artifact, p: float) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"got p={p}; expected the share of images to edit, from 0 to 1")
        self.artifact = named(artifact) if isinstance(artifact, str) else artifact
        self.p = p

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raise TypeError for a sample without a picture: it would pass unchanged, and unseen."""
        if not any(isinstance(each, Tensor | PIL.Image.Image) for each in flat_inputs):
            kinds = ", ".join(dict.fromkeys(type(each).__name__ for each in flat_inputs))
            raise TypeError(
                f"got a sample of {kinds or 'nothing'}; {type(self).__name__} needs {PICTURES}: "
                "put v2.ToImage() before it"
            )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw whether to edit, and the seed of the edit; the pictures of a sample share both."""
        chosen = bool(torch.rand(()) < self.p)
        return {"chosen": chosen, "seed": int(torch.randint(_LARGEST_SEED, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return a picture edited or as it is, of the type it came in; all else as it is.

        Raises TypeError or ValueError for a picture that cannot be edited, chosen or not.
        """
        if isinstance(inpt, tv_tensors.TVTensor) and not isinstance(
            inpt, tv_tensors.Image | tv_tensors.Video
        ):
            return inpt
        before = _pixels(inpt, type(self).__name__)
        if not params["chosen"]:
            return inpt
        after = self.edited(before, np.random.default_rng(params["seed"]))
        return inpt if after is before else _like(inpt, before, after)

    def edited(self, image: RGB, rng: np.random.Generator) -> RGB:
        """Return an image (h, w, 3) edited; the same array where there is nothing to do."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Return the arguments, as `repr` shows them."""
        return f"{self.artifact.id!r}, p={self.p}"


class Put(_Edit):
    """Put an artifact into a share `p` of the images; one that shows it already stays as it is.

    `artifact` is the id of one ("dark_ring"), of a kind of one ("colour_cast.bluish"), or an
    `Artifact`: `melaudit.domains.domain("photo").artifact("brightness")` for the one that is
    sought in pictures of a field, `Ruler().like(images)` for the make that images show. Place,
    size and colour are drawn anew each time.

    Raises ArtifactError for an id that no artifact has and, at an image, for what an artifact must
    not return; ValueError for a share outside 0 to 1.
    """

    def __init__(self, artifact: str | Artifact, p: float = 0.5) -> None:
        super().__init__(artifact, p)

    def edited(self, image: RGB, rng: np.random.Generator) -> RGB:
        """Return an image (h, w, 3) with the artifact; the same array if it was found there."""
        # Twice the artifact would be a new cue, of the class that had it more often.
        if find(self.artifact, image).present:
            return image
        return add(self.artifact, image, rng).image


class Remove(_Edit):
    """Take an artifact out of a share `p` of the images in which its finder finds it.

    What was behind it is made up, as well as pixels allow, and traces can stay; so give images of
    every class the artifact (`Put`) rather than none. A colour cast is taken out of every kind at
    once. For `artifact` and errors see `Put`; ValueError too for a single kind of an artifact.
    """

    def __init__(self, artifact: str | Artifact, p: float = 1.0) -> None:
        super().__init__(artifact, p)
        if getattr(self.artifact, "kind", ""):
            raise ValueError(
                f"{artifact!r} is one kind of an artifact, and its finder finds all kinds; give "
                f"Remove({self.artifact.id!r})"
            )

    def edited(self, image: RGB, rng: np.random.Generator) -> RGB:
        """Return an image (h, w, 3) without the artifact; the same array if none was found."""
        found = find(self.artifact, image)
        return remove(self.artifact, image, found.mask).image if found.present else image


def _pixels(picture: Any, name: str) -> RGB:
    """Return a picture as 8-bit RGB (h, w, 3), or say why that cannot be.

    Raises TypeError for a kind of picture, ValueError for a picture of a kind, that is not taken.
    """
    if isinstance(picture, PIL.Image.Image):
        if picture.mode != "RGB":
            raise ValueError(
                f"got a PIL image of mode {picture.mode}; {name} needs {PICTURES}: put v2.RGB() "
                f"before {name}"
            )
        return np.asarray(picture)
    if isinstance(picture, tv_tensors.Video) or picture.ndim > 3:
        raise TypeError(
            f"got a video or batch of shape {tuple(picture.shape)}; {name} needs {PICTURES}: give "
            "it to the data set, which loads one image at a time"
        )
    if picture.ndim != 3 or picture.shape[0] != 3:
        raise ValueError(
            f"got a tensor of shape {tuple(picture.shape)}; {name} needs {PICTURES}: put v2.RGB() "
            f"before {name}, and give colours as the first axis"
        )
    if picture.dtype != torch.uint8 and not picture.is_floating_point():
        raise TypeError(
            f"got a tensor of type {picture.dtype}; {name} needs {PICTURES}: put "
            f"v2.ToDtype(torch.uint8, scale=True) before {name}"
        )
    values = picture.detach().as_subclass(Tensor).cpu()
    if values.is_floating_point():
        values = values.double()
        if not (values.numel() and 0 <= values.min() and values.max() <= 1):  # NaN is refused too
            span = f"{values.min():.3g} to {values.max():.3g}" if values.numel() else "nothing"
            raise ValueError(
                f"got floats from {span}; {name} needs {PICTURES}: put {name} before v2.Normalize"
            )
        values = (values * 255).round().to(torch.uint8)
    return np.ascontiguousarray(values.permute(1, 2, 0).numpy())


def _like(picture: Any, before: RGB, after: RGB) -> Any:
    """Return the pixels `after` (h, w, 3) as a picture of the same type.

    Floats that the edit left alone keep their exact value.
    """
    if isinstance(picture, PIL.Image.Image):
        return PIL.Image.fromarray(after)
    plain = picture.as_subclass(Tensor)
    new = torch.from_numpy(np.array(after.transpose(2, 0, 1))).to(plain.device)
    if plain.is_floating_point():
        same = torch.from_numpy(np.array((after == before).transpose(2, 0, 1))).to(plain.device)
        new = torch.where(same, plain, (new.double() / 255).to(plain.dtype))
    return tv_tensors.wrap(new, like=picture) if isinstance(picture, tv_tensors.Image) else new
