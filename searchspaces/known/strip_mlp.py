"""Strip-MLP (2307.11458), from its equations.

What the paper leaves open is read so that all published counts come out: patches by a convolution 4x4 with a norm,
plain convolutions 2x2 between the stages, a norm before the mean, offsets after the filters of the channel mixer.
"""

from collections.abc import Callable
from functools import partial

from searchspaces.architecture import Architecture, Stage
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.downsamples import ConvDownsample
from searchspaces.heads import AverageHead
from searchspaces.operators.grn_mlp import GrnMlp
from searchspaces.operators.strip import Strip
from searchspaces.stems.embedding import EmbeddingStem


def strip_mlp(dim: int, depth: int) -> Architecture:
    """Strip-MLP for colour images of 224 x 224 pixels, 1000 classes.

    Args:
        dim: channels of the first stage.
        depth: blocks of the third stage; the others have two.
    """
    block = MetaFormerBlock(Strip(patches=4 if dim % 80 else 2), GrnMlp(3.0, bias=True), norm="none")
    stages = [
        Stage(block, blocks, ConvDownsample(dim * 2**number, kernel=2, padding=0) if number else None)
        for number, blocks in enumerate((2, 2, depth, 2))
    ]
    stem = EmbeddingStem(dim, kernel=4, stride=4, norm="layer")
    return Architecture((3, 224, 224), 1000, stem, tuple(stages), AverageHead("layer"))


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "strip_mlp_t_star": partial(strip_mlp, 80, 6),
    "strip_mlp_t": partial(strip_mlp, 80, 12),
    "strip_mlp_s": partial(strip_mlp, 96, 18),
    "strip_mlp_b": partial(strip_mlp, 112, 18),
}
