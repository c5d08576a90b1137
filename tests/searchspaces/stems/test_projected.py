"""A fixed number of tokens by a random projection."""

import torch
import torch.nn.functional as F

from searchspaces.stems.projected import ProjectedStem


def test_a_projected_stem_takes_any_number_of_tokens_and_never_trains_its_map() -> None:
    torch.manual_seed(0)
    stem, x = ProjectedStem(8, 7, patch=2).build((3, 5, 6)), torch.rand(2, 3, 5, 6)
    assert stem(x).shape == (2, 8, 1, 7)
    assert {name for name, _ in stem.named_parameters()} == {"conv.weight", "conv.bias"}
    patches = F.unfold(x[:, :, :4], 2, stride=2)  # the fifth row fills no patch
    expected = F.conv1d(patches @ stem.projection.T, stem.conv.weight.squeeze(-1), stem.conv.bias)
    torch.testing.assert_close(stem(x).squeeze(2), expected)
