"""The canonical form of the two mixers of a block and of the freeze pattern over them."""

from dataclasses import replace

from searchspaces.architecture import ChannelMixer, TokenMixer
from searchspaces.freezing import Freeze
from searchspaces.operators.depthwise import Depthwise


def canonical_mixing(
    token: TokenMixer, channel: ChannelMixer, pattern: Freeze
) -> tuple[TokenMixer, ChannelMixer, Freeze]:
    """Canonical mixers, ``full`` for a pattern that freezes nothing, no dilation of a frozen centre tap."""
    token, channel = token.canonical(), channel.canonical()
    frozen = {"full": "", "chans": "spatial", "space": "channel"}[pattern]
    if frozen not in token.weights() | channel.weights():
        pattern = "full"
    if pattern == "chans" and isinstance(token, Depthwise) and token.filters == "identity":
        token = replace(token, dilation=1)  # a frozen centre tap reads the same pixel at any dilation
    return token, channel, pattern
