"""Seconds of a training."""

from dataclasses import replace

import pytest

from nas.testing.objectives import candidate
from objectives import Timing
from objectives.train_seconds import TrainSeconds


def test_the_seconds_of_all_epochs_are_added_up() -> None:
    one = replace(candidate(TrainSeconds), timing=Timing((3.0, 1.0, 2.0), epochs=3))
    assert TrainSeconds().measure(one) == 6
    assert TrainSeconds().settings(one)["timed_epochs"] == 3


def test_epochs_of_a_lost_attempt_count_at_the_mean_of_the_whole_ones_that_were_seen() -> None:
    one = replace(candidate(TrainSeconds), timing=Timing((0.1, 1.0, 2.0), epochs=10))  # the first may be a part of one
    assert TrainSeconds().measure(one) == 15
    assert TrainSeconds().settings(one)["timed_epochs"] == 2


def test_a_network_whose_training_was_not_watched_has_no_seconds() -> None:
    with pytest.raises(ValueError, match="known of a training that was watched"):
        TrainSeconds().measure(replace(candidate(TrainSeconds), timing=None))
