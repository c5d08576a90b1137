"""One architecture part by part: what each part is, what it gives, what it costs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table
from torch import nn

from objectives.counting import Counts, count
from searchspaces import Architecture, Shape


@dataclass(frozen=True)
class Part:
    """One part of a network: its spec in words, the shape that comes out, its counts for one image."""

    name: str
    spec: str
    output: Shape
    counts: Counts


def parts(architecture: Architecture) -> Iterator[Part]:
    """Stem, blocks, head and classifier in order of execution; equal neighbours come one by one."""
    architecture = architecture.canonical()
    shape = architecture.input
    with torch.device("meta"):
        yield Part("stem", architecture.stem.label(), *_counted(architecture.stem.build(shape), shape))
        shape = architecture.stem.output(shape)
        number = 0
        for stage in architecture.stages:
            for _ in range(stage.depth):
                number += 1
                block = stage.block.build(shape)
                yield Part(f"block {number}", stage.block.label(), *_counted(block, shape))
                shape = stage.block.output(shape)
        yield Part("head", architecture.head.label(), *_counted(architecture.head.build(shape), shape))
        features = architecture.head.output(shape)[0]
        classifier = nn.Sequential(nn.Flatten(), nn.Linear(features, architecture.classes))
        yield Part("classifier", "linear", *_counted(classifier, (features, 1, 1)))


def _counted(module: nn.Module, shape: Shape) -> tuple[Shape, Counts]:
    counts = count(module, shape)
    with torch.no_grad():
        out = module.eval()(torch.empty(1, *shape))
    return (out.shape[1], *(out.shape[2:] or (1, 1))), counts


def anatomy_table(data: Mapping[str, Any]) -> Table:
    """The parts of an architecture with shapes, parameters and MACs, and their sum."""
    architecture = Architecture.from_json(data)
    table = Table(
        title=f"{architecture.key}: {'x'.join(map(str, architecture.input))} -> {architecture.classes} classes",
        title_justify="left",
    )
    table.add_column("part")
    table.add_column("spec", overflow="fold")
    for column in ("output", "parameters", "trained", "MACs"):
        table.add_column(column, justify="right")
    total = [0, 0, 0]
    for part in parts(architecture):
        figures = [part.counts.parameters, part.counts.trainable_parameters, part.counts.macs]
        total = [a + b for a, b in zip(total, figures, strict=True)]
        table.add_row(part.name, part.spec, "x".join(map(str, part.output)), *(f"{f:,}" for f in figures))
    table.add_section()
    table.add_row("all", "", "", *(f"{f:,}" for f in total))
    return table
