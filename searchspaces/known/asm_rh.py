"""ASM-RH (2402.18007)."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from searchspaces.architecture import Architecture, Shape, Stage
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.heads import AverageHead
from searchspaces.operators.hermit import Axis, Hermit, Position, Reading
from searchspaces.operators.roll_mix import RollMix
from searchspaces.operators.roll_token_mlp import RollTokenMLP
from searchspaces.stems.embedding import EmbeddingStem

INPUTS: dict[int, Shape] = {600: (1, 128, 512), 144: (1, 128, 128)}
"""Number of tokens of 16 pixels at stride 10 -> spectrogram: ESC-50, UrbanSound8K and RAVDESS; Speech Commands."""


def asm_rh(
    tokens: Literal[600, 144] = 600,
    *,
    classes: int = 8,
    input: Shape | None = None,
    patch: int = 16,
    stride: int = 10,
    dim: int = 768,
    depth: int = 12,
    token_hidden: int = 384,
    reading: Reading = "literal",
    axis: Axis = "token",
    position: Position = "around",
) -> Architecture:
    """ASM-RH (2402.18007), an MLP-Mixer for spectrograms, with rolled tokens and Hermitian-frequency mixing.

    There is no official code: this is one buildable reading, and its counts of parameters are not published ones.
    Hidden sizes are those of Mixer-B/16.

    Args:
        tokens: 600 or 144, the published spectrograms (INPUTS), unless ``input`` is set.
        input: (1, mel, frames).
        patch, stride: of the patches, in pixels.
        token_hidden: units of the token MLPs; the channel MLPs have 4 dim.
        reading, axis, position: of the frequency mixing (`Hermit`).
    """
    token = RollTokenMLP(token_hidden, RollMix(16))
    block = MetaFormerBlock(token, Hermit(reading, axis, position), norm="layer")
    stem = EmbeddingStem(dim, patch, stride)
    return Architecture(input or INPUTS[tokens], classes, stem, (Stage(block, depth),), AverageHead("layer"))


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "asm_rh_600": partial(asm_rh, 600, classes=8),
    "asm_rh_144": partial(asm_rh, 144, classes=35),
}
