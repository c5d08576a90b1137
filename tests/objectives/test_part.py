"""The part of the images that expensive objectives measure on."""

import pytest
import torch

from nas.testing.objectives import candidate
from objectives.accuracy import Accuracy
from objectives.part import shares, stratified


@pytest.mark.parametrize(
    ("counts", "samples", "expected"),
    [
        ([10, 10], 6, [3, 3]),
        ([6, 3, 1, 0], 5, [3, 1, 1, 0]),
        ([98, 1, 1], 10, [8, 1, 1]),
        ([5, 5, 5], 2, [1, 1, 1]),
        ([1, 9], 10, [1, 9]),
        ([40, 30, 30], 7, [3, 2, 2]),
    ],
)
def test_shares_by_hand(counts: list[int], samples: int, expected: list[int]) -> None:
    assert shares(counts, samples) == expected


@pytest.mark.parametrize("seed", [0, 1])
def test_every_class_is_in_the_part_of_data_stored_class_by_class(seed: int) -> None:
    labels = torch.arange(10).repeat_interleave(120)
    part = stratified(labels, 400, seed)
    assert torch.bincount(labels[part]).tolist() == [40] * 10
    assert part.tolist() == sorted(set(part.tolist()))


def test_the_part_depends_on_the_seed_and_the_labels_alone() -> None:
    labels = torch.arange(4).repeat(30)
    assert stratified(labels, 20, 3).equal(stratified(labels.clone(), 20, 3))
    assert not stratified(labels, 20, 3).equal(stratified(labels, 20, 4))
    assert stratified(labels, 120, 3).equal(torch.arange(120))
    assert stratified(labels, 500, 3).equal(torch.arange(120))


def test_a_candidate_has_one_part_of_a_size() -> None:
    one = candidate(Accuracy)
    part = one.part(20)
    assert one.part(20) is part
    assert len(part.labels) == 20
    assert part.settings()["samples"] == 20
