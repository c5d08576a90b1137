"""One architecture: its costs part by part, and figures of its mixing layers."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from rich.table import Table

from nas.errors import WrongInputError, user_input
from nas.pricing import price
from objectives.banks import bank_figures
from objectives.counting import kept
from objectives.memory import training_bytes
from searchspaces import Architecture, Network, Shape, build
from searchspaces.architecture import answer, check_shape
from searchspaces.diagnostics import mixing_figures
from searchspaces.registry import brief

MOST_TRACED = 100
"""Blocks of a network whose activations are traced, which takes about a tenth of a second for each."""


def parse_shape(text: str) -> Shape:
    """(C, H, W) from ``"C,H,W"``.

    Raises:
        WrongInputError: if it is not three positive whole numbers.
    """
    try:
        channels, height, width = (int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        channels = height = width = 0
    if min(channels, height, width) < 1:
        raise WrongInputError(f"--input needs C,H,W, as in 3,224,224, got {brief(text)}.")
    with user_input(""):
        check_shape("--input", (channels, height, width))
    return channels, height, width


def cost_figures(architecture: Architecture, shape: str | None = None, batch: int = 1) -> dict[str, Any]:
    """All figures of an architecture, for one image; memory of training for a batch, None past `MOST_TRACED` blocks.

    Raises:
        WrongInputError: if the architecture cannot take images of that shape.
    """
    taken = architecture.input if shape is None else parse_shape(shape)
    with user_input("architecture" if shape is None else "--input"):
        architecture = replace(architecture, input=taken)
        priced = price(architecture)
    total = priced.total
    held = None
    if sum(stage.depth for stage in architecture.stages) <= MOST_TRACED:
        with torch.device("meta"):
            held = kept(build(architecture), architecture.input)
    operators = [
        {"name": p.name, "spec": p.node.label() if p.node else "", "repeat": p.repeat, "output": list(p.output)}
        | asdict(p.cost)
        | {"flops": p.cost.flops}
        for p in priced.parts
    ]
    return {
        "key": architecture.key,
        "input": list(architecture.input),
        "classes": architecture.outputs if isinstance(architecture.outputs, int) else None,
        "outputs": architecture.outputs,
        "macs": total.macs,
        "macs_executed": total.macs_executed,
        "flops": total.flops,
        "transform_flops": total.transforms,
        "elementwise_flops": total.elementwise_flops,
        "parameters": total.parameters,
        "trainable_parameters": total.trainable_parameters,
        "frozen_parameters": total.parameters - total.trainable_parameters,
        "activation_bytes": held and held.per_image,
        "training_memory_bytes": held and training_bytes(priced.counts, held, batch),
        "checkpoint_bytes": total.checkpoint_bytes,
        "batch": batch,
        "counted": list(priced.counted),
        "uncounted": list(priced.uncounted),
        "operators": operators,
    }


def cost_table(name: str, figures: Mapping[str, Any]) -> Table:
    """The figures as a table: parts in order of execution, then the sums."""
    size = "x".join(map(str, figures["input"]))
    title = f"{name} {figures['key']}: {size} -> {answer(figures['outputs'])}"
    table = Table(title=title, title_justify="left", caption=cost_summary(figures), caption_justify="left")
    table.add_column("part", no_wrap=True)
    table.add_column("spec", overflow="fold")
    for column in ("output", "parameters", "trained", "MACs"):
        table.add_column(column, justify="right", no_wrap=True)
    for part in figures["operators"]:
        spec = f"{part['repeat']} x {part['spec']}" if part["repeat"] > 1 else part["spec"]
        costs = [f"{part[f]:,}" for f in ("parameters", "trainable_parameters", "macs")]
        table.add_row(part["name"], spec, "x".join(map(str, part["output"])), *costs)
    table.add_section()
    table.add_row("all", "", "", *(f"{figures[f]:,}" for f in ("parameters", "trainable_parameters", "macs")))
    return table


def cost_summary(figures: Mapping[str, Any]) -> str:
    """What the parts cost together, and the memory that a training takes, in a few lines."""
    memory = f"memory of training not traced: more than {MOST_TRACED} blocks"
    if figures["activation_bytes"] is not None:
        memory = (
            f"activations {_bytes(figures['activation_bytes'])} an image, training with AdamW "
            f"{_bytes(figures['training_memory_bytes'])} for a batch of {figures['batch']}"
        )
    caption = (
        f"{figures['parameters']:,} parameters, {figures['trainable_parameters']:,} trained; {figures['macs']:,} MACs, "
        f"as run {figures['macs_executed']:,}\n"
        f"FLOPs {figures['flops']:,} = 2 x MACs + transforms {figures['transform_flops']:,} + element-wise "
        f"{figures['elementwise_flops']:,}\n"
        f"checkpoint {_bytes(figures['checkpoint_bytes'])}, {memory}"
    )
    if figures["counted"]:
        caption += f"\ncounted, without a closed form: {', '.join(figures['counted'])}"
    if figures["uncounted"]:
        caption += f"\nleft out, without a rule: {', '.join(figures['uncounted'])}"
    return caption


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.2f} MB"


def mixing_tables(network: Network, shape: Shape) -> list[Table]:
    """Spectra of filter banks, width and singular values of mixing matrices; none for a network without such layers."""
    tables = []
    if banks := bank_figures(network):
        table = Table(title="filter banks", title_justify="left")
        for column in ("layer", "filters", "trained", "coverage", "flatness", "high freq.", "eff. rank"):
            named = column == "layer"
            table.add_column(column, justify="left" if named else "right", overflow="fold" if named else "ellipsis")
        for bank in banks:
            figures = [f"{x:.3f}" for x in (bank.coverage, bank.flatness, bank.high_frequency)]
            table.add_row(bank.layer, str(bank.filters), "yes" if bank.trained else "no", *figures, f"{bank.rank:.1f}")
        tables.append(table)
    if layers := mixing_figures(network, shape):
        table = Table(title="mixing layers", title_justify="left")
        for column in ("layer", "width m", "Omega", "density", "sigma max"):
            named = column == "layer"
            table.add_column(column, justify="left" if named else "right", overflow="fold" if named else "ellipsis")
        for layer in layers:
            sigma = ", ".join(f"{s:.2f}" for s in layer.sigma_max)
            table.add_row(layer.layer, f"{layer.width:,}", f"{layer.omega:,.0f}", f"{layer.density:.4f}", sigma)
        tables.append(table)
    return tables
