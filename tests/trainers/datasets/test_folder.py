"""Folders of images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from writers import random_images, write_folder, write_picture

from trainers.datasets.folder import Folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four cats and two dogs of 6x5 pixels in grey, and no test split: every picture is full of its number."""
    for number, name in enumerate(("cat/a", "cat/b", "cat/c", "cat/d", "dog/a", "dog/b")):
        write_picture(tmp_path / f"{name}.png", np.full((6, 5), 40 * number, np.uint8))
    return tmp_path


def test_folders_are_classes_in_alphabetical_order(pictures: Path) -> None:
    samples = Folder(str(pictures)).load("train")
    assert Folder(str(pictures)).classes() == ("cat", "dog")
    assert samples.images.shape == (6, 1, 6, 5)
    assert samples.images[:, 0, 0, 0].tolist() == [0, 40, 80, 120, 160, 200]
    assert samples.labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_colour_pictures_come_channels_first(tmp_path: Path) -> None:
    pixels = random_images(2, 6, 5, 3)
    for name, picture in zip(("cat", "dog"), pixels, strict=True):
        write_picture(tmp_path / name / "a.png", picture)
    assert np.array_equal(Folder(str(tmp_path)).load("train").images, pixels.transpose(0, 3, 1, 2))


def test_grey_pictures_among_coloured_ones_become_coloured(pictures: Path) -> None:
    colour = random_images(6, 5, 3)
    write_picture(pictures / "dog" / "z.png", colour)
    images = Folder(str(pictures)).load("train").images
    assert images.shape == (7, 3, 6, 5)
    assert (images[:6] == images[:6, :1]).all()
    assert images[:6, 0, 0, 0].tolist() == [0, 40, 80, 120, 160, 200]
    assert np.array_equal(images[6], colour.transpose(2, 0, 1))


def test_other_files_and_hidden_folders_are_passed_over(pictures: Path) -> None:
    (pictures / "cat" / "notes.txt").write_text("a cat")
    (pictures / ".cache").mkdir()
    (pictures / "README.md").write_text("cats and dogs")
    assert len(Folder(str(pictures)).load("train")) == 6
    assert Folder(str(pictures)).classes() == ("cat", "dog")


def test_a_folder_without_a_test_split_says_so(pictures: Path) -> None:
    with pytest.raises(ValueError, match=rf"{pictures} has no test split\. Expected DIR/CLASS/IMAGE\.png, or"):
        Folder(str(pictures)).load("test")


def test_a_missing_test_folder_beside_train_is_named(tmp_path: Path) -> None:
    shutil.rmtree(write_folder(tmp_path) / "test")
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path / 'test'} does not exist, so there is no test split\."):
        Folder(str(tmp_path)).load("test")


def test_a_class_without_pictures_is_named(pictures: Path) -> None:
    (pictures / "bird").mkdir()
    with pytest.raises(ValueError, match=rf"{pictures / 'bird'} holds no PNG or JPEG file\. Every class needs some"):
        Folder(str(pictures)).load("train")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5])
def test_a_picture_that_is_cut_off_is_named(tmp_path: Path, suffix: str, keep: float) -> None:
    for name in ("cat", "dog"):
        write_picture(tmp_path / name / f"a.{suffix}", random_images(30, 30, 3))
    file = tmp_path / "dog" / f"a.{suffix}"
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])
    with pytest.raises(ValueError, match=rf"{file} is not a readable image \(.+\)\. Replace or remove it\."):
        Folder(str(tmp_path)).load("train")


def test_a_png_with_a_changed_byte_is_named(pictures: Path) -> None:
    file = pictures / "cat" / "c.png"
    content = bytearray(file.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0x55
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{file} is not a readable image"):
        Folder(str(pictures)).load("train")


def test_pictures_of_two_sizes_are_named(pictures: Path) -> None:
    write_picture(pictures / "dog" / "z.png", np.zeros((6, 7), np.uint8))
    message = (
        rf"all images must be of one size, but {pictures}/cat/a\.png is \(6, 5\) .* {pictures}/dog/z\.png is \(6, 7\)"
    )
    with pytest.raises(ValueError, match=message):
        Folder(str(pictures)).load("train")


def test_one_class_is_too_few(pictures: Path) -> None:
    shutil.rmtree(pictures / "dog")
    with pytest.raises(ValueError, match=rf"{pictures} holds 1 class folders, at least 2 are needed"):
        Folder(str(pictures)).load("train")


def test_folder_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder needs a directory, as in folder:my_images\."):
        Folder().load("train")
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path / 'no'} is not a folder\. Expected DIR/CLASS"):
        Folder(str(tmp_path / "no")).load("train")


def test_pictures_of_16_bits_keep_their_contrast(tmp_path: Path) -> None:
    for name, level in (("cat", 10_000), ("dog", 50_000)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 4), level, np.uint16)).save(tmp_path / name / "a.png")
    levels = Folder(str(tmp_path)).load("train").images[:, 0, 0, 0].tolist()
    assert levels == [10_000 // 256, 50_000 // 256]
