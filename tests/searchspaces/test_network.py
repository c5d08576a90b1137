"""Whole networks: published sizes, seeds, normalisation, errors."""

import random

import numpy as np
import pytest
import torch

from searchspaces import Architecture, Shape, Stage, build
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.downsamples import ConvDownsample
from searchspaces.freezing import Freeze
from searchspaces.heads import AverageHead
from searchspaces.operators.depthwise import Depthwise
from searchspaces.stems.patch import PatchStem


def convmixer(
    dim: int,
    depth: int,
    *,
    kernel: int,
    patch: int,
    input: Shape = (3, 32, 32),
    classes: int = 10,
    freeze: Freeze = "full",
) -> Architecture:
    block = ConvMixerBlock(token=Depthwise(kernel), freeze=freeze)
    return Architecture(input, classes, PatchStem(dim, patch), (Stage(block, depth),), AverageHead())


SMALL = convmixer(8, 2, kernel=3, patch=4)


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        (convmixer(256, 8, kernel=5, patch=2), 594_186),
        (convmixer(512, 16, kernel=8, patch=7, input=(3, 224, 224), classes=1000), 5_357_544),
        (convmixer(128, 8, kernel=8, patch=1), 204_810),
        (convmixer(32, 4, kernel=5, patch=1), 8_586),
        (convmixer(768, 32, kernel=7, patch=7, input=(3, 224, 224), classes=1000), 21_110_248),
    ],
    ids=["256/8", "512/16", "128/8", "32/4", "768/32"],
)
def test_parameters_are_those_of_the_published_convmixers(architecture: Architecture, parameters: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in build(architecture).parameters()) == parameters


@pytest.mark.parametrize(("pattern", "trained"), [("full", 204_810), ("chans", 138_250), ("space", 72_714)])
def test_trained_parameters_are_those_of_the_published_patterns(pattern: Freeze, trained: int) -> None:
    with torch.device("meta"):
        model = build(convmixer(128, 8, kernel=8, patch=1, freeze=pattern))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trained


def test_parameters_of_a_small_network_add_up_by_hand() -> None:
    stem = 3 * 8 * 4 * 4 + 8 + 2 * 8
    block = (8 * 3 * 3 + 8 + 2 * 8) + (8 * 8 + 8 + 2 * 8)
    assert sum(p.numel() for p in build(SMALL).parameters()) == stem + 2 * block + (8 * 10 + 10)


def test_images_become_logits() -> None:
    assert build(SMALL)(torch.rand(5, 3, 32, 32)).shape == (5, 10)


def test_sides_may_differ() -> None:
    architecture = convmixer(8, 1, kernel=4, patch=2, input=(1, 6, 10), classes=3)
    assert build(architecture)(torch.rand(2, 1, 6, 10)).shape == (2, 3)


def test_a_downsampling_gives_the_next_stage_its_grid_and_channels() -> None:
    second = Stage(ConvMixerBlock(), 2, ConvDownsample(12))
    architecture = Architecture((3, 8, 12), 5, PatchStem(6, 1), (Stage(ConvMixerBlock(), 1), second), AverageHead())
    model = build(architecture)
    shapes: list[tuple[int, ...]] = []
    for module in model.blocks:
        module.register_forward_hook(lambda module, args, out: shapes.append(tuple(out.shape[1:])))
    assert model(torch.rand(2, 3, 8, 12)).shape == (2, 5)
    assert shapes == [(6, 8, 12), (12, 4, 6), (12, 4, 6), (12, 4, 6)]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    one, same, other = (build(SMALL, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    drawn = [name for name in one if name.endswith("weight") and "norm" not in name and "stem.2" not in name]
    assert len(drawn) == 6  # stem, twice depthwise and pointwise, classifier
    assert not any(torch.equal(one[name], other[name]) for name in drawn)


def test_building_leaves_the_random_state_of_the_caller_as_it_was() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    build(SMALL, seed=7)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_weights_do_not_depend_on_the_random_state_of_the_caller() -> None:
    torch.manual_seed(1)
    one = build(SMALL, seed=3).state_dict()
    torch.manual_seed(2)
    other = build(SMALL, seed=3).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_normalisation_is_inside_the_network() -> None:
    plain, normalising = build(SMALL).eval(), build(SMALL).eval()
    mean, std = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.5, 0.25, 2.0])
    normalising.normalize.mean.copy_(mean)
    normalising.normalize.std.copy_(std)
    x = torch.rand(4, 3, 32, 32)
    expected = plain((x - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    torch.testing.assert_close(normalising(x), expected)


def test_normalisation_is_saved_with_the_weights_and_not_trained() -> None:
    model = build(SMALL)
    assert {"normalize.mean", "normalize.std"} <= model.state_dict().keys()
    assert not any(name.startswith("normalize") for name, _ in model.named_parameters())


def test_nothing_is_allocated_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = build(SMALL)
    assert all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


def test_a_patch_that_does_not_divide_the_sides_is_answered_with_those_that_do() -> None:
    message = (
        r"patch must divide every side, got patch=5 for input \(3, 32, 48\)\. Divisors of both sides: 1, 2, 4, 8, 16\."
    )
    with pytest.raises(ValueError, match=message):
        build(convmixer(8, 2, kernel=3, patch=5, input=(3, 32, 48)))


def test_a_patch_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="patch must be at least 1, got 0"):
        build(convmixer(8, 2, kernel=3, patch=0))


def test_a_stage_without_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="depth of a stage must be at least 1, got 0"):
        Stage(ConvMixerBlock(), 0)
