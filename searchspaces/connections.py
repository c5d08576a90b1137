"""Arithmetic of an MLP-Mixer seen as a wide and sparse MLP (2306.01470).

S tokens and C channels make an MLP of width m = S C whose four matrices a block are Kronecker products with an
identity. Their mean number of non-zeros Omega = gamma m (S + C)/2 is the mean number of multiply-accumulates of a
layer; at fixed Omega the width is largest at S = C, where the paper finds the smallest error.
"""

import math


def width(tokens: int, channels: int) -> int:
    """m, units of the network as a wide MLP."""
    return tokens * channels


def connections(tokens: int, channels: int, gamma: float = 1.0, channel_gamma: float | None = None) -> float:
    """Omega, mean non-zeros of the effective matrices of a block: gamma m (S + C)/2.

    Args:
        gamma: expansion of both mixers, or of token mixing if ``channel_gamma`` is set.
    """
    channel_gamma = gamma if channel_gamma is None else channel_gamma
    return width(tokens, channels) * (gamma * tokens + channel_gamma * channels) / 2


def partner(tokens: int, omega: float, gamma: float = 1.0) -> int:
    """C(S; Omega, gamma): the channels with which ``tokens`` come closest to ``omega`` connections; 0 if none fit.

    Example: ``partner(64, 2**18)`` is 64, the widest network of that budget.
    """
    exact = (-tokens + math.sqrt(tokens**2 + 8 * omega / (gamma * tokens))) / 2
    nearest = (math.floor(exact), math.ceil(exact))
    return min(nearest, key=lambda channels: abs(connections(tokens, channels, gamma) - omega))


def density(tokens: int, channels: int) -> float:
    """p, mean density of the effective matrices: (1/S + 1/C)/2."""
    return (1 / tokens + 1 / channels) / 2
