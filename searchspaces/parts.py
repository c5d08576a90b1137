"""The parts of an architecture with their costs, from their encoding alone: nothing is built."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from searchspaces.architecture import Architecture, Shape, Spec
from searchspaces.costs import Cost, NoFormulaError

CACHED = 100_000
"""Pairs of node and input shape whose cost and output are kept; the candidates of a search share most of them."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a network, in order of execution.

    Args:
        name: its place in the network, such as ``stage 2``.
        node: its spec; None for what every network has, normalisation and the last layer.
        output: (C, H, W) after it.
        cost: of all ``repeat`` copies together.
        repeat: how many of these follow each other.
    """

    name: str
    node: Spec | None
    output: Shape
    cost: Cost
    repeat: int = 1


def architecture_cost(architecture: Architecture, count: Callable[[Spec, Shape], Cost] | None = None) -> Cost:
    """Cost of a whole network, normalisation and the last layer included.

    Args:
        count: returns the cost of a node that has no closed form; without it such a node is an error.

    Raises:
        NoFormulaError: naming the node that has no closed form.

    Example: ``architecture_cost(KNOWN["mixer_s16"]()).macs`` is 3,776,958,464.
    """
    return sum((part.cost for part in parts(architecture, count)), Cost())


def parts(architecture: Architecture, count: Callable[[Spec, Shape], Cost] | None = None) -> Iterator[Part]:
    """The parts of a network: normalisation, stem, the blocks stage by stage, head, last layer.

    Args:
        count: as in `architecture_cost`.
    """
    shape = architecture.input
    reversible, before = architecture.head.reversible, _normalization_cost(shape)
    yield Part("normalization", None, shape, before + _instance_cost(shape) if reversible else before)

    def step(name: str, node: Spec, repeat: int = 1) -> Part:
        nonlocal shape
        cost = Cost()
        if repeat > 1 and _output(node, shape) == shape:
            cost = _cost(node, shape, count) * repeat
        else:
            for _ in range(repeat):
                cost += _cost(node, shape, count)
                shape = _output(node, shape)
        return Part(name, node, shape, cost, repeat)

    yield step("stem", architecture.stem)
    for number, stage in enumerate(architecture.stages, start=1):
        if stage.downsample is not None:
            yield step(f"downsample {number}", stage.downsample)
        yield step(f"stage {number}", stage.block, stage.depth)
    yield step("head", architecture.head)
    head, outputs = architecture.head, architecture.outputs
    output = (outputs, 1, 1) if isinstance(outputs, int) else outputs
    readout = head.readout_cost(shape, outputs)
    yield Part(head.last, None, output, readout + _reversal_cost(output) if reversible else readout)


def _cost(node: Spec, shape: Shape, count: Callable[[Spec, Shape], Cost] | None) -> Cost:
    try:
        return _closed_form(node, shape)
    except NoFormulaError:
        if count is None:
            raise
        return count(node, shape)


@lru_cache(maxsize=CACHED)
def _closed_form(node: Spec, shape: Shape) -> Cost:
    return node.cost(shape)


@lru_cache(maxsize=CACHED)
def _output(node: Spec, shape: Shape) -> Shape:
    output = node.output(shape)
    if min(output) < 1:
        raise ValueError(f"{node.label()} leaves nothing of (C, H, W) = {shape}: {output}. Take smaller steps.")
    return output


@lru_cache(maxsize=1_000)
def _normalization_cost(shape: Shape) -> Cost:
    """Of subtracting and dividing the pixels; the image needs no gradient, so that nothing is kept."""
    channels, height, width = shape
    return Cost(elementwise_flops=2 * channels * height * width, buffer_bytes=2 * 4 * channels)


def _instance_cost(shape: Shape) -> Cost:
    """Of normalising each row of (C, H, W): mean, difference, square, mean, quotient; then what a row has once."""
    size, rows = shape[0] * shape[1] * shape[2], shape[0] * shape[1]
    return Cost(elementwise_flops=5 * size + 2 * rows, activations=rows)


def _reversal_cost(shape: Shape) -> Cost:
    """Of bringing outputs (C, H, W) back to the scale of their rows, which `_instance_cost` keeps."""
    return Cost(elementwise_flops=2 * shape[0] * shape[1] * shape[2])
