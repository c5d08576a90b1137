"""SpaRTAN's downsampling, and its parameters with those of the stem."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from searchspaces.downsamples import SpartanDownsample
from searchspaces.stems.spartan import SpartanStem


def test_parameters_between_the_blocks_are_those_of_the_released_code() -> None:
    assert SpartanStem(32).cost((3, 256, 256)).parameters == 5_136
    steps = [((32, 64, 64), 64, 8_320), ((64, 32, 32), 128, 33_024), ((128, 16, 16), 256, 131_584)]
    for shape, width, parameters in steps:
        assert SpartanDownsample(width).output(shape) == (width, shape[1] // 2, shape[2] // 2)
        assert SpartanDownsample(width).cost(shape).parameters == parameters


def normalised(norm: Any, x: Tensor) -> Tensor:
    mean, var, weight, bias = (t[:, None, None] for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
    return (x - mean) / (var + 1e-6).sqrt() * weight + bias


def test_the_downsampling_is_activated_by_silu() -> None:
    torch.manual_seed(0)
    downsample, x = SpartanDownsample(6).build((4, 5, 8)).eval(), torch.randn(2, 4, 5, 8)
    conv, norm, _ = downsample
    torch.testing.assert_close(downsample(x), F.silu(normalised(norm, F.conv2d(x, conv.weight, stride=2))))
