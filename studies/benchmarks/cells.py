"""NAS-Bench-201 with the robustness of its networks as a search space: trained by others, looked up here.

S. Jung, J. Lukasik, M. Keuper, Neural Architecture Design and Robustness: A Dataset, ICLR 2023: of 15,625 cells 6,466
differ, each with its accuracy, clean and under PGD of radius 1/255. ``NAS_DATA`` names the folder that holds
``nas/nb201_robustness.npz``.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from searchspaces.architecture import Architecture, Block, Shape, Stage, spec
from searchspaces.costs import Cost
from searchspaces.heads import AverageHead
from searchspaces.space import Choice, Picks, SearchSpace, search_space
from searchspaces.stems.conv import ConvStem

Data = Literal["cifar10", "cifar100", "ImageNet16-120"]
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ("e01", "e02", "e12", "e03", "e13", "e23")


class Table:
    """The table of one data set, by number of the cell in NAS-Bench-201.

    Attributes:
        network: (15,625,) number of the cell that has the same network and was trained.
        accuracy, robust: (15,625,) of that network.
        macs, parameters: (15,625,) of that network.
    """

    def __init__(self, data: Data) -> None:
        found = np.load(Path(os.environ["NAS_DATA"]) / "nas" / "nb201_robustness.npz")
        assert tuple(found["op_names"]) == OPERATIONS
        column = {name: i for i, name in enumerate(found["metric_names"].tolist())}
        self.network = found["isomorph_of"]
        trained = np.searchsorted(found["evaluated_ids"], self.network)
        self.accuracy = found["metrics"][trained, column[f"{data}/clean"]]
        self.robust = found["metrics"][trained, column[f"{data}/pgd_eps1"]]
        place = found["cost_datasets"].tolist().index(data)
        self.macs = np.rint(found["flops"][self.network, place]).astype(int)
        self.parameters = np.rint(found["params"][self.network, place]).astype(int)
        self.operations = found["ops"]
        self.number = {tuple(row): i for i, row in enumerate(self.operations.tolist())}


table = cache(Table)


@spec("nb201_cell")
@dataclass(frozen=True)
class Cell(Block):
    """All cells of a network; it is priced and looked up, never built."""

    e01: str = OPERATIONS[0]
    e02: str = OPERATIONS[0]
    e12: str = OPERATIONS[0]
    e03: str = OPERATIONS[0]
    e13: str = OPERATIONS[0]
    e23: str = OPERATIONS[0]
    data: Data = "cifar10"

    @property
    def number(self) -> int:
        """Of the cell in NAS-Bench-201."""
        return table(self.data).number[tuple(OPERATIONS.index(getattr(self, edge)) for edge in EDGES)]

    def canonical(self) -> "Cell":
        known = table(self.data)
        operations = known.operations[known.network[self.number]]
        return Cell(*(OPERATIONS[operation] for operation in operations), data=self.data)

    def cost(self, shape: Shape) -> Cost:
        macs, parameters = (int(figure[self.number]) for figure in (table(self.data).macs, table(self.data).parameters))
        return Cost(macs=macs, macs_executed=macs, parameters=parameters, trainable_parameters=parameters)


@search_space("nb201")
def nb201(input: Shape, classes: int, *, data: Data = "cifar10") -> SearchSpace:
    """The cells of NAS-Bench-201.

    Args:
        data: what its networks were trained on.
    """
    choices = tuple(Choice(edge, OPERATIONS, OPERATIONS, "operation on the edge") for edge in EDGES)

    def to_architecture(picks: Picks) -> Architecture:
        cell = Cell(*(str(picks[edge]) for edge in EDGES), data=data)
        return Architecture(input, classes, ConvStem(1), (Stage(cell),), AverageHead())

    return SearchSpace("nb201", choices, to_architecture)


def truth(architecture: dict[str, Any]) -> dict[str, float]:
    """What is known of a network of the space, by objective."""
    block = {name: value for name, value in architecture["stages"][0]["block"].items() if name != "kind"}
    cell = Cell(**block)
    return {
        "accuracy": float(table(cell.data).accuracy[cell.number]),
        "robust": float(table(cell.data).robust[cell.number]),
    }


def all_costs(data: Data) -> np.ndarray:
    """(6466, 3) error, error under attack and MACs of every network."""
    known, trained = table(data), np.unique(table(data).network)
    return np.stack([1 - known.accuracy[trained], 1 - known.robust[trained], known.macs[trained]], 1)
