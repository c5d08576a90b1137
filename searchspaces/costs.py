"""What a node costs in closed form, from its encoding alone: nothing is built.

Conventions, for one image: ``macs`` of the network as defined (separable convolutions unfused, masked matrices by their
non-zeros), ``macs_executed`` of the form that is run. Element-wise: one operation for each element written, pooling and
sums one for each element read, batch norm 2 an element, layer and group norm 5, softmax 5; biases and moving data are
free. A complex Fourier transform of length N takes 5 N log2 N operations, a real one half. ``activations`` are the
elements that autograd keeps for the backward pass: the inputs of convolutions, of matrix products with trained weights,
of activations and of norms. Tests compare every formula with counting and autograd.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What a node takes for one image of batch size 1.

    Args:
        macs, macs_executed: multiply-accumulates of convolutions and matrix products, as defined and as run.
        transform_flops, elementwise_flops: operations that are not in ``macs``.
        transform_macs: of transforms that are run as matrix products: part of ``macs_executed``, not of ``macs``.
        parameters, trainable_parameters: numbers of scalars.
        buffer_bytes: of the tensors of a checkpoint that are not parameters.
        activations: elements kept for the backward pass in training for each image, in float32.
        kept_once: elements kept for the backward pass once a step, whatever the batch: composed or masked weights,
            statistics of batch norm.
    """

    macs: int = 0
    macs_executed: int = 0
    transform_flops: int = 0
    elementwise_flops: int = 0
    parameters: int = 0
    trainable_parameters: int = 0
    buffer_bytes: int = 0
    activations: int = 0
    kept_once: int = 0
    transform_macs: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.macs + other.macs,
            self.macs_executed + other.macs_executed,
            self.transform_flops + other.transform_flops,
            self.elementwise_flops + other.elementwise_flops,
            self.parameters + other.parameters,
            self.trainable_parameters + other.trainable_parameters,
            self.buffer_bytes + other.buffer_bytes,
            self.activations + other.activations,
            self.kept_once + other.kept_once,
            self.transform_macs + other.transform_macs,
        )

    def __mul__(self, times: int) -> "Cost":
        return Cost(
            self.macs * times,
            self.macs_executed * times,
            self.transform_flops * times,
            self.elementwise_flops * times,
            self.parameters * times,
            self.trainable_parameters * times,
            self.buffer_bytes * times,
            self.activations * times,
            self.kept_once * times,
            self.transform_macs * times,
        )

    @property
    def transforms(self) -> int:
        """Operations of all transforms, by formula or as matrix products."""
        return self.transform_flops + 2 * self.transform_macs

    @property
    def flops(self) -> int:
        """2 macs + transforms + element-wise operations."""
        return 2 * self.macs + self.transforms + self.elementwise_flops

    @property
    def checkpoint_bytes(self) -> int:
        """Bytes of all tensors that a checkpoint holds, in float32."""
        return 4 * self.parameters + self.buffer_bytes


class NoFormulaError(NotImplementedError):
    """A node has no closed form for its cost; it can only be counted."""


def convolution(macs: int, parameters: int, inputs: int, *, trained: bool = True) -> Cost:
    """A convolution; PyTorch keeps its ``inputs`` elements for the backward pass whether or not its weights train."""
    return Cost(
        macs=macs,
        macs_executed=macs,
        parameters=parameters,
        trainable_parameters=parameters if trained else 0,
        activations=inputs,
    )


def linear(macs: int, parameters: int, inputs: int, *, trained: bool = True) -> Cost:
    """A matrix product with weights; its ``inputs`` elements are kept for the backward pass if the weights train."""
    return Cost(
        macs=macs,
        macs_executed=macs,
        parameters=parameters,
        trainable_parameters=parameters if trained else 0,
        activations=inputs if trained else 0,
    )


def elementwise(operations: int, kept: int = 0) -> Cost:
    """Element-wise work that keeps ``kept`` elements for the backward pass."""
    return Cost(elementwise_flops=operations, activations=kept)


def batch_norm(channels: int, positions: int, *, trained: bool = True) -> Cost:
    """BatchNorm over (B, C, ...): 2 operations an element; keeps its input, mean and deviation."""
    return Cost(
        elementwise_flops=2 * channels * positions,
        parameters=2 * channels,
        trainable_parameters=2 * channels if trained else 0,
        buffer_bytes=4 * 2 * channels + 8,
        activations=channels * positions,
        kept_once=2 * channels,
    )


def layer_norm(channels: int, positions: int, *, trained: bool = True) -> Cost:
    """LayerNorm over the channels at every position: 5 operations an element; keeps input and 2 figures a position."""
    return Cost(
        elementwise_flops=5 * channels * positions,
        parameters=2 * channels,
        trainable_parameters=2 * channels if trained else 0,
        activations=channels * positions + 2 * positions,
    )


def group_norm(channels: int, positions: int, *, trained: bool = True) -> Cost:
    """GroupNorm with one group: 5 operations an element; keeps its input, mean and deviation."""
    return Cost(
        elementwise_flops=5 * channels * positions,
        parameters=2 * channels,
        trainable_parameters=2 * channels if trained else 0,
        activations=channels * positions + 2,
    )


NORM_COSTS: dict[str, Callable[..., Cost]] = {
    "batch": batch_norm,
    "layer": layer_norm,
    "group": group_norm,
    "none": lambda channels, positions, trained=True: Cost(),
}
