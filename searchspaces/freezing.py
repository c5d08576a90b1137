"""Freeze patterns: which of a block's mixing parameters are trained.

Source: 2503.16760. ``chans`` trains channel mixing over frozen spatial filters, ``space`` the reverse. Norms train
in every pattern. A frozen layer stays in the graph (never ``no_grad`` or ``detach``): cutting its input gradient would
stop training below it and fake robustness.
"""

from collections.abc import Iterable
from typing import Literal, get_args

from torch import nn

from searchspaces.registry import check_one_of

Freeze = Literal["full", "chans", "space"]
FREEZE_PATTERNS: tuple[Freeze, ...] = get_args(Freeze)


class Mixer(nn.Module):
    """A token or channel mixer, ``(B, C, H, W) -> (B, C, H, W)``, that says which of its parameters mix what."""

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that mix positions; frozen under ``chans``."""
        return ()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that mix channels; frozen under ``space``."""
        return ()


def freeze(pattern: Freeze, mixers: Iterable[Mixer]) -> None:
    """Stops the training of the parameters that ``pattern`` freezes; their gradients are never computed.

    Raises:
        ValueError: if the pattern is not one of FREEZE_PATTERNS.
    """
    check_one_of("freeze", pattern, FREEZE_PATTERNS)
    for mixer in mixers:
        frozen = {"full": (), "chans": mixer.spatial_parameters(), "space": mixer.channel_parameters()}[pattern]
        for parameter in frozen:
            parameter.requires_grad_(False)
