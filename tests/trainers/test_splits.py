"""The split of a training set into training and validation."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from writers import random_images

from nas.settings import DataSettings
from trainers import Dataset, Samples, TrainingData, training_data
from trainers.datasets.digits import Digits
from trainers.datasets.npz import Npz
from trainers.datasets.unshuffle import Unshuffle
from trainers.samples import Split
from trainers.splits import resized


@dataclass(frozen=True)
class Numbered(Dataset):
    """60 images of 2x3 pixels full of their own number: 10 of class 0, 20 of class 1, 30 of class 2; no test split."""

    flip = True
    shift = 1
    origin = "It is made here."

    def classes(self) -> tuple[str, ...]:
        return ("few", "some", "many")

    def load(self, split: Split, limit: int | None = None) -> Samples:
        assert split == "train", "a search never opens the test files"
        numbers = np.random.default_rng(0).permutation(60)
        images = np.broadcast_to(numbers[:, None, None, None].astype(np.uint8), (60, 1, 2, 3))
        return Samples(images, np.repeat([0, 1, 2], [10, 20, 30])[numbers], levels=100)


def split(*, limit: int | None = None, validation: float = 0.2, seed: int = 0) -> TrainingData:
    return training_data(Numbered(), limit=limit, validation=validation, seed=seed)


def numbers(samples: Samples) -> list[int]:
    """Which images these are."""
    return samples.images[:, 0, 0, 0].tolist()


def test_every_class_is_in_both_parts_in_its_share() -> None:
    data = split()
    assert np.bincount(data.train.labels).tolist() == [8, 16, 24]
    assert np.bincount(data.validation.labels).tolist() == [2, 4, 6]


def test_with_nothing_held_out_all_images_are_for_training() -> None:
    data = split(validation=0)
    assert sorted(numbers(data.train)) == list(range(60))
    assert numbers(data.validation) == numbers(split().validation)


def test_the_parts_are_disjoint_and_together_everything() -> None:
    data = split()
    assert sorted(numbers(data.train) + numbers(data.validation)) == list(range(60))


def test_images_keep_their_labels_and_levels() -> None:
    data = split(limit=40)
    for part in (data.train, data.validation):
        assert part.labels.tolist() == [0 if n < 10 else 1 if n < 30 else 2 for n in numbers(part)]
        assert part.levels == 100


def test_the_same_seed_gives_the_same_parts_and_another_seed_others() -> None:
    one, same, other = split(seed=1), split(seed=1), split(seed=2)
    assert numbers(one.train) == numbers(same.train)
    assert numbers(one.validation) == numbers(same.validation)
    assert set(numbers(one.validation)) != set(numbers(other.validation))


def test_a_limit_counts_validation_too_and_keeps_the_shares() -> None:
    data = split(limit=30)
    assert np.bincount(data.train.labels).tolist() == [4, 8, 12]
    assert np.bincount(data.validation.labels).tolist() == [1, 2, 3]
    assert len({*numbers(data.train), *numbers(data.validation)}) == 30


def test_another_seed_takes_other_images_under_a_limit() -> None:
    one, other = (
        {*numbers(data.train), *numbers(data.validation)} for data in (split(limit=30, seed=s) for s in (1, 2))
    )
    assert one != other


def test_a_limit_beyond_the_set_gives_the_whole_set() -> None:
    assert numbers(split(limit=1000).train) == numbers(split().train)


@pytest.mark.parametrize(("validation", "held_out"), [(0.1, 6), (0.25, 15), (0.5, 30)])
def test_the_share_of_validation_is_as_asked_for(validation: float, held_out: int) -> None:
    assert len(split(validation=validation).validation) == held_out


@pytest.mark.parametrize("share", [0.001, 0.1, 0.25, 0.7, 1.0])
def test_a_share_of_the_training_samples_has_every_class_about_as_often(share: float) -> None:
    whole = training_data(Digits(), limit=None, validation=0.2, seed=0)
    part = whole.with_share(share, 3)
    assert len(part.train) == max(10, round(share * len(whole.train)))
    sizes, all_of_them = (np.bincount(each.train.labels, minlength=10) for each in (part, whole))
    assert (np.abs(sizes - share * all_of_them) <= 1).all()
    assert part.validation is whole.validation
    assert (part.mean, part.std) == (whole.mean, whole.std)
    pictures = {image.tobytes(): label for image, label in zip(whole.train.images, whole.train.labels, strict=True)}
    assert [pictures[image.tobytes()] for image in part.train.images] == part.train.labels.tolist()


def test_a_larger_share_holds_what_a_smaller_one_has_and_another_seed_other_samples() -> None:
    whole = training_data(Digits(), limit=None, validation=0.2, seed=0)
    small, large, other = (
        {image.tobytes() for image in whole.with_share(*how).train.images} for how in ((0.2, 1), (0.5, 1), (0.2, 2))
    )
    assert small < large
    assert small != other


def test_mean_and_std_are_those_of_the_training_part_alone() -> None:
    data = split()
    pixels = np.array(numbers(data.train)) / 100
    assert data.mean == pytest.approx((pixels.mean(),), abs=1e-12)
    assert data.std == pytest.approx((pixels.std(),), abs=1e-12)
    everything = np.arange(60) / 100
    assert data.mean != pytest.approx((everything.mean(),), abs=1e-6)


def test_mean_and_std_are_per_channel_in_pixel_units(tmp_path: Path) -> None:
    images = np.zeros((8, 4, 4, 3), np.uint8)
    images[..., 0] = 51
    images[:, :2, :, 1] = 255
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1] * 4)
    data = training_data(Npz(str(tmp_path / "a.npz")), limit=None, validation=0.5, seed=0)
    assert data.mean == pytest.approx((0.2, 0.5, 0.0))
    assert data.std[1] == pytest.approx(0.5)


def test_a_channel_without_contrast_can_still_be_divided_by_its_std(tmp_path: Path) -> None:
    images = random_images(8, 4, 4, 3)
    images[..., 0] = 128
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1] * 4)
    assert training_data(Npz(str(tmp_path / "a.npz")), limit=None, validation=0.5, seed=0).std[0] > 0


@pytest.mark.parametrize("shade", [(0, 0, 0), (30, 60, 90)])
def test_training_images_without_contrast_are_refused(tmp_path: Path, shade: tuple[int, int, int]) -> None:
    images = np.broadcast_to(np.array(shade, np.uint8), (8, 4, 4, 3))
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1] * 4)
    with pytest.raises(ValueError, match=r"the training images have no contrast: every pixel is 0(\.118, 0\.235|, 0)"):
        training_data(Npz(str(tmp_path / "a.npz")), limit=None, validation=0.5, seed=0)


def test_what_is_known_of_the_data_set_is_passed_on() -> None:
    data = split()
    assert data.classes == ("few", "some", "many")
    assert data.input == (1, 2, 3)
    assert (data.flip, data.shift) == (True, 1)


def test_digits_split_as_expected() -> None:
    data = training_data(Digits(), limit=200, validation=0.2, seed=0)
    assert (len(data.train), len(data.validation), data.input) == (160, 40, (1, 8, 8))
    assert np.bincount(data.validation.labels, minlength=10).min() >= 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"limit": 10, "validation": 0.2},
            r"10 images are divided into 8 for training and 2 for validation, but each of the 3 classes must be in "
            r"both, and class 'few', the rarest, would not be\. The least data\.limit that will do is 13\.$",
        ),
        (
            {"validation": 0.01},
            r"60 images are divided into 59 .* Use more images, or another data\.validation than 0\.01",
        ),
        (
            {"limit": 2},
            r"2 images are divided into 2 for training and 0 .* The least data\.limit that will do is 13\.$",
        ),
    ],
    ids=["small limit", "little validation", "tiny limit"],
)
def test_too_few_images_to_divide_are_told(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(**settings)  # type: ignore[arg-type]


def test_a_class_with_one_image_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 4, 4), np.uint8), labels=[0] * 9 + [1] * 10 + [2])
    message = (
        r"class '2' has 1 of the 20 training images, but at least 2 are needed, one to train and one to validate on"
    )
    with pytest.raises(ValueError, match=message):
        training_data(Npz(str(tmp_path / "a.npz")), limit=None, validation=0.2, seed=0)


def test_a_damaged_test_split_is_never_looked_at(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        x_train=random_images(20, 4, 4),
        y_train=[0, 1] * 10,
        x_test=np.array(["not", "images"]),
        y_test=[-1, -1],
    )
    assert len(training_data(Npz(str(tmp_path / "a.npz")), limit=None, validation=0.2, seed=0).train) == 16


def test_what_a_trial_is_given_holds_nothing_of_the_test_split(tmp_path: Path) -> None:
    train, test = random_images(20, 4, 4), random_images(20, 4, 4) ^ 255
    np.savez(tmp_path / "a.npz", x_train=train, y_train=[0, 1] * 10, x_test=test, y_test=[0, 1] * 10)
    for data in (Npz(str(tmp_path / "a.npz")), Unshuffle(str(tmp_path / "a.npz"), source="npz")):
        sent = pickle.dumps(training_data(data, limit=None, validation=0.2, seed=0))  # as it travels to a worker
        assert all(image.tobytes() in sent for image in train)
        assert not any(image.tobytes() in sent for image in test)


# Another resolution


@pytest.mark.parametrize("resolution", [5, 16, 40])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_resized_as_pillow_does(resolution: int, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, channels, 20, 20), dtype=np.uint8)
    found = resized(Samples(images, np.zeros(300, np.int64)), resolution).images
    assert isinstance(found, np.ndarray)
    assert (found.shape, found.dtype) == ((300, channels, resolution, resolution), np.uint8)
    for image, plane in ((0, 0), (299, channels - 1)):
        picture = Image.fromarray(images[image, plane]).resize((resolution, resolution), Image.Resampling.BILINEAR)
        assert np.abs(np.asarray(picture).astype(int) - found[image, plane]).max() <= 1


def test_images_that_are_not_square_become_square() -> None:
    samples = Samples(np.full((2, 1, 8, 12), 7, np.uint8), np.zeros(2, np.int64), levels=16)
    assert np.array_equal(resized(samples, 6).images[:], np.full((2, 1, 6, 6), 7))
    assert resized(samples, 6).levels == 16


def test_images_of_floats_are_resized_as_floats() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 16, dtype=np.float32), (1, 1, 16, 16))
    found = resized(Samples(ramp, np.zeros(1, np.int64), levels=1), 8).images[:]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0, 3, 1:-1], (ramp[0, 0, 0, 2:-2:2] + ramp[0, 0, 0, 3:-2:2]) / 2, atol=1e-6)


def test_training_data_come_in_the_resolution_that_is_asked_for() -> None:
    native, small = (training_data(Digits(), limit=200, validation=0.2, seed=0, resolution=r) for r in (None, 4))
    assert small.input == (1, 4, 4)
    assert small.validation.images.shape == (40, 1, 4, 4)
    assert np.array_equal(small.train.labels, native.train.labels)
    assert small.mean == pytest.approx(native.mean, rel=0.05)
    assert small.std < native.std  # thin strokes become grey


def test_the_shift_is_scaled_with_the_resolution() -> None:
    place = Numbered()  # 2x3 pixels, moved by one
    shifts = [training_data(place, limit=None, validation=0.2, seed=0, resolution=r).shift for r in (None, 1, 2, 8)]
    assert shifts == [1, 0, 1, 4]


def test_a_resolution_below_one_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"resolution must be at least 1 pixel, got 0\."):
        DataSettings(resolution=0)
