"""Every class is in training and in validation, under a limit and with a long tail, or the reason is told."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from writers import random_images

from trainers import Dataset, Samples, TrainingData, training_data
from trainers.samples import Split


@dataclass(frozen=True)
class Tail(Dataset):
    """Noise: 900 images of one class, 40 and 3 of two others, one class after the other; a limit takes the first."""

    counts: tuple[int, ...] = (900, 40, 3)
    own: bool = False

    things = "scans"
    origin = "It is made here."

    @property
    def own_validation(self) -> bool:
        return self.own

    def classes(self) -> tuple[str, ...]:
        return ("common", "rare", "rarest")[: len(self.counts)]

    def load(self, split: Split, limit: int | None = None) -> Samples:
        labels = np.repeat(np.arange(len(self.counts)), self.counts)[:limit]
        return Samples(random_images(len(labels), 1, 2, 2), labels, notes=(f"{split} was read",))


def tail(*, counts: tuple[int, ...] = (900, 40, 3), **settings: Any) -> TrainingData:
    return training_data(Tail(counts=counts), **{"limit": None, "validation": 0.2, "seed": 0, **settings})


def sizes(data: TrainingData) -> list[list[int]]:
    return [np.bincount(part.labels, minlength=len(data.classes)).tolist() for part in (data.train, data.validation)]


@pytest.mark.parametrize("limit", [13, 20, 100, 500, 700, 942])
def test_a_limit_leaves_every_class_in_both_parts(limit: int) -> None:
    data = tail(limit=limit)
    assert sum(map(sum, sizes(data))) == limit
    assert min(map(min, sizes(data))) >= 1


def test_a_class_that_gets_more_than_its_share_is_named() -> None:
    assert "scans of 'rarest': kept 2 within data.limit, more than their share" in tail(limit=100).notes
    assert "scans of 'rare', 'rarest': kept 1 for validation, more than their share" in tail(limit=100).notes


def test_the_least_limit_that_is_told_will_do_and_one_less_will_not() -> None:
    for validation, least in ((0.2, 13), (0.5, 6), (0.05, 51)):
        with pytest.raises(
            ValueError, match=rf"class 'rarest', the rarest, .* least data\.limit that will do is {least}\."
        ):
            tail(limit=least - 1, validation=validation)
        assert min(map(min, sizes(tail(limit=least, validation=validation)))) == 1


def test_no_limit_is_told_where_none_will_do() -> None:
    with pytest.raises(
        ValueError, match=r"9 scans are .* Use more scans, or another data\.validation than 0\.2\. \(train"
    ):
        tail(counts=(5, 2, 2), limit=9)


def test_a_class_without_an_image_is_named() -> None:
    with pytest.raises(ValueError, match=r"class 'rare' has 0 of the 8 training scans"):
        tail(counts=(5, 0, 3))


def test_an_official_validation_split_keeps_every_class_under_a_limit() -> None:
    data = training_data(Tail(own=True), limit=30, validation=0.2, seed=0)
    assert sizes(data) == [[22, 1, 1], [4, 1, 1]]
    with pytest.raises(ValueError, match=r"The least data\.limit that will do is 13\."):
        training_data(Tail(own=True), limit=12, validation=0.2, seed=0)


def test_what_reading_has_to_say_is_passed_on_once() -> None:
    assert training_data(Tail(own=True), limit=None, validation=0.2, seed=0).notes == (
        "train was read",
        "validation was read",
    )


def test_whole_groups_are_held_out_so_that_no_class_is_missing() -> None:
    @dataclass(frozen=True)
    class Grouped(Tail):
        def load(self, split: Split, limit: int | None = None) -> Samples:
            samples = super().load(split)
            return replace(samples, groups=np.arange(len(samples)) % self.counts[-1])

    for seed in range(5):
        data = training_data(Grouped(counts=(40, 8, 4)), limit=None, validation=0.25, seed=seed)
        assert min(map(min, sizes(data))) >= 1
    with pytest.raises(ValueError, match=r"class 'rarest' is in too few groups \(speakers or recordings\)"):
        training_data(Alone(), limit=None, validation=0.25, seed=0)


@dataclass(frozen=True)
class Alone(Tail):
    """Four speakers, of which one alone says the last word."""

    counts: tuple[int, ...] = (40, 40, 4)

    def load(self, split: Split, limit: int | None = None) -> Samples:
        samples = super().load(split)
        return replace(samples, groups=np.where(samples.labels == 2, 3, np.arange(len(samples)) % 4))
