"""The stem of residual networks."""

import torch
import torch.nn.functional as F

from searchspaces.stems.conv import ConvStem


def test_the_conv_stem_is_a_convolution_a_norm_and_a_relu() -> None:
    stem, x = ConvStem(5, stride=2).build((3, 7, 4)), torch.randn(2, 3, 7, 4)
    weight = next(stem.parameters())
    expected = F.relu(F.batch_norm(F.conv2d(x, weight, stride=2, padding=1), None, None, training=True))
    torch.testing.assert_close(stem(x), expected)
    assert expected.shape[1:] == ConvStem(5, stride=2).output((3, 7, 4))
