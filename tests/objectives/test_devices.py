"""Batches of few sizes, for GPUs."""

import torch
from torch import Tensor, nn

from objectives.devices import SteadyBatches


class Noting(nn.Module):
    """A linear map that notes the sizes of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.sizes = nn.Linear(6, 3), list[int]()

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        found: Tensor = self.map(x.flatten(1))
        return found


def test_batches_are_filled_up_and_outputs_and_gradients_are_those_of_the_images() -> None:
    model, x = Noting(), torch.rand(11, 1, 2, 3)
    steady = SteadyBatches(model, steady=True)
    for size in (11, 8, 5, 1, 0):
        one, other = x[:size].clone().requires_grad_(), x[:size].clone().requires_grad_()
        steady(one).pow(2).sum().backward()
        model(other).pow(2).sum().backward()
        assert torch.allclose(steady(one), model(other))
        assert torch.allclose(one.grad, other.grad)  # type: ignore[arg-type]
    assert model.sizes[:4] == [16, 11, 16, 11]
    assert set(model.sizes[::2]) == {16, 8, 1, 0}


def test_on_a_cpu_they_are_left_as_they_are() -> None:
    model = Noting()
    SteadyBatches(model)(torch.rand(11, 1, 2, 3))
    assert model.sizes == [11]
