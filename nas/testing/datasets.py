"""The contract of data sets."""

import functools
from dataclasses import dataclass, fields
from fractions import Fraction

import numpy as np
import pytest
import torch

from trainers import DATASETS, Dataset, Samples
from trainers.samples import Split

LIMIT = 10_000
"""One file of CIFAR-10; opening all five takes seconds."""


@functools.cache
def read(data: Dataset, split: Split) -> Samples:
    """A split, read once, because real files take seconds."""
    return data.load(split, LIMIT)


@dataclass(frozen=True)
class Loaded:
    """A data set with both splits."""

    dataset: Dataset
    train: Samples
    test: Samples

    @property
    def both(self) -> tuple[Samples, Samples]:
        return self.train, self.test


def pixels(samples: Samples) -> np.ndarray:
    """(N, C, H, W) the images of a split, read from their files where they are there."""
    return np.asarray(samples.images[:])


class DatasetContract:
    """What every data set keeps to; parametrise it with ``data``, an instance that is on this machine."""

    @pytest.fixture
    def loaded(self, data: Dataset) -> Loaded:
        return Loaded(data, read(data, "train"), read(data, "test"))

    def test_it_is_registered_under_its_name(self, loaded: Loaded) -> None:
        assert DATASETS[loaded.dataset.name] is type(loaded.dataset)

    def test_options_are_frozen_fields_with_defaults(self, loaded: Loaded) -> None:
        kind = type(loaded.dataset)
        assert vars(kind)["__dataclass_params__"].frozen
        assert fields(kind)[0].name == "location"
        assert kind(**{field.name: getattr(loaded.dataset, field.name) for field in fields(kind)}) == loaded.dataset

    def test_images_are_batches_of_planes_of_pixels(self, loaded: Loaded) -> None:
        for samples in loaded.both:
            images = pixels(samples)
            assert images.ndim == 4
            assert np.isfinite(images).all()
            if not loaded.dataset.poses().pictures:
                continue
            assert images.shape[1] in (1, 3)
            assert images.dtype == (np.float32 if samples.levels == 1 else np.uint8)
            assert images.min() >= 0
            assert samples.levels / 2 < images.max() <= samples.levels

    def test_labels_are_numbers_of_classes_and_every_class_is_there(self, loaded: Loaded) -> None:
        for samples in loaded.both:
            assert samples.labels.dtype == np.int64
            assert samples.labels.shape == (len(samples),) == samples.images.shape[:1]
            assert set(samples.labels.tolist()) == set(range(len(loaded.dataset.classes())))

    def test_classes_have_names_of_their_own(self, loaded: Loaded) -> None:
        names = loaded.dataset.classes()
        assert len(set(names)) == len(names) >= (2 if loaded.dataset.poses().pictures else 1)
        assert all(names)

    def test_the_test_split_has_the_shape_of_the_training_split_and_other_images(self, loaded: Loaded) -> None:
        train, test = (pixels(samples) for samples in loaded.both)
        assert train.shape[1:] == test.shape[1:]
        assert loaded.train.levels == loaded.test.levels
        known = {image.tobytes() for image in train}
        shared = sum(image.tobytes() in known for image in test)
        assert shared <= len(test) / 1000

    def test_a_limit_gives_at_least_so_many_images_in_the_same_order(self, loaded: Loaded) -> None:
        few = loaded.dataset.load("test", 3)
        assert len(few) >= 3
        assert np.array_equal(pixels(few), pixels(loaded.test)[: len(few)])
        assert np.array_equal(few.labels, loaded.test.labels[: len(few)])

    def test_it_says_where_it_was_found(self, loaded: Loaded) -> None:
        assert loaded.dataset.found()

    def test_what_suits_the_data_is_declared(self, loaded: Loaded) -> None:
        height, width = loaded.train.images.shape[2:]
        assert 0 <= loaded.dataset.shift < min(height, width)
        assert 0 < Fraction(loaded.dataset.epsilon) < 1
        assert isinstance(loaded.dataset.flip, bool)
        assert loaded.dataset.origin

    def test_tensors_are_pixels_from_zero_to_one(self, loaded: Loaded) -> None:
        images, labels = loaded.test[np.arange(4)].tensors()
        first = images[:4]
        assert first.dtype == torch.float32
        assert first.is_contiguous(memory_format=torch.channels_last)
        expected = pixels(loaded.test)[:4] / np.float32(loaded.test.levels)
        np.testing.assert_allclose(first.numpy(), expected, rtol=1e-6)
        assert labels.tolist() == loaded.test.labels[:4].tolist()

    def test_notes_are_lines_that_a_terminal_can_show(self, loaded: Loaded) -> None:
        for samples in loaded.both:
            assert all(note and note.isprintable() for note in samples.notes)

    def test_what_the_training_split_decides_are_options(self, loaded: Loaded) -> None:
        kind = type(loaded.dataset)
        assert set(loaded.train.decided) <= set(kind.decided) <= {field.name for field in fields(kind)}

    def test_an_unknown_option_is_answered_with_the_known_ones(self, loaded: Loaded) -> None:
        with pytest.raises(ValueError, match=r"option 'colour' of 'colour=red' is unknown\. Known: .*Write it as in "):
            type(loaded.dataset).of("colour=red")
