"""Search spaces of which everything is known because it is made up: every network is listed, so the front is exact.

``branches``: two stages of one of three operators, each with fields that the others lack and best in another range of
costs. ``cheap_end``: cells of six edges, of which nobody pays for most operations; a quarter of the cells are as cheap
as any, two of those are on the front, where what is good differs from what is good among dearer cells.
"""

import itertools
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit

from searchspaces.architecture import Architecture, Block, Shape, Stage, spec
from searchspaces.costs import Cost
from searchspaces.heads import AverageHead
from searchspaces.space import Choice, Picks, SearchSpace, search_space
from searchspaces.stems.conv import ConvStem

FIELDS: dict[str, dict[str, tuple[int, ...]]] = {
    "filters": {"kernel": (3, 5, 7), "dilation": (1, 2, 3), "groups": (1, 2, 4, 8)},
    "mixing": {"rank": (1, 2, 4, 8), "order": (0, 1, 2, 3)},
    "attending": {"heads": (1, 2, 4, 8), "window": (2, 4, 8)},
}
"""Operators and the fields that each has alone."""
WIDTHS, DEPTHS = (8, 12, 16, 24, 32, 48, 64, 96), (1, 2, 3, 4, 5, 6)
POSITIONS = 64


@spec("branch")
@dataclass(frozen=True)
class Branch(Block):
    """A block of one of the operators; it is priced and looked up, never built."""

    place: int = 1
    width: int = 8
    operator: str = "filters"
    kernel: int = 0
    dilation: int = 0
    groups: int = 0
    rank: int = 0
    order: int = 0
    heads: int = 0
    window: int = 0

    def canonical(self) -> "Branch":
        others = {name: 0 for own, names in FIELDS.items() if own != self.operator for name in names}
        return replace(self, **others)  # type: ignore[arg-type]

    def cost(self, shape: Shape) -> Cost:
        each = {
            "filters": lambda: self.width * self.kernel**2 // self.groups,
            "mixing": lambda: 3 * self.rank * (1 + self.width // 4),
            "attending": lambda: self.width // 2 + self.heads * self.window**2,
        }[self.operator]()
        macs = POSITIONS * self.width * max(1, each)
        return Cost(macs=macs, macs_executed=macs, parameters=macs // POSITIONS, trainable_parameters=macs // POSITIONS)


def _branch_blocks() -> list[Branch]:
    """Every block, of the first place and width."""
    return [
        Branch(operator=operator, **dict(zip(fields, values, strict=True)))
        for operator, fields in FIELDS.items()
        for values in itertools.product(*fields.values())
    ]


def _network(*stages: Stage) -> Architecture:
    return Architecture((1, 8, 8), 10, ConvStem(1), stages, AverageHead())


@search_space("branches")
def branches(input: Shape, classes: int) -> SearchSpace:
    """Two stages of blocks with fields of their own."""
    choices = [Choice("width", WIDTHS, WIDTHS, "channels"), Choice("depth", DEPTHS, DEPTHS, "blocks of a stage")]
    for place in ("s1", "s2"):
        choices.append(Choice(f"{place}.operator", tuple(FIELDS), tuple(FIELDS), "operator"))
        for name, options in (pair for own in FIELDS.values() for pair in own.items()):
            choices.append(Choice(f"{place}.{name}", options, options, "field of one of the operators"))

    def to_architecture(picks: Picks) -> Architecture:
        stages = []
        for place in (1, 2):
            operator = str(picks[f"s{place}.operator"])
            fields: dict[str, Any] = {name: picks[f"s{place}.{name}"] for name in FIELDS[operator]}
            block = Branch(place, int(picks["width"]), operator, **fields)
            stages.append(Stage(block, int(picks["depth"])))
        return _network(*stages)

    return SearchSpace("branches", tuple(choices), to_architecture)


class Branches:
    """Every network of `branches`.

    Attributes:
        values: (first block, second block, width, depth, 2) accuracy and robust accuracy.
        macs: (first block, second block, width, depth) of all blocks.
    """

    SLOPES: ClassVar[dict[str, tuple[float, float]]] = {
        "filters": (0.9, -0.6),
        "mixing": (0.0, 0.3),
        "attending": (-0.7, 0.2),
    }
    """By how much better an operator is for each decade of cost, for the two objectives."""

    def __init__(self) -> None:
        self._blocks = _branch_blocks()
        self._row = {replace(block, place=1, width=8): row for row, block in enumerate(self._blocks)}
        generator, count = np.random.default_rng(0), len(self._blocks)
        each = np.array([[replace(b, width=w).cost((1, 8, 8)).macs for w in WIDTHS] for b in self._blocks])
        both = each[:, None, :, None] + each[None, :, :, None]
        self.macs = both * np.array(DEPTHS)
        decades = np.log10(self.macs) - 5
        kinds = np.array([list(FIELDS).index(block.operator) for block in self._blocks])
        found = []
        for objective in (0, 1):
            slope = np.array([self.SLOPES[kind][objective] for kind in FIELDS])[kinds]
            own = [0.35 * generator.normal(size=(count, len(WIDTHS))) * 0.5 for _ in (1, 2)]
            fields = [self._of_fields(generator) for _ in (1, 2)]
            pairs = 0.25 * generator.normal(size=(3, 3))[np.ix_(kinds, kinds)]
            logits = 1.1 * decades - 0.35 * decades**2 + 0.5 * (slope[:, None] + slope)[:, :, None, None] * decades
            logits = logits + (fields[0][:, None] + fields[1][None, :] + pairs)[:, :, None, None]
            logits = logits + own[0][:, None, :, None] + own[1][None, :, :, None]
            logits = logits + 0.1 * generator.normal(size=logits.shape) + (0.8, -0.2)[objective]
            found.append(expit(logits))
        self.values = np.stack(found, -1)
        self.values[..., 1] *= self.values[..., 0]

    def _of_fields(self, generator: np.random.Generator) -> np.ndarray:
        """(blocks,) what the fields of a block are worth: each for itself, and in pairs."""
        worth = np.zeros(len(self._blocks))
        tables: dict[tuple[Any, ...], float] = {}
        for row, block in enumerate(self._blocks):
            named = [(name, getattr(block, name)) for name in FIELDS[block.operator]]
            for part in (*itertools.combinations(named, 1), *itertools.combinations(named, 2)):
                key = (block.operator, *part)
                worth[row] += tables.setdefault(key, generator.normal() * (0.4, 0.2)[len(part) - 1])
        return worth

    def place(self, architecture: dict[str, Any]) -> tuple[int, ...]:
        """Where a network stands in `values`."""
        stages = Architecture.from_json(architecture).stages
        blocks = [stage.block for stage in stages]
        rows = [self._row[replace(block, place=1, width=8)] for block in blocks if isinstance(block, Branch)]
        width = next(block.width for block in blocks if isinstance(block, Branch))
        return (*rows, WIDTHS.index(width), DEPTHS.index(stages[0].depth))

    def costs(self) -> np.ndarray:
        """(n, 3) both errors and MACs of every network."""
        return np.concatenate([1 - self.values.reshape(-1, 2), self.macs.reshape(-1, 1)], 1)


EDGES = ("e01", "e02", "e12", "e03", "e13", "e23")
OPERATIONS = {"none": 0, "skip": 0, "mean": 0, "largest": 0, "wide": 36}
"""Operations of an edge, and what each costs in thousands of MACs."""
CELL = 6
"""What a cell costs whatever is in it, in thousands of MACs."""
FREE = tuple(name for name, cost in OPERATIONS.items() if not cost)
GOOD = ({"e02": "mean", "e13": "largest"}, {"e12": "skip", "e03": "mean"})
"""What the good cells have among those that cost nothing beside `CELL`, for each objective: one in sixteen."""


@spec("cheap_cell")
@dataclass(frozen=True)
class CheapCell(Block):
    """A cell of six edges; it is priced and looked up, never built."""

    e01: str = "none"
    e02: str = "none"
    e12: str = "none"
    e03: str = "none"
    e13: str = "none"
    e23: str = "none"

    @property
    def operations(self) -> tuple[str, ...]:
        """Of its edges."""
        return tuple(getattr(self, edge) for edge in EDGES)

    def cost(self, shape: Shape) -> Cost:
        macs = 1000 * (CELL + sum(OPERATIONS[name] for name in self.operations))
        return Cost(macs=macs, macs_executed=macs, parameters=macs // 100, trainable_parameters=macs // 100)


@search_space("cheap_end")
def cheap_end(input: Shape, classes: int) -> SearchSpace:
    """Cells of which most operations cost nothing."""
    choices = tuple(Choice(edge, tuple(OPERATIONS), tuple(OPERATIONS), "operation on the edge") for edge in EDGES)

    def to_architecture(picks: Picks) -> Architecture:
        return _network(Stage(CheapCell(*(str(picks[edge]) for edge in EDGES))))

    return SearchSpace("cheap_end", choices, to_architecture)


class CheapEnd:
    """Every cell of `cheap_end`.

    Attributes:
        values: (15625, 2) accuracy and robust accuracy.
        macs: (15625,) of the cells.
    """

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        cells = list(itertools.product(OPERATIONS, repeat=len(EDGES)))
        self._row = {cell: row for row, cell in enumerate(cells)}
        paid = np.array([[OPERATIONS[name] for name in cell] for cell in cells])
        self.macs = 1000 * (CELL + paid.sum(1))
        kinds = np.array([[list(OPERATIONS).index(name) for name in cell] for cell in cells])
        found = []
        for objective, good in enumerate(GOOD):
            edges = generator.normal(size=(len(EDGES), len(OPERATIONS)))
            worth = np.take_along_axis(edges, kinds.T, 1).T.sum(1)
            dear = (1.6, -0.2)[objective] + 0.25 * np.log10(self.macs / self.macs.min()) + 0.03 * worth
            has = [kinds[:, EDGES.index(edge)] == list(OPERATIONS).index(name) for edge, name in good.items()]
            cheap = (0.3, 0.2)[objective] + (0.35, 0.2)[objective] * np.all(has, 0)
            values = np.where(paid.any(1), expit(dear), cheap)
            found.append(np.clip(values + 0.01 * generator.normal(size=len(cells)), 0, 1))
        self.values = np.stack(found, 1)

    def place(self, architecture: dict[str, Any]) -> int:
        """Where a cell stands in `values`."""
        block = Architecture.from_json(architecture).stages[0].block
        assert isinstance(block, CheapCell)
        return self._row[block.operations]

    def costs(self) -> np.ndarray:
        """(n, 3) both errors and MACs of every cell."""
        return np.concatenate([1 - self.values, self.macs[:, None]], 1)


LANDSCAPES = {"branches": cache(Branches), "cheap_end": cache(CheapEnd)}
"""Name of the space -> what is known of its networks."""


def truth(name: str, architecture: dict[str, Any]) -> dict[str, float]:
    """What is known of a network of a space, by objective."""
    known = LANDSCAPES[name]()
    accuracy, robust = known.values[known.place(architecture)]
    return {"accuracy": float(accuracy), "robust": float(robust)}
