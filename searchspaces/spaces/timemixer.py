"""TimeMixer networks for series ``(1, variates, time)`` (2405.14616): several scales, seasons and trends mixed between.

The scales lie one after the other in one tensor (`searchspaces.layers.scales`). Variates are by themselves throughout.
"""

from typing import cast, get_args

from searchspaces.architecture import Architecture, Head, Shape, Stage, Value
from searchspaces.blocks.timemixer import Mixed, TimeMixerBlock
from searchspaces.fields import SWITCH
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.heads import AverageHead, ScalesHead
from searchspaces.layers.norms import Norm
from searchspaces.space import Choice, Numbers, Picks, SearchSpace, search_space
from searchspaces.stems.scales import ScalesStem


@search_space("timemixer")
def timemixer(input: Shape, classes: int, outputs: Shape | None = None) -> SearchSpace:
    """TimeMixers for windows ``input`` = (C, variates, context).

    Args:
        outputs: (C, variates, horizon) of a forecast; None for classifiers.
    """
    most = input[2].bit_length() - 1  # averages of two steps until one is left
    scales: tuple[Value, ...] = tuple(range(1, min(3, most) + 1)) or (0,)
    mixes: tuple[Value, ...] = get_args(Mixed)
    choices = (
        Choice("dim", (8, 16, 32), range(1, 4097), "channels of every block"),
        Choice("depth", (1, 2, 3), range(1, 65), "number of blocks"),
        Choice("scales", scales, range(most + 1), "averages of the series beside the series itself"),
        Choice("window", (2,), range(2, 65), "steps in an average; fewer scales where nothing would be left"),
        Choice("kernel", (5, 13, 25), range(1, 1000, 2), "steps of the moving average that is the trend"),
        Choice("mixed", mixes, mixes, "what scales exchange"),
        Choice("expansion", (2.0,), Numbers(0.1, 16.0), "hidden channels of the MLP for each channel"),
        Choice("reversible", ("on",), SWITCH, "each row is normalised by its own mean and deviation, and brought back"),
        Choice("freeze", ("full",), FREEZE_PATTERNS, "which mixing is trained"),
        Choice("norm", ("layer",), get_args(Norm), "before the MLP over the channels"),
    )

    def to_architecture(picks: Picks) -> Architecture:
        window, count, left = int(picks["window"]), 0, input[2]
        while count < int(picks["scales"]) and left // window:
            count, left = count + 1, left // window
        block = TimeMixerBlock(
            count,
            window,
            int(picks["kernel"]),
            float(picks["expansion"]),
            cast(Mixed, picks["mixed"]),
            cast(Freeze, picks["freeze"]),
            cast(Norm, picks["norm"]),
        )
        head: Head = AverageHead()
        if outputs is not None:
            head = ScalesHead(count, window, reversible=picks["reversible"] == "on")
        stem = ScalesStem(int(picks["dim"]), count, window)
        stages = (Stage(block, int(picks["depth"])),)
        return Architecture(input, classes if outputs is None else outputs, stem, stages, head)

    return SearchSpace("timemixer", choices, to_architecture)
