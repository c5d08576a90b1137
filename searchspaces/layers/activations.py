"""Activations by name; an operator names those that it takes in a type and a tuple of its own."""

import torch
from torch import Tensor, nn

from searchspaces.costs import Cost, elementwise


class AconC(nn.Module):
    """``(p1 - p2) x sigmoid(beta (p1 - p2) x) + p2 x`` with three learned factors for each channel.

    Args:
        channels: along the last dimension, or along dimension 1 with ``images``.

    Source: ACON-C, 2009.04759; ``p1`` and ``p2`` start at random, as in its authors' code, ``beta`` at 1.
    """

    def __init__(self, channels: int, *, images: bool = False) -> None:
        super().__init__()
        self.images = images
        self.p1, self.p2 = (nn.Parameter(torch.randn(channels)) for _ in range(2))
        self.beta = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        factors: tuple[Tensor, ...] = (self.p1, self.p2, self.beta)
        p1, p2, beta = (factor[:, None, None] for factor in factors) if self.images else factors
        slope = p1 - p2
        # x (slope sigmoid(beta slope x) + p2): three operations on x, where the formula as it stands takes six.
        return x * torch.addcmul(p2, slope, torch.sigmoid(beta * slope * x))


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "acon-c": AconC,
}


def make_activation(name: str, channels: int, *, images: bool = False) -> nn.Module:
    """The activation called ``name``, for ``channels`` along the last dimension or dimension 1 (see `AconC`)."""
    return AconC(channels, images=images) if name == "acon-c" else ACTIVATIONS[name]()


def activation_cost(name: str, channels: int, positions: int, *, trained: bool) -> Cost:
    """Cost of `make_activation` on ``channels`` times ``positions`` elements; not of ReLU, which keeps its output."""
    size = channels * positions
    if name != "acon-c":
        return elementwise(size, kept=size)
    return Cost(
        elementwise_flops=4 * size + 2 * channels,
        parameters=3 * channels,
        trainable_parameters=3 * channels if trained else 0,
        activations=3 * size,  # x, the sigmoid and what multiplies x
        kept_once=2 * channels,
    )
