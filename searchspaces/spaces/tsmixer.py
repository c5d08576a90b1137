"""TSMixer networks for series ``(1, variates, time)`` (2306.09364), with other mixers along the time as well.

The axes are those of the paper: patches, whether variates are mixed, the gate. ``time`` is the mixer along the time:
the gated MLP, or one of the other operators on each row by itself; ``s6`` is TSM2 (2403.19888). Images have rows too:
there the space is of networks that cut each row into patches.
"""

from typing import cast, get_args

from searchspaces.architecture import Architecture, ChannelMixer, Head, Shape, Stage, TokenMixer, Value
from searchspaces.blocks.metaformer import with_rising_drop_path
from searchspaces.blocks.tsmixer import TSMixerBlock
from searchspaces.fields import SWITCH
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.heads import AverageHead, ForecastHead
from searchspaces.layers.gated_mlp import AXIS_GATES, AxisGate
from searchspaces.layers.norms import Norm
from searchspaces.operators.axis_mlp import AxisMLP
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.each_row import EachRow
from searchspaces.operators.gated_mlp import GatedChannelMLP
from searchspaces.operators.identity import NoTokenMixing
from searchspaces.operators.s6 import SelectiveScan
from searchspaces.operators.spatial_fc import SpatialFC
from searchspaces.space import Choice, Numbers, Picks, SearchSpace, search_space
from searchspaces.stems.series import SeriesStem

MODES = ("common_channel", "mix_channel")
"""Variates by themselves, or mixed in every block."""
TIMES = ("mlp", "fc", "depthwise", "s6", "identity")
"""Mixers along the time."""
PATCHES = (4, 8, 12, 16, 24)
"""Steps of the usual patches."""


@search_space("tsmixer")
def tsmixer(input: Shape, classes: int, outputs: Shape | None = None) -> SearchSpace:
    """TSMixers for windows ``input`` = (C, variates, context).

    Args:
        outputs: (C, variates, horizon) of a forecast; None for classifiers.
    """
    patches: tuple[Value, ...] = tuple(p for p in PATCHES if 2 * p <= input[2])
    freezes: tuple[Value, ...] = FREEZE_PATTERNS
    choices = (
        Choice("dim", (8, 16, 32, 64), range(1, 4097), "channels of every block"),
        Choice("depth", (1, 2, 3, 4), range(1, 65), "number of blocks"),
        Choice("patch", patches or (1,), range(1, input[2] + 1), "steps of a patch"),
        Choice("overlap", SWITCH, SWITCH, "patches begin half a patch apart, not a whole one"),
        Choice("mode", MODES, MODES, "whether variates are mixed too"),
        Choice("time", ("mlp", "depthwise", "s6"), TIMES, "mixer along the time"),
        Choice("gate", AXIS_GATES, AXIS_GATES, "of the MLPs"),
        Choice("expansion", (2.0,), Numbers(0.1, 16.0), "hidden units of the MLPs for each unit"),
        Choice("reversible", ("on",), SWITCH, "each row is normalised by its own mean and deviation, and brought back"),
        Choice("freeze", ("full",), freezes, "which mixing is trained"),
        Choice("norm", ("layer",), get_args(Norm), "before every mixer"),
    )
    more = (Choice("drop_path", (0.0,), Numbers(0.0, 0.9), "share of branches left out in training, rising to it"),)

    def to_architecture(picks: Picks) -> Architecture:
        gate, expansion = cast(AxisGate, picks["gate"]), float(picks["expansion"])
        across: TokenMixer = NoTokenMixing()
        if picks["mode"] == "mix_channel" and input[1] > 1:  # one variate has nothing to be mixed with
            across = AxisMLP("columns", expansion, gate)
        channel: ChannelMixer = GatedChannelMLP(expansion, gate)
        time = AxisMLP("rows", expansion, gate) if picks["time"] == "mlp" else _along_time(str(picks["time"]))
        freeze, norm = cast(Freeze, picks["freeze"]), cast(Norm, picks["norm"])
        block = TSMixerBlock(time, channel, freeze, norm, variate=across)
        patch = int(picks["patch"])
        stride = max(1, patch // 2) if picks["overlap"] == "on" else patch
        stages = with_rising_drop_path([Stage(block, int(picks["depth"]))], float(picks.get("drop_path", 0.0)))
        head: Head = AverageHead()
        if outputs is not None:
            head = ForecastHead(reversible=picks["reversible"] == "on")
        stem = SeriesStem(int(picks["dim"]), patch, stride)
        return Architecture(input, classes if outputs is None else outputs, stem, stages, head)

    return SearchSpace("tsmixer", choices, to_architecture, more)


def _along_time(name: str) -> TokenMixer:
    """A mixer of each row by itself."""
    if name == "identity":
        return NoTokenMixing()
    mixers = {"fc": SpatialFC(), "depthwise": Depthwise(3), "s6": SelectiveScan(states=8, directions=2)}
    return EachRow(mixers[name])
