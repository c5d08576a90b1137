"""Folders of images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
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


def test_names_are_compared_in_nfc(tmp_path: Path) -> None:
    for split, name in (("train", "caf\u00e9"), ("test", "cafe\u0301")):
        write_picture(tmp_path / split / name / "a.png", random_images(6, 5))
        write_picture(tmp_path / split / "tea" / "a.png", random_images(6, 5))
    assert Folder(str(tmp_path)).classes() == ("caf\u00e9", "tea")
    assert Folder(str(tmp_path)).load("test").labels.tolist() == [0, 1]


def test_a_class_that_is_there_in_nfc_and_in_nfd_is_told(pictures: Path) -> None:
    for name in ("caf\u00e9", "cafe\u0301"):
        write_picture(pictures / name / "a.png", random_images(6, 5))
    with pytest.raises(ValueError, match=r"two folders called 'caf\u00e9' \(in NFC and NFD\)\. Put them into one\."):
        Folder(str(pictures)).load("train")


@pytest.mark.parametrize("names", [("Training", "Testing"), ("TRAIN", "test"), ("training", "Test")])
def test_folders_of_splits_are_known_by_other_names(tmp_path: Path, names: tuple[str, str]) -> None:
    write_folder(tmp_path)
    expected = [Folder(str(tmp_path)).load(split).images for split in ("train", "test")]
    for before, name in zip(("train", "test"), names, strict=True):
        (tmp_path / before).rename(tmp_path / f"_{name}")
        (tmp_path / f"_{name}").rename(tmp_path / name)
    dataset = Folder(str(tmp_path))
    assert dataset.classes() == ("cat", "dog") or len(dataset.classes()) == 2
    assert np.array_equal(dataset.load("train").images, expected[0])
    assert np.array_equal(dataset.load("test").images, expected[1])


def test_a_class_may_be_called_like_a_split(pictures: Path) -> None:
    shutil.copytree(pictures / "dog", pictures / "train")
    assert Folder(str(pictures)).classes() == ("cat", "dog", "train")


def test_a_test_folder_beside_the_classes_is_the_test_split(pictures: Path) -> None:
    for name in ("cat", "dog"):
        write_picture(pictures / "test" / name / "a.png", random_images(6, 5))
    dataset = Folder(str(pictures))
    assert dataset.classes() == ("cat", "dog")
    assert len(dataset.load("train")) == 6
    assert len(dataset.load("test")) == 2


def test_a_test_split_alone_can_be_loaded(tmp_path: Path) -> None:
    write_folder(tmp_path)
    expected = Folder(str(tmp_path)).load("test").images
    shutil.rmtree(tmp_path / "train")
    assert np.array_equal(Folder(str(tmp_path)).load("test").images, expected)
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path / 'train'} does not exist, so there is no train split"):
        Folder(str(tmp_path)).load("train")


def test_what_is_left_out_is_counted_and_named(pictures: Path) -> None:
    (pictures / "cat" / "z.webp").write_bytes(b"x")
    (pictures / "dog" / "notes.txt").write_text("x")
    (pictures / "dog" / "gone.png").symlink_to(pictures / "nowhere.png")
    (pictures / "elk").symlink_to(pictures / "no folder")
    write_picture(pictures / "loose.png", random_images(6, 5))
    other, links = Folder(str(pictures)).load("train").notes
    where = repr(str(pictures))
    assert other == (
        f"{where}: left out 3 that are no PNG or JPEG file of a class (1 .txt, 1 .webp, 1 in no class): 'cat/z.webp', "
        "'dog/notes.txt', 'loose.png'"
    )
    assert links == f"{where}: left out 2 links that lead nowhere: 'dog/gone.png', 'elk'"


def test_a_name_with_control_characters_is_quoted(pictures: Path) -> None:
    (pictures / "cat" / "\x1b[31m\n.bmp").write_bytes(b"x")
    (note,) = Folder(str(pictures)).load("train").notes
    assert note.isprintable()
    assert r"'cat/\x1b[31m\n.bmp'" in note


def test_subfolders_of_a_class_are_searched_and_said(pictures: Path) -> None:
    write_picture(pictures / "cat" / "2024" / "may" / "a.png", np.full((6, 5), 240, np.uint8))
    (pictures / "cat" / "2024" / "again").symlink_to(pictures / "cat")  # a circle
    samples = Folder(str(pictures)).load("train")
    assert samples.images[:, 0, 0, 0].tolist() == [240, 0, 40, 80, 120, 160, 200]
    (note,) = samples.notes
    assert note.endswith("took 1 files in subfolders of a class too: 'cat/2024/may/a.png'")


def test_what_systems_leave_is_passed_over_without_a_word(pictures: Path) -> None:
    for name in ("cat/._a.png", "cat/.DS_Store", "cat/Thumbs.db", "cat/__MACOSX/b.png", "cat/.cache/c.png", "._cat"):
        (pictures / name).parent.mkdir(exist_ok=True)
        (pictures / name).write_bytes(b"x")
    (pictures / "__MACOSX").mkdir()
    samples = Folder(str(pictures)).load("train")
    assert (len(samples), samples.notes) == (6, ())


def test_folders_beside_the_splits_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "more").mkdir()
    assert Folder(str(tmp_path)).load("train").notes == (
        f"{str(tmp_path)!r}: left out folders beside the splits: 'more'",
    )


def test_an_empty_class_is_refused_with_what_was_left_out(pictures: Path) -> None:
    (pictures / "elk").mkdir()
    (pictures / "elk" / "a.webp").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"elk holds no PNG or JPEG file\. .* left out 1 that is no .*'elk/a\.webp'"):
        Folder(str(pictures)).load("train")


def test_the_training_split_decides_between_grey_and_colour(tmp_path: Path) -> None:
    colour, grey = random_images(6, 5, 3), random_images(6, 5)
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            write_picture(tmp_path / split / name / "a.png", grey)
    write_picture(tmp_path / "test" / "dog" / "a.png", colour)
    test = Folder(str(tmp_path)).load("test")
    assert test.images.shape == (2, 1, 6, 5)
    assert "made 1 of 2 colour images grey" in test.notes[0]
    write_picture(tmp_path / "train" / "dog" / "a.png", colour)
    for split in ("train", "validation", "test"):
        assert Folder(str(tmp_path)).load(split).images.shape == (2, 3, 6, 5)
    assert "2 of 2 images are grey and count as coloured" in Folder(str(tmp_path)).load("validation").notes[0]
