"""Patches of several sizes."""

import pytest
import torch
import torch.nn.functional as F

from searchspaces.downsamples import CrossScaleDownsample
from searchspaces.stems.cross_scale import CrossScaleStem


def test_one_linear_map_reads_the_patches_of_all_sizes_around_a_centre() -> None:
    torch.manual_seed(0)
    stem, x = CrossScaleStem(5, (2, 4)).build((3, 6, 9)), torch.randn(2, 3, 6, 9)
    patches = [F.unfold(x, 2, stride=2), F.unfold(x, 4, stride=2, padding=1)]
    small, large = stem.convs
    weights = torch.cat([small.weight.flatten(1), large.weight.flatten(1)], 1)
    expected = weights @ torch.cat(patches, 1) + small.bias[:, None]
    torch.testing.assert_close(stem(x), expected.view(2, 5, 3, 4))


def test_parameters_between_the_stages_of_raft_mlp_s_are_those_of_the_released_code() -> None:
    assert CrossScaleStem(64, (4, 8)).cost((3, 224, 224)).parameters == 15_424
    for shape, kernels, parameters in (((64, 56, 56), (2, 4), 163_968), ((256, 14, 14), (2,), 524_800)):
        assert CrossScaleDownsample(2 * shape[0], kernels).cost(shape).parameters == parameters


@pytest.mark.parametrize(
    ("kernels", "message"), [((4, 2), "the smallest first"), ((2, 3), "all odd or all even"), ((), "at least 1")]
)
def test_patches_that_have_no_common_centre_are_refused(kernels: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrossScaleStem(5, kernels)
