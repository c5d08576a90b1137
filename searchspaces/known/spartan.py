"""SpaRTAN (2507.10999)."""

from collections.abc import Callable

from searchspaces.architecture import Architecture, Shape, Stage
from searchspaces.blocks.metaformer import MetaFormerBlock, with_rising_drop_path
from searchspaces.downsamples import SpartanDownsample
from searchspaces.heads import AverageHead
from searchspaces.operators.spartan_mixer import SpartanMixer
from searchspaces.operators.spartan_wave import SpartanWave, WaveConv
from searchspaces.stems.spartan import SpartanStem

RELEASED_CONVS: tuple[WaveConv, ...] = ("depthwise", "depthwise", "grouped", "grouped")
"""Groups of the channel mixer's convolution in the stages of the released code."""


def spartan(
    input: Shape,
    classes: int,
    *,
    widths: tuple[int, ...] = (32, 64, 128, 256),
    depths: tuple[int, ...] = (3, 3, 12, 2),
    expansions: tuple[int, ...] = (4, 4, 2, 2),
    hybrid: int = 2,
    channel_convs: tuple[WaveConv, ...] = RELEASED_CONVS,
    layer_scale: float = 1e-5,
    stem_stride: int = 4,
    drop_path: float = 0.0,
    classifier_start: float = 0.0,
) -> Architecture:
    """SpaRTAN (2507.10999) with the published SpaRTAN-T as its defaults.

    Not its defaults are the published drop path, 0.1, and start of the classifier, 0.02, which short trainings do not
    need. The released code decays layer scales and W_c like weights.

    Args:
        widths, depths, expansions, channel_convs: one value for each stage.
        hybrid: leading stages whose spatial mixers have full convolutions; the later ones are depthwise.
        layer_scale: start of the residual factors; short trainings need 1 or 1e-2.
        drop_path: of the blocks, rising from 0 in the first.
        classifier_start: standard deviation of the classifier's weights at the start; 0: PyTorch's start.
    """
    stages = [
        Stage(
            MetaFormerBlock(
                SpartanMixer(conv="full" if number < hybrid else "depthwise"),
                SpartanWave(expansions[number], conv=channel_convs[number]),
                norm="group",
                layer_scale=layer_scale,
            ),
            depths[number],
            SpartanDownsample(width) if number else None,
        )
        for number, width in enumerate(widths)
    ]
    head = AverageHead(start=classifier_start)
    rows = with_rising_drop_path(stages, drop_path)
    return Architecture(input, classes, SpartanStem(widths[0], stem_stride), rows, head)


def spartan_t(input: Shape = (3, 256, 256), classes: int = 1000) -> Architecture:
    """SpaRTAN-T as released: 3,820,296 parameters, 1.044 G multiply-accumulates at 256 x 256, as published."""
    return spartan(input, classes)


def spartan_small(input: Shape = (3, 64, 64), classes: int = 10) -> Architecture:
    """Half the widths and five blocks: 312,426 parameters, 5.4 M multiply-accumulates at 64 x 64."""
    return spartan(input, classes, widths=(16, 32, 64, 128), depths=(1, 1, 2, 1))


def spartan_tiny(input: Shape = (3, 32, 32), classes: int = 10) -> Architecture:
    """Narrower still: 143,114 parameters, 1.1 M multiply-accumulates at 32 x 32."""
    return spartan(input, classes, widths=(16, 32, 48, 64), depths=(1, 1, 2, 1))


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "spartan_t": spartan_t,
}
