"""SpaRTAN's stem."""

import pytest
import torch

from searchspaces.stems.spartan import SpartanStem


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_stem_takes_odd_sides(stride: int) -> None:
    stem = SpartanStem(8, stride)
    assert stem.output((3, 33, 30)) == {1: (8, 33, 30), 2: (8, 17, 15), 4: (8, 9, 8)}[stride]
    assert stem.build((3, 33, 30))(torch.randn(1, 3, 33, 30)).shape[1:] == stem.output((3, 33, 30))
