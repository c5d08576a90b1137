"""What a form of an export is: how it is written, and how it runs elsewhere."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import click
import torch
from torch import Tensor
from torch.export import ExportedProgram

from nas.export.formats.folding import Folding, exported, folded
from nas.export.formats.fourier import transforms_as_products
from nas.problem import find_dataset
from nas.settings import DataSettings
from searchspaces import Architecture, Network, Shape
from searchspaces.registry import register
from trainers import DATASETS, Dataset
from trainers.audio import LogMel
from trainers.formats.clips import Clips
from trainers.windows import SeriesWindows

FORMATS: dict[str, type["Format"]] = {}


@dataclass(frozen=True)
class Scale:
    """How values of a series become what a network takes, and its outputs values of the series.

    Args:
        variates, mean, std: names of the columns, and what is taken from each and by what it is divided.
        context, horizon: steps that the network takes and returns.
    """

    variates: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    context: int
    horizon: int

    @classmethod
    def of(cls, data: DataSettings) -> "Scale | None":
        """That of a study's data; None if they are no series, or the study does not say."""
        options = data.options
        if not issubclass(DATASETS.get(data.name, Dataset), SeriesWindows) or not all(map(options.get, SCALED)):
            return None
        found = find_dataset(data)
        assert isinstance(found, SeriesWindows)
        return cls(found.variates or (), found.mean or (), found.std or (), found.context, found.horizon)


SCALED = ("variates", "mean", "std")
KEPT = ("val", "tensor_meta")
"""What nodes of an exported graph keep; the rest are stack traces, with the paths of whoever exported."""


@dataclass(frozen=True)
class Taken:
    """A network that is taken away.

    Args:
        network: in eval mode, on the CPU.
        shape: (C, H, W) of what it takes.
        outputs: number of classes, or (C, H, W) of what it returns.
        things: what its inputs are called.
        front_end: what makes them of sounds.
        scale: that of a series, where they are windows of one.
        architecture: that the network is of; what it costs is compared with what is written.
        calibration: (N, C, H, W) training images, by which forms that round choose their scales.
        made: file -> its content, where several forms start from it and making it takes seconds.
        batch: images at a time for which its graph is folded, where that gains; None: it is not.
        graph: its graph, if that is made already.
        products: write Fourier transforms in graphs as matrix products.
    """

    network: Network
    shape: Shape
    outputs: int | Shape = 1
    things: str = "images"
    front_end: LogMel | None = None
    scale: Scale | None = None
    architecture: Architecture | None = None
    calibration: Tensor | None = None
    made: dict[str, bytes] = field(default_factory=dict, compare=False)
    batch: int | None = None
    graph: ExportedProgram | None = None
    products: bool = False

    @property
    def folding(self) -> Folding | None:
        """What was folded in the graph; None if nothing was."""
        return self._graph[1]

    @property
    def program(self) -> ExportedProgram:
        """The network as a graph of torch's operators, for any batch; nothing in it says where it was made."""
        return self._graph[0]

    @cached_property
    def _graph(self) -> tuple[ExportedProgram, Folding | None]:
        with refusing("torch.export"), transforms_as_products() if self.products else nullcontext():
            if self.batch is None:
                program, folding = self.graph or exported(self.network, self.shape), None
            else:
                program, folding = folded(self.network, self.shape, self.batch)
        for module in program.graph_module.modules():
            if isinstance(module, torch.fx.GraphModule):
                for node in module.graph.nodes:
                    node.meta = {name: value for name, value in node.meta.items() if name in KEPT}
        program._example_inputs = None  # they would be stored as a pickle
        return program, folding


@contextmanager
def refusing(exporter: str) -> Iterator[None]:
    """Makes a refusal of what an exporter raises.

    Raises:
        ValueError: with the first line of its reason.
    """
    try:
        yield
    except Exception as error:  # exporters raise nearly anything of an operator that they do not know
        reason = (click.unstyle(str(error)).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{exporter} does not take it: {reason}") from None


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Without warnings, and without what loggers of these names say that is no error: advice that nobody asked for."""
    logs = [logging.getLogger(name) for name in names]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


class Format:
    """A form; subclasses are registered by `bundle_format`.

    Attributes:
        name: as on the command line.
        files: that it writes, the network first.
        exact: whether its outputs must be those of the network. A form that is not says what it loses
            (`nas.export.losses`).
        usual: whether it is written where no form is named.
        folds: whether it is written from the graph, which may be folded; it then costs another number.
        reads: further files of an export that it takes to run.
        is_code: whether running it runs whatever code its files hold, so that a stranger's must not be run.
        needs: packages that writing and proving it take, beside those of this project, and `extra`: where they are
            among the optional dependencies.
        runtime: what runs it; forms that have the same are proven in one process. Empty: one of its own.
        runner: source that defines ``run(images)``, a float32 array (B, C, H, W) to one of outputs, for a process in
            whose path `folder` is the export. Where it defines ``costs(shape)`` too, a dict of what
            `nas.export.formats.graph.GraphCosts` holds or None, these are compared as well.
    """

    name: ClassVar[str]
    files: ClassVar[tuple[str, ...]]
    exact: ClassVar[bool] = True
    usual: ClassVar[bool] = True
    folds: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ()
    is_code: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = "export"
    runtime: ClassVar[str] = ""
    runner: ClassVar[str]

    def write(self, taken: Taken, folder: Path) -> None:
        """Writes the files.

        Raises:
            ValueError: if the network cannot be written in this form, with the reason.
        """
        raise NotImplementedError


def bundle_format(cls: type[Format]) -> type[Format]:
    """Class decorator: registers a form under its name."""
    decorate: Callable[[type[Format]], type[Format]] = register(FORMATS, "format", cls.name)
    return decorate(cls)


def front_end_of(data: DataSettings) -> LogMel | None:
    """What makes spectrograms of the sounds of a data set; None if it has none."""
    if not issubclass(DATASETS.get(data.name, Dataset), Clips):
        return None
    dataset = find_dataset(data)
    assert isinstance(dataset, Clips)
    return dataset.make_front_end()


def missing(name: str) -> str:
    """Why a form cannot be written on this machine; empty if it can."""
    lacking = [package for package in FORMATS[name].needs if find_spec(package) is None]
    return f"it takes {', '.join(lacking)}: pip install 'mixing-nas[{FORMATS[name].extra}]'" if lacking else ""
