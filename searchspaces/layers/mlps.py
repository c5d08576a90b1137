"""Sizes and costs of MLPs over the channels."""

from searchspaces.architecture import Shape
from searchspaces.costs import Cost, convolution, elementwise


def pointwise_mlp_cost(shape: Shape, hidden: int, *, trained: bool) -> Cost:
    """Cost of ``Conv1x1(GELU(Conv1x1(x)))``, both with bias, with ``hidden`` channels between them."""
    channels, positions = shape[0], shape[1] * shape[2]
    weights = hidden * channels
    first = convolution(weights * positions, weights + hidden, channels * positions, trained=trained)
    second = convolution(weights * positions, weights + channels, hidden * positions, trained=trained)
    return first + elementwise(hidden * positions, kept=hidden * positions) + second
