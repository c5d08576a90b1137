"""Costs of MLPs over the channels."""

from searchspaces.architecture import Shape
from searchspaces.costs import Cost, convolution, elementwise


def pointwise_mlp_cost(shape: Shape, expansion: int, *, trained: bool) -> Cost:
    """Cost of ``Conv1x1(GELU(Conv1x1(x)))``, both with bias, at ``expansion`` hidden channels for each channel."""
    channels, positions = shape[0], shape[1] * shape[2]
    hidden, weights = expansion * channels, expansion * channels**2
    first = convolution(weights * positions, weights + hidden, channels * positions, trained=trained)
    second = convolution(weights * positions, weights + channels, hidden * positions, trained=trained)
    return first + elementwise(hidden * positions, kept=hidden * positions) + second
