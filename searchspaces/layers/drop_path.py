"""Stochastic depth (1603.09382), ``(B, ...) -> (B, ...)``: in training a branch is left out, image by image."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Zeros for each image with a probability, else ``x / (1 - probability)``; x itself when evaluated."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.kept = 1 - probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        mask = x.new_empty((len(x), *[1] * (x.dim() - 1))).bernoulli_(self.kept)  # (B, 1, ...)
        return x * (mask / self.kept)
