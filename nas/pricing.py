"""What an architecture costs: closed forms where every node has one, counting on the meta device where one has none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from objectives.counting import Counts, count
from searchspaces import Architecture, Cost, Part, Shape, parts
from searchspaces.architecture import Spec


@dataclass(frozen=True)
class Price:
    """Parts of a network with their costs.

    Args:
        parts: in order of execution.
        counted: kinds of the nodes that have no closed form and were counted instead; their ``macs`` are those executed
            and their activations are not known.
        uncounted: operations in them that no rule covers; the figures leave them out.
    """

    parts: tuple[Part, ...]
    counted: tuple[str, ...]
    uncounted: tuple[str, ...]

    @property
    def total(self) -> Cost:
        """Cost of the whole network."""
        return sum((part.cost for part in self.parts), Cost())

    @property
    def counts(self) -> Counts:
        """The total in the form in which objectives take it."""
        total = self.total
        return Counts(
            macs=total.macs,
            transform_flops=total.transforms,
            elementwise_flops=total.elementwise_flops,
            parameters=total.parameters,
            trainable_parameters=total.trainable_parameters,
            uncounted=self.uncounted,
        )


def price(architecture: Architecture) -> Price:
    """Cost of an architecture, part by part, without allocating anything.

    Raises:
        ValueError: if a node cannot take the shape that reaches it, with the values that it can take.
    """
    counted: set[str] = set()
    uncounted: set[str] = set()

    def by_counting(node: Spec, shape: Shape) -> Cost:
        with torch.device("meta"):
            module = node.build(shape)
        found = count(module, shape)
        counted.update(_unpriced(node, shape))
        uncounted.update(found.uncounted)
        state = module.state_dict().values()
        return Cost(
            macs=found.macs,
            macs_executed=found.macs,
            transform_flops=found.transform_flops,
            elementwise_flops=found.elementwise_flops,
            parameters=found.parameters,
            trainable_parameters=found.trainable_parameters,
            buffer_bytes=sum(t.numel() * t.element_size() for t in state) - 4 * found.parameters,
        )

    found = tuple(parts(architecture.canonical(), by_counting))
    return Price(found, tuple(sorted(counted)), tuple(sorted(uncounted)))


def _unpriced(node: Spec, shape: Shape) -> Iterator[str]:
    """The nodes inside ``node``, or itself, that have no closed form."""
    inner = [value for value in vars(node).values() if isinstance(value, Spec)]
    named = [kind for child in inner for kind in _unpriced(child, shape)]
    if named:
        yield from named
        return
    cost: Callable[[Shape], Cost] = node.cost
    try:
        cost(shape)
    except NotImplementedError:
        yield node.kind
