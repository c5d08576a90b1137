"""Networks that forecast series, ``(1, variates, context) -> (1, variates, horizon)``.

They are trained on any series: `nas train known:dlinear --data etth1 ...` builds them for its variates and horizon.
"""

from collections.abc import Callable

from searchspaces.architecture import Architecture, Stage
from searchspaces.blocks.timemixer import TimeMixerBlock
from searchspaces.blocks.tsmixer import TSMixerBlock
from searchspaces.heads import ForecastHead, ScalesHead
from searchspaces.operators.axis_mlp import AxisMLP
from searchspaces.operators.gated_mlp import GatedChannelMLP
from searchspaces.operators.identity import NoTokenMixing
from searchspaces.stems.decomposition import DecompositionStem
from searchspaces.stems.scales import ScalesStem
from searchspaces.stems.series import SeriesStem


def patchtsmixer(
    dim: int = 8,
    depth: int = 3,
    *,
    variates: int = 1,
    context: int = 32,
    horizon: int = 16,
    patch: int = 8,
    mixes: bool = False,
) -> Architecture:
    """PatchTSMixer (2306.09364) as its released code has it by default, without dropout.

    Args:
        mixes: variates are mixed too, the mode ``mix_channel``.
    """
    variate = AxisMLP("columns") if mixes else NoTokenMixing()
    block = TSMixerBlock(AxisMLP(), GatedChannelMLP(), variate=variate)
    stem, head = SeriesStem(dim, patch, patch), ForecastHead(reversible=True)
    return Architecture((1, variates, context), (1, variates, horizon), stem, (Stage(block, depth),), head)


def dlinear(*, variates: int = 7, context: int = 96, horizon: int = 96) -> Architecture:
    """DLinear (2205.13504): one linear map of the trend and one of what remains, the same for all variates."""
    return Architecture(
        (1, variates, context), (1, variates, horizon), DecompositionStem(), (), ForecastHead(reversible=False)
    )


def timemixer(
    dim: int = 16, depth: int = 2, *, variates: int = 7, context: int = 96, horizon: int = 96, scales: int = 3
) -> Architecture:
    """TimeMixer (2405.14616), variates by themselves, hidden channels twice the channels, averages of two steps."""
    stem, block = ScalesStem(dim, scales), TimeMixerBlock(scales)
    head = ScalesHead(scales, reversible=True)
    return Architecture((1, variates, context), (1, variates, horizon), stem, (Stage(block, depth),), head)


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "patchtsmixer": patchtsmixer,
    "dlinear": dlinear,
    "timemixer": timemixer,
}
