"""Masks find their images by name, and those that cannot be used say why."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melaudit.errors import DatasetError
from melaudit.images.masks import match, open_masks, read_mask


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def half(height: int, width: int, white: int = 255) -> np.ndarray:
    """Return a mask whose left half is marked."""
    values = np.zeros((height, width))
    values[:, : width // 2] = white
    return values


@pytest.mark.parametrize(
    "file",
    ["ISIC_1.png", "ISIC_1_segmentation.png", "isic_1_MASK.bmp", "sub/ISIC_1_Segmentation.png"],
)
def test_a_mask_is_named_as_its_image_with_or_without_an_ending(file: str) -> None:
    assert match([file, "ISIC_11.png"], ["malignant/ISIC_1.jpg", "benign/ISIC_2.jpg"]) == [
        file,
        None,
    ]


def test_folders_tell_images_of_one_name_apart() -> None:
    files = ["benign/1.png", "malignant/1.png"]
    assert match(files, ["benign/1.jpg", "malignant/1.jpg"]) == files


def test_one_mask_is_not_given_to_two_images_of_one_name() -> None:
    assert match(["1.png"], ["benign/1.jpg", "malignant/1.jpg"]) == [None, None]


def test_two_masks_of_one_name_are_no_mask() -> None:
    assert match(["a/1.png", "b/1_mask.png"], ["1.jpg"]) == [None]


@pytest.mark.parametrize("white", [255, 1])
def test_a_mask_may_be_written_as_0_and_255_or_as_0_and_1(tmp_path: Path, white: int) -> None:
    mask = read_mask(save(tmp_path / "m.png", half(20, 40, white)), (20, 40))
    assert not isinstance(mask, str)
    assert mask[:, :20].all()
    assert not mask[:, 20:].any()


def test_grey_that_compression_left_behind_is_not_marked(tmp_path: Path) -> None:
    mask = read_mask(save(tmp_path / "m.png", half(20, 40) + 9 * (half(20, 40) == 0)), (20, 40))
    assert not isinstance(mask, str)
    assert mask.sum() == 400


def test_a_mask_of_the_large_image_is_shrunk_with_it(tmp_path: Path) -> None:
    mask = read_mask(save(tmp_path / "m.png", half(600, 900)), (100, 150))
    assert not isinstance(mask, str)
    assert mask.shape == (100, 150)
    assert mask[:, :75].all()
    assert not mask[:, 75:].any()


def test_a_mask_of_other_proportions_is_no_use(tmp_path: Path) -> None:
    assert read_mask(save(tmp_path / "m.png", half(60, 90)), (80, 80)) == "of_other_proportions"


def test_a_broken_mask_is_no_use(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", half(60, 90))
    path.write_bytes(path.read_bytes()[:60])
    assert read_mask(path, (60, 90)) == "unreadable"


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = save(tmp_path / "outside" / "a.png", half(8, 8))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").symlink_to(outside)
    save(tmp_path / "masks" / "b.png", half(8, 8))
    assert open_masks(tmp_path / "masks", ["a.jpg", "b.jpg"], "lesion masks").count == 1


def test_masks_that_fit_no_image_are_an_error_that_names_both(tmp_path: Path) -> None:
    save(tmp_path / "masks" / "x.png", half(8, 8))
    with pytest.raises(DatasetError, match=r"x\.png.*a\.jpg"):
        open_masks(tmp_path / "masks", ["a.jpg"], "lesion masks")


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        open_masks(tmp_path / "none", ["a.jpg"], "lesion masks")
