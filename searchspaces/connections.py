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


def partner(tokens: int, omega: float, gamma: float = 1.0, channel_gamma: float | None = None) -> int:
    """C(S; Omega, gamma): the channels with which ``tokens`` come closest to ``omega`` connections; 0 if none fit.

    Expansions as in `connections`.

    Example: ``partner(64, 2**18)`` is 64, the widest network of that budget.
    """
    channel_gamma = gamma if channel_gamma is None else channel_gamma
    tokens_alone = gamma * tokens
    root = math.sqrt(tokens_alone**2 + 8 * channel_gamma * omega / tokens)
    exact = (root - tokens_alone) / (2 * channel_gamma)
    nearest = (math.floor(exact), math.ceil(exact))
    return min(nearest, key=lambda channels: abs(connections(tokens, channels, gamma, channel_gamma) - omega))


def density(tokens: int, channels: int, ratio: float = 1.0) -> float:
    """p, density of all effective matrices together: (1/S + 1/C)/2.

    Args:
        ratio: expansion of channel mixing for that of token mixing.
    """
    return (tokens + ratio * channels) / ((1 + ratio) * width(tokens, channels))
