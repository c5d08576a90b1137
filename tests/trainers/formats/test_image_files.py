"""Folders of real-world images: many sizes, files that are read when they are asked for, and damage."""

import dataclasses
import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import nas
from nas.export.evaluate import evaluate
from nas.export.export import export
from nas.problem import data_checksum
from objectives.accuracy import correct
from trainers import Supervised, TrainingData, training_data
from trainers.datasets.folder import Folder
from trainers.datasets.fsdd import Fsdd
from trainers.samples import Images, Samples, Streamed
from trainers.splits import SAMPLED, _statistics, resized

SIDES = ((30, 20), (20, 30), (24, 24), (41, 90), (9, 12))
"""Heights and widths of the pictures of a class."""


def write_picture(file: Path, pixels: np.ndarray, **how: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **how)  # type: ignore[arg-type]
    return file


def write_pictures(folder: Path, sides: tuple[tuple[int, int], ...] = SIDES, *, seed: int = 0) -> Path:
    """Colourful noise; cats are brighter than dogs."""
    random = np.random.default_rng(seed)
    for name, brightest in (("cat", 256), ("dog", 128)):
        for k, side in enumerate(sides):
            suffix = (".JPEG", ".png", ".jpg", ".PNG")[k % 4]
            write_picture(folder / name / f"{k}{suffix}", random.integers(0, brightest, (*side, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Five cats and five dogs of many sizes; no test split."""
    return write_pictures(tmp_path / "pictures")


def held(place: Folder) -> np.ndarray:
    images = place.load("train").images
    assert isinstance(images, np.ndarray)
    return images


def streamed(place: str) -> Images:
    images = Folder.of(f"{place},memory_gb=0").load("train").images
    assert not isinstance(images, np.ndarray)
    return images


# How a location is written


@pytest.mark.parametrize(
    ("location", "place", "values"),
    [
        ("a/b", "a/b", {}),
        ("a/b,size=64", "a/b", {"size": 64}),
        ("a,b,size=64,memory_gb=0.5", "a,b", {"size": 64, "memory_gb": 0.5}),
        ("a=b/c,size=64", "a=b/c", {"size": 64}),
        ("a,32x64", "a,32x64", {}),
        ("size=64", "", {"size": 64}),
        ("", "", {}),
    ],
)
def test_options_follow_the_place(location: str, place: str, values: dict[str, float]) -> None:
    assert Folder.shorthand(location) == ({"location": place} if place else {}) | values
    assert Folder.of(location) == Folder(place, **values)  # type: ignore[arg-type]


def test_two_numbers_alone_are_mel_bins_and_frames() -> None:
    assert Fsdd.shorthand("a,speaker=theo,32x64") == {"location": "a", "speaker": "theo", "mel": 32, "frames": 64}
    with pytest.raises(ValueError, match="option 'mel' of 'mel=3,32x64' comes twice"):
        Fsdd.shorthand("mel=3,32x64")


def test_a_location_in_the_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert Folder("~/pictures").location == "/home/me/pictures"
    assert Folder("pictures~").location == "pictures~"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (
            "a,sise=64",
            r"option 'sise' of 'a,sise=64' is unknown\. Known: memory_gb, size, span\. Write it as in folder",
        ),
        ("a,size=64,size=32", r"option 'size' of 'a,size=64,size=32' comes twice"),
        ("a,size=", r"size must be a whole number, got ''\."),
        ("a,size=big", r"size must be a whole number, got 'big'\."),
        ("a,size=0.5", r"size must be a whole number, got '0.5'\."),
        ("a,size=7", "size must be from 8 to 1024, got 7"),
        ("a,size=32x32", "size must be a whole number, got '32x32'"),
        ("a,memory_gb=much", "memory_gb must be a number, got 'much'"),
        ("a,memory_gb=-1", "memory_gb must be from 0 to 1e"),
        ("a,memory_gb=nan", "memory_gb must be from 0 to 1e"),
    ],
)
def test_a_wrong_option_is_told(location: str, message: str, pictures: Path) -> None:
    with pytest.raises(ValueError, match=message):
        Folder.of(location.replace("a,", f"{pictures},", 1) if "must be" in message else location).load("train")


# Many sizes


def test_images_of_many_sizes_become_square(pictures: Path) -> None:
    samples = Folder.of(f"{pictures},size=16").load("train")
    assert samples.images.shape == (10, 3, 16, 16)
    assert samples.labels.tolist() == [0] * 5 + [1] * 5
    assert Folder.of(f"{pictures},size=16").found() == str(pictures)


def test_without_a_size_the_message_says_how_to_give_one(pictures: Path) -> None:
    with pytest.raises(ValueError, match=r"must be of one size, but .* Give a size .* as in folder:my_images,size=64"):
        Folder(str(pictures)).load("train")


@pytest.mark.parametrize("turned", [False, True], ids=["wide", "tall"])
def test_the_middle_is_cropped(tmp_path: Path, turned: bool) -> None:
    pixels = np.zeros((20, 60), np.uint8)
    pixels[:, 20:40] = 200
    for name in ("cat", "dog"):
        write_picture(tmp_path / name / "a.png", pixels.T if turned else pixels)
    image = held(Folder.of(f"{tmp_path},size=10"))[0, 0]
    assert (image[1:-1, 1:-1] == 200).all()
    assert image.min() > 150  # at the edge the filter sees a little of what is cropped


def test_the_whole_shorter_side_is_kept(tmp_path: Path) -> None:
    pixels = np.arange(240, dtype=np.uint8)[None].repeat(300, 0)  # brighter to the right
    for name in ("cat", "dog"):
        write_picture(tmp_path / name / "a.png", pixels)
    row = held(Folder.of(f"{tmp_path},size=24"))[0, 0, 12].astype(int)
    assert np.abs(row - (10 * np.arange(24) + 4.5)).max() <= 1.5


def test_fine_patterns_become_grey_and_do_not_flicker(tmp_path: Path) -> None:
    pixels = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)  # a checkerboard
    for name in ("cat", "dog"):
        write_picture(tmp_path / name / "a.png", pixels)
    middle = held(Folder.of(f"{tmp_path},size=16"))[0, 0, 1:-1, 1:-1]
    assert np.abs(middle.astype(int) - 127.5).max() < 2


def test_a_large_jpeg_looks_as_it_does_to_others(tmp_path: Path) -> None:
    small = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    smooth = Image.fromarray(small).resize((512, 512), Image.Resampling.BICUBIC)
    for name in ("cat", "dog"):
        write_picture(tmp_path / name / "a.jpg", np.asarray(smooth), quality=95)
    expected = np.asarray(Image.open(tmp_path / "cat" / "a.jpg").resize((32, 32), Image.Resampling.BILINEAR))
    found = held(Folder.of(f"{tmp_path},size=32"))[0].transpose(1, 2, 0)
    assert np.abs(found.astype(int) - expected).mean() < 2


def test_photographs_are_turned_as_the_camera_was_held(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 20:] = 255  # bright on the right
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: bright at the bottom
    for name in ("cat", "dog"):
        write_picture(tmp_path / name / "a.jpg", pixels, exif=exif, quality=95)
    image = held(Folder(str(tmp_path)))[0]
    assert image.shape == (3, 40, 20)
    assert image[:, :18].max() < 50
    assert image[:, 22:].min() > 200
    assert held(Folder.of(f"{tmp_path},size=16"))[0, :, :6].max() < 50


def test_transparency_is_dropped(tmp_path: Path) -> None:
    for name, shade in (("cat", 160), ("dog", 70)):
        (tmp_path / name).mkdir()
        Image.new("LA", (30, 30), (shade, 128)).save(tmp_path / name / "a.png")
    images = held(Folder.of(f"{tmp_path},size=8"))
    assert images.shape == (2, 1, 8, 8)
    assert images[:, 0, 0, 0].tolist() == [160, 70]


def test_suffixes_are_known_in_any_case_and_hidden_files_are_not_images(pictures: Path) -> None:
    (pictures / "cat" / "._0.jpg").write_bytes(b"what another system left")
    assert len(Folder.of(f"{pictures},size=8").load("train")) == 10


# Pixels of 16 bits


def write_deep(file: Path, pixels: np.ndarray) -> None:
    """A PNG file of 16 bits: grey (H, W), with alpha (H, W, 2), colour (H, W, 3), colour with alpha (H, W, 4)."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = pixels.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[1 if pixels.ndim == 2 else pixels.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def deep_noise(*shape: int, low: int = 90, high: int = 4095, seed: int = 0) -> np.ndarray:
    """Values that begin with the least and the greatest."""
    pixels = np.random.default_rng(seed).integers(low, high + 1, shape).astype(np.uint16)
    pixels.reshape(-1)[:2] = low, high
    return pixels


@pytest.mark.parametrize(
    "channels", [(), (2,), (3,), (4,)], ids=["grey", "grey and alpha", "colour", "colour and alpha"]
)
def test_16_bits_go_from_the_least_to_the_greatest_value(tmp_path: Path, channels: tuple[int, ...]) -> None:
    cat, dog = deep_noise(6, 5, *channels), deep_noise(6, 5, *channels, seed=1)
    if channels and channels[0] in (2, 4):
        cat[0, 1, 0], dog[..., -1] = 4095, 65535  # opaque, and alpha does not count
    for name, pixels in (("cat", cat), ("dog", dog)):
        write_deep(tmp_path / name / "a.png", pixels)
    samples = Folder(str(tmp_path)).load("train")
    planes = np.stack([pixels.reshape(6, 5, -1).transpose(2, 0, 1) for pixels in (cat, dog)]).astype(float)
    expected = (planes[:, : 1 if len(channels) == 0 or channels[0] == 2 else 3] - 90) / 4005
    np.testing.assert_allclose(samples.images, expected, atol=1e-6)
    assert (samples.levels, samples.images.dtype) == (1, np.float32)
    assert samples.notes == (f"{str(tmp_path)!r}: 2 of 2 images have 16 bits; black is 90, white 4095",)


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Training from 90 to 4095 in grey, validation and test from 0 to 2000, all of 16 bits."""
    for split, low, high in (("train", 90, 4095), ("val", 0, 2000), ("test", 0, 2000)):
        for seed, name in enumerate(("cat", "dog")):
            for number in range(4):
                pixels = deep_noise(20, 24, low=low, high=high, seed=10 * seed + number)
                pixels[: 10 * seed] //= 2
                write_deep(tmp_path / "deep" / split / name / f"{number}.png", pixels.clip(low))
    return tmp_path / "deep"


@pytest.mark.parametrize("options", ["", ",size=12", ",memory_gb=0", ",size=12,memory_gb=0"])
def test_other_splits_are_on_the_scale_of_the_training_split(deep: Path, options: str) -> None:
    for split in ("validation", "test"):
        images = Folder.of(f"{deep}{options}").load(split).images[:]
        assert images.dtype == np.float32
        if "size" not in options:
            assert images.min() == 0
        assert images.max() == pytest.approx((2000 - 90) / 4005, abs=0.2 * ("size" in options))


def test_a_dark_image_of_16_bits_stays_darker_than_a_bright_one(tmp_path: Path) -> None:
    for name, level in (("cat", 10_000), ("dog", 50_000)):
        write_deep(tmp_path / name / "a.png", np.full((4, 4), level))
        write_deep(tmp_path / name / "b.png", np.full((4, 4), 30_000))
    assert held(Folder(str(tmp_path)))[:, 0, 0, 0].tolist() == [0, 0.5, 1, 0.5]


def test_one_bright_pixel_costs_no_levels(tmp_path: Path) -> None:
    for seed, name in enumerate(("cat", "dog")):
        write_deep(tmp_path / name / "a.png", deep_noise(40, 40, seed=seed))
    write_deep(tmp_path / "dog" / "b.png", np.full((40, 40), 65535))
    assert len(np.unique(held(Folder(str(tmp_path)))[:2])) > 1000


def test_8_and_16_bits_can_be_mixed(tmp_path: Path) -> None:
    write_deep(tmp_path / "cat" / "a.png", deep_noise(6, 5))
    write_picture(tmp_path / "dog" / "a.png", np.full((6, 5, 3), 51, np.uint8))
    samples = Folder(str(tmp_path)).load("train")
    images = np.asarray(samples.images)
    assert images[0].min() == 0
    assert images[0].max() == 1
    assert "1 of 2 images have 16 bits; black is 90, white 4095; 1 have 8 bits, from 0 to 255" in samples.notes[1]
    np.testing.assert_allclose(images[1], 0.2, rtol=1e-6)


def test_16_bits_that_only_another_split_has_are_refused(deep: Path) -> None:
    for file in (deep / "train").rglob("*.png"):
        write_picture(file, np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8))
    message = r"test/cat/0\.png has 16 bits, but no training image has, so that .* option span=LOW\.\.HIGH"
    with pytest.raises(ValueError, match=message):
        Folder(str(deep)).load("test")
    assert Folder.of(f"{deep},span=0..2000").load("test").images[:].max() == 1


def test_the_span_is_part_of_the_checksum_of_streamed_images(deep: Path) -> None:
    sums = {
        data_checksum(training_data(Folder.of(f"{deep},memory_gb=0{span}"), **SPLIT))  # type: ignore[arg-type]
        for span in ("", ",span=90..4095", ",span=0..65535")
    }
    assert len(sums) == 2


def test_a_network_is_measured_on_the_scale_it_was_found_on(
    deep: Path, tmp_path: Path, study_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = nas.search(study_file(data={"name": f"folder:{deep}"}, trials=1), out=tmp_path / "run")
    assert found.settings.data.options["span"] == "90..4095"
    export(found.directory, found.settings, found.records[0], tmp_path / "out")
    expected = evaluate(tmp_path / "out", f"folder:{deep}", "test")
    assert "black is 90, white 4095" in expected["notes"][0]
    shutil.copytree(deep / "test", tmp_path / "elsewhere" / "test")  # no training split there
    moved = evaluate(tmp_path / "out", f"folder:{tmp_path / 'elsewhere'}", "test")
    assert moved["measured"] == expected["measured"]
    assert "black is 90, white 4095" in moved["notes"][0]
    assert evaluate(tmp_path / "out", f"folder:{deep}", "validation")["samples"] == 8
    assert len(nas.search(study_file(data={"name": f"folder:{deep}"}, trials=2), out=tmp_path / "run").records) == 2


# Damage that is none


@pytest.mark.parametrize(
    "payload",
    [b"", bytes(range(64)), b"II*\0" + struct.pack("<I", 99999) + bytes(8)]
    + [
        b"MM\0*\0\0\0\x08\0\x01" + entry + bytes(4)
        for entry in (struct.pack(">HHI4s", 0x0112, 2, 4, b"top\0"), struct.pack(">HHIHH", 0x0112, 3, 1, 77, 0))
    ],
    ids=["nothing", "rubbish", "offset", "text", "no orientation"],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_rubbish_in_exif_does_not_matter(tmp_path: Path, payload: bytes) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    for name in ("cat", "dog"):
        content = write_picture(tmp_path / name / "a.jpg", pixels).read_bytes()
        segment = b"Exif\0\0" + payload
        tagged = content[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment + content[2:]
        (tmp_path / name / "b.jpg").write_bytes(tagged)
    images = held(Folder(str(tmp_path)))
    assert np.array_equal(images[0], images[1])


# The validation split


@pytest.mark.parametrize("name", ["val", "validation", "valid"])
def test_an_official_validation_split_is_used_whole(name: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / "train")
    write_pictures(tmp_path / name, SIDES[:2], seed=1)
    place = Folder.of(f"{tmp_path},size=8")
    assert place.own_validation
    data = training_data(place, limit=None, validation=0.5, seed=0)
    assert (len(data.train), len(data.validation)) == (10, 4)
    assert np.array_equal(data.validation.images, place.load("validation").images)


def test_without_a_validation_folder_a_share_is_held_out(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train")
    place = Folder.of(f"{tmp_path},size=8")
    assert not place.own_validation
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path / 'val'} does not exist, so there is no validation split"):
        place.load("validation")
    assert len(training_data(place, limit=None, validation=0.2, seed=0).validation) == 2


def test_a_class_that_training_does_not_know_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train")
    write_pictures(tmp_path / "val")
    shutil.copytree(tmp_path / "val" / "cat", tmp_path / "val" / "elk")
    with pytest.raises(ValueError, match=rf"{tmp_path / 'val' / 'elk'} is no class of the training split: cat, dog\."):
        Folder.of(f"{tmp_path},size=8").load("validation")


def test_a_class_that_validation_lacks_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train")
    shutil.rmtree(write_pictures(tmp_path / "val") / "dog")
    with pytest.raises(ValueError, match=rf"{tmp_path / 'val' / 'dog'} holds no PNG or JPEG file\."):
        Folder.of(f"{tmp_path},size=8").load("validation")


# Images that stay in their files


def test_streamed_images_are_those_that_would_be_held(pictures: Path) -> None:
    expected, images = held(Folder.of(f"{pictures},size=16")), streamed(f"{pictures},size=16")
    assert (images.shape, images.dtype, len(images)) == (expected.shape, expected.dtype, len(expected))
    order = np.array([7, 0, 0, 9])
    assert np.array_equal(images[order], expected[order])
    assert np.array_equal(images[2:5], expected[2:5])
    assert np.array_equal(images[np.arange(10) % 3 == 0], expected[::3])
    assert images[np.array([], dtype=np.int64)].shape == (0, 3, 16, 16)


def test_images_of_one_size_can_be_streamed_as_they_are(tmp_path: Path) -> None:
    write_pictures(tmp_path, ((9, 12), (9, 12)))
    assert np.array_equal(streamed(str(tmp_path))[:], held(Folder(str(tmp_path))))


def test_whether_images_are_held_depends_on_their_pixels(pictures: Path) -> None:
    bytes_ = 10 * 3 * 16 * 16
    for memory, array in ((bytes_, True), (bytes_ - 1, False)):
        images = Folder.of(f"{pictures},size=16,memory_gb={(memory + 0.5) / 1e9:.12f}").load("train").images
        assert isinstance(images, np.ndarray) is array


def test_grey_is_kept_only_if_every_file_is_grey(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write_picture(tmp_path / name / "a.png", np.full((10, 10), 90, np.uint8))
    assert streamed(f"{tmp_path},size=8").shape == (2, 1, 8, 8)
    write_picture(tmp_path / "dog" / "b.png", np.full((10, 10, 3), 90, np.uint8))
    assert streamed(f"{tmp_path},size=8").shape == (3, 3, 8, 8)
    assert (streamed(f"{tmp_path},size=8")[:] == 90).all()


def test_part_of_the_samples_is_read_only_when_it_is_asked_for(pictures: Path) -> None:
    samples = Folder.of(f"{pictures},size=16,memory_gb=0").load("train")
    some = samples[np.array([1, 6])]
    assert isinstance(some, Samples)
    assert not isinstance(some.images, np.ndarray)
    assert some.labels.tolist() == [0, 1]
    assert np.array_equal(some.images[:], samples.images[np.array([1, 6])])


@pytest.mark.parametrize("memory", [0, 0.000005])
def test_part_of_resized_samples_is_resized_too(pictures: Path, memory: float) -> None:
    samples = resized(Folder.of(f"{pictures},size=16,memory_gb={memory:f}").load("train"), 8)
    some = samples[np.array([1, 6])]
    assert isinstance(some.images, np.ndarray) is (memory > 0)
    assert some.images.shape == (2, 3, 8, 8)
    assert np.array_equal(some.images[:], samples.images[np.array([1, 6])])


def test_streamed_images_are_found_from_another_directory(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures.parent)
    images = streamed(f"{pictures.name},size=16")
    monkeypatch.chdir("/")
    assert images[:].shape == (10, 3, 16, 16)


def test_part_of_the_samples_that_is_small_enough_is_held(pictures: Path) -> None:
    samples = Folder.of(f"{pictures},size=16,memory_gb=0.000005").load("train")
    assert not isinstance(samples.images, np.ndarray)
    assert isinstance(samples[np.arange(6)].images, np.ndarray)
    data = training_data(Folder.of(f"{pictures},size=16,memory_gb=0.000005"), limit=None, validation=0.2, seed=0)
    assert isinstance(data.validation.images, np.ndarray)


def test_tensors_of_streamed_images_are_those_of_held_ones(pictures: Path) -> None:
    streamed, labels = Folder.of(f"{pictures},size=16,memory_gb=0").load("train").tensors()
    held, numbers = Folder.of(f"{pictures},size=16").load("train").tensors()
    assert isinstance(streamed, Streamed)
    assert isinstance(held, torch.Tensor)
    assert torch.equal(labels, numbers)
    assert len(streamed) == len(held)
    for part in (slice(None), slice(2, 4)):
        assert torch.equal(streamed[part], held[part])
        assert streamed[part].is_contiguous(memory_format=torch.channels_last)
    model = nn.Sequential(nn.Flatten(), nn.Linear(held[0].numel(), 2))
    assert torch.equal(correct(model, streamed, labels), correct(model, held, labels))


def test_streamed_images_can_be_sent_to_a_worker(pictures: Path) -> None:
    images = streamed(f"{pictures},size=16")
    assert np.array_equal(pickle.loads(pickle.dumps(images))[:], images[:])


def test_file_names_may_hold_what_is_no_text(pictures: Path) -> None:
    file = os.fsencode(pictures / "cat") + b"/\xff\xfe.png"
    shutil.copy(os.fsencode(pictures / "dog" / "1.png"), file)
    assert len(Folder.of(f"{pictures},size=8").load("train")) == 11


SPLIT = {"limit": None, "validation": 0.2, "seed": 0}


def both(pictures: Path, **settings: int | None) -> tuple[TrainingData, TrainingData]:
    """Training data held and streamed."""
    places = (Folder.of(f"{pictures},size=16"), Folder.of(f"{pictures},size=16,memory_gb=0"))
    one, other = (training_data(place, **{**SPLIT, **settings}) for place in places)  # type: ignore[arg-type]
    assert isinstance(one.train.images, np.ndarray)
    assert not isinstance(other.train.images, np.ndarray)
    return one, other


@pytest.mark.parametrize("limit", [None, 8])
@pytest.mark.parametrize("resolution", [None, 12])
def test_training_data_are_the_same_held_or_streamed(pictures: Path, limit: int | None, resolution: int | None) -> None:
    here, there = both(pictures, limit=limit, resolution=resolution)
    for one, other in ((here.train, there.train), (here.validation, there.validation)):
        assert np.array_equal(one.images, other.images[:])
        assert np.array_equal(one.labels, other.labels)
    assert dataclasses.astuple(here)[3:] == dataclasses.astuple(there)[3:]
    assert here.input == there.input == (3, resolution or 16, resolution or 16)


def test_training_is_the_same_held_or_streamed(pictures: Path) -> None:
    weights = []
    for data in both(pictures):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        Supervised(epochs=2, batch_size=3).train(model, data, seed=1, report=lambda epoch: None)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)


@dataclasses.dataclass(frozen=True)
class Counted:
    """Images that note how many were read: image k is full of k % 100."""

    read: list[int]
    shape = (2 * SAMPLED, 1, 2, 2)
    dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        numbers = np.arange(len(self))[index]
        self.read.extend(numbers.tolist())
        return np.broadcast_to((numbers % 100).astype(np.uint8)[:, None, None, None], (len(numbers), 1, 2, 2))

    def subset(self, index: np.ndarray) -> Images:
        raise NotImplementedError

    def fingerprint(self) -> bytes:
        raise NotImplementedError


def test_mean_and_std_of_many_streamed_images_are_those_of_a_sample() -> None:
    first, again = (Counted([]) for _ in range(2))
    samples = Samples(first, np.zeros(len(first), np.int64), levels=100)
    mean, std = _statistics(samples)
    assert len(first.read) == len(set(first.read)) == SAMPLED
    assert mean == pytest.approx([0.495], abs=0.01)
    assert std == pytest.approx([np.arange(100).std() / 100], abs=0.01)
    _statistics(dataclasses.replace(samples, images=again))
    assert first.read == again.read


def test_the_checksum_of_streamed_images_is_that_of_names_sizes_and_labels(pictures: Path, tmp_path: Path) -> None:
    def checksum(place: Path, size: int = 16) -> str:
        return data_checksum(training_data(Folder.of(f"{place},size={size},memory_gb=0"), **SPLIT))  # type: ignore[arg-type]

    before = checksum(pictures)
    moved = tmp_path / "elsewhere"
    shutil.copytree(pictures, moved)
    assert checksum(moved) == before
    assert checksum(moved, size=24) != before
    (moved / "cat" / "0.JPEG").rename(moved / "cat" / "00.JPEG")
    assert checksum(moved) != before
    (moved / "cat" / "00.JPEG").rename(moved / "cat" / "0.JPEG")
    assert checksum(moved) == before
    with open(moved / "cat" / "0.JPEG", "ab") as file:
        file.write(b"\0")
    assert checksum(moved) != before


def test_the_checksum_tells_resolutions_apart(pictures: Path) -> None:
    streams = [both(pictures, resolution=resolution)[1] for resolution in (None, 12, 8)]
    assert len({data_checksum(data) for data in streams}) == 3


# Damage


def cut(file: Path, keep: float) -> Path:
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])
    return file


@pytest.mark.parametrize("memory", ["", ",memory_gb=0"], ids=["held", "streamed"])
def test_files_that_are_no_images_are_named_up_to_five(pictures: Path, memory: str) -> None:
    files = sorted((pictures / "cat").iterdir()) + sorted((pictures / "dog").iterdir())[:2]
    for file in files:
        file.write_text("not an image")
    with pytest.raises(ValueError, match=r"^7 files are not readable images: ") as raised:
        Folder.of(f"{pictures},size=8{memory}").load("train")
    message = str(raised.value)
    assert all(f"{file} (cannot identify image file" in message for file in files[:5])
    assert not any(str(file) in message for file in files[5:])
    assert message.endswith(" and 2 more. Replace or remove them.")


def test_truncated_images_are_named_when_they_are_loaded(pictures: Path) -> None:
    files = [cut(pictures / name, 0.9) for name in ("cat/0.JPEG", "dog/1.png")]
    with pytest.raises(ValueError, match=rf"2 files are not readable images: {files[0]} \(.+\), {files[1]} \(.+\)\."):
        Folder.of(f"{pictures},size=8").load("train")


def test_a_truncated_image_that_is_streamed_is_named_when_it_is_read(pictures: Path) -> None:
    file = cut(pictures / "dog" / "0.JPEG", 0.9)
    images = streamed(f"{pictures},size=8")
    assert images[np.arange(5)].shape == (5, 3, 8, 8)
    with pytest.raises(ValueError, match=rf"{file} is not a readable image \(.+\)\. Replace or remove it\."):
        images[np.arange(10)]


def test_statistics_find_a_truncated_image_before_training_starts(pictures: Path) -> None:
    for file in (pictures / "dog").iterdir():
        cut(file, 0.9)
    with pytest.raises(ValueError, match=r"files are not readable images: .*dog/"):
        training_data(Folder.of(f"{pictures},size=8,memory_gb=0"), **SPLIT)  # type: ignore[arg-type]


def test_a_file_that_vanished_since_is_named(pictures: Path) -> None:
    images = streamed(f"{pictures},size=8")
    (pictures / "cat" / "1.png").unlink()
    with pytest.raises(ValueError, match=rf"{pictures / 'cat' / '1.png'} is not .* \(No such file or directory\)"):
        images[:]


def test_a_file_that_changed_its_size_since_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, ((9, 12), (9, 12)))
    images = streamed(str(tmp_path))
    file = write_picture(tmp_path / "dog" / "1.png", np.zeros((9, 13, 3), np.uint8))
    with pytest.raises(ValueError, match=rf"{file} is not .*it is \(9, 13\) \(height, width\) now, but was \(9, 12\)"):
        images[:]


@pytest.mark.parametrize("memory", ["", ",memory_gb=0"], ids=["held", "streamed"])
def test_pixels_that_are_neither_grey_nor_colour_are_named(pictures: Path, memory: str) -> None:
    file = pictures / "cat" / "z.png"
    Image.fromarray(np.zeros((9, 9), np.float32)).save(file, format="TIFF")
    with pytest.raises(ValueError, match=rf"{file} is not .* \(pixels of mode F, not grey or colour of 8 or 16 bits\)"):
        Folder.of(f"{pictures},size=8{memory}").load("train")


def test_a_small_file_that_claims_to_be_huge_is_named(pictures: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    file = pictures / "cat" / "z.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match=rf"{file} is not a readable image \(Image size \(10000000000 pixels\)"):
        Folder.of(f"{pictures},size=8").load("train")


def test_an_empty_class_and_an_empty_folder_are_named(pictures: Path, tmp_path: Path) -> None:
    (pictures / "emu").mkdir()
    with pytest.raises(ValueError, match=rf"{pictures / 'emu'} holds no PNG or JPEG file\. Every class needs some"):
        Folder.of(f"{pictures},size=8").load("train")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=rf"{tmp_path / 'none'} holds 0 class folders, at least 2 are needed"):
        Folder.of(f"{tmp_path / 'none'},size=8").load("train")


def test_a_place_with_options_where_nothing_is_has_a_clear_answer(tmp_path: Path) -> None:
    absent = Folder.of(f"{tmp_path / 'no'},size=8")
    assert absent.found() is None
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path / 'no'} is not a folder\. Expected DIR/CLASS"):
        absent.load("train")
    with pytest.raises(FileNotFoundError, match=r"folder needs a directory, as in folder:my_images\."):
        Folder.of("size=8").load("train")


def test_many_files_are_looked_at_in_order(tmp_path: Path) -> None:
    for name, height in (("cat", 60), ("dog", 80)):
        first = write_picture(tmp_path / name / "0.png", np.zeros((height, 70), np.uint8))
        for k in range(1, 700):
            os.link(first, tmp_path / name / f"{k}.png")
    with pytest.raises(ValueError, match=r"cat/0\.png is \(60, 70\) .*dog/0\.png is \(80, 70\)"):
        Folder.of(f"{tmp_path},memory_gb=0").load("train")


# A study on them


def test_a_study_on_streamed_images_runs_to_a_measured_export(tmp_path: Path, study_file: Callable[..., Path]) -> None:
    for split, seed in (("train", 0), ("test", 1)):
        write_pictures(tmp_path / "pictures" / split, 4 * SIDES, seed=seed)
    place = f"folder:{tmp_path / 'pictures'},size=16,memory_gb=0"
    found = nas.search(study_file(data={"name": place, "resolution": 8}, trials=2), out=tmp_path / "run")
    assert [record.status for record in found.records] == ["complete", "complete"]
    assert found.records[0].architecture["input"] == [3, 8, 8]
    record = found.records[0]
    exported = export(found.directory, found.settings, record, tmp_path / "out")
    assert exported.measured["accuracy"] == record.measured["accuracy"]
    result = evaluate(tmp_path / "out", place, "test")
    assert result["samples"] == 40
    assert evaluate(tmp_path / "out", place, "validation")["measured"]["accuracy"] == record.measured["accuracy"]
    assert resized(Folder.of(place[7:]).load("test"), 8).images.shape == (40, 3, 8, 8)
