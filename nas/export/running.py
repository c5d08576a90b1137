"""The forms of an export, run in this process beside the network itself: what is compared and timed.

A form that is code (``model.py``; reading ``model.pt2`` evaluates expressions in it) may be a stranger's. It is written
anew from the network, which is data, and runs only if that is what lies in the export, byte for byte. Every form runs
from a folder of its own, in which nothing else of the export can be imported.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.errors import regular, user_input
from nas.export.bundle import architecture_path, model_path
from nas.export.ensemble import ENSEMBLE, PROBE, member_folders
from nas.export.evaluate import Opened
from nas.export.formats import FORMATS, Taken, missing
from nas.export.formats.folding import candidates, exported
from nas.export.formats.fourier import transforms_as_products
from searchspaces import Network

OWN = "nas"
"""What our own form is called: what `nas.load` returns."""
Run = Callable[[np.ndarray], np.ndarray]
"""From float32 images (B, C, H, W) to outputs."""


@dataclass(frozen=True)
class Form:
    """A form of an export that can be run.

    Args:
        model: itself, (B, C, H, W) -> outputs; gradients flow through our own alone.
        bytes: of the files that it takes to run.
    """

    name: str
    run: Run
    model: nn.Module
    bytes: int


class Running(nn.Module):
    """A form as a module, (B, C, H, W) -> outputs, without gradients."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.run(np.ascontiguousarray(x.numpy(), np.float32)))


@contextmanager
def running(export: Opened) -> Iterator[tuple[list[Form], dict[str, str]]]:
    """The forms of an export while they can be run, our own first; and why others that lie in it cannot, by name."""
    forms, left_out = [Form(OWN, _own(export.network), export.network, _own_bytes(export.directory))], {}
    with tempfile.TemporaryDirectory() as room:
        for name, form in FORMATS.items():
            path = export.directory / form.files[0]
            if not path.is_file():
                continue
            folder = Path(room, name)
            folder.mkdir()
            if reason := missing(name) or _copied(export, name, folder):
                left_out[name] = reason
                continue
            more = [file for file in form.files[1:] if file.endswith(".safetensors")]
            files = [export.directory / file for file in (form.files[0], *form.reads, *more)]
            try:
                run = _started(name, folder)
                run(np.zeros((2, *export.architecture.input), np.float32))
            except Exception as error:  # whatever a runtime raises of a file that it does not take
                left_out[name] = f"it does not run: {(str(error).strip().splitlines() or [type(error).__name__])[0]}"
                continue
            forms.append(Form(name, run, Running(run), sum(file.stat().st_size for file in files if file.exists())))
        yield forms, left_out


def _own(network: nn.Module) -> Run:
    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            outputs: np.ndarray = network(torch.from_numpy(images)).numpy()
        return outputs

    return run


def _own_bytes(directory: Path) -> int:
    """Bytes of the files that `nas.load` reads, plugins left out."""
    files = [path(folder) for folder in member_folders(directory) for path in (architecture_path, model_path)]
    files += [directory / name for name in (ENSEMBLE, PROBE)]
    return sum(file.stat().st_size for file in files if file.exists())


def _copied(export: Opened, name: str, folder: Path) -> str:
    """Puts the files that a form takes to run into a folder; returns why not, if it must not be run."""
    form, file = FORMATS[name], FORMATS[name].files[0]
    with user_input(str(export.directory)):
        for needed in (*form.reads, *(() if form.is_code else (file,))):
            shutil.copyfile(regular(export.directory / needed), folder / needed)
    if form.is_code:
        if not isinstance(export.network, Network):
            return "it is of several networks, and only the source of one can be checked"
        there = regular(export.directory / file).read_bytes()
        try:
            for taken in _written_anew(export, folds=form.folds):
                form().write(taken, folder)
                if (folder / file).read_bytes() == there:
                    break
            else:
                return f"{file} is not what this version writes of the network; code of others is not run. Export again"
        except ValueError as error:
            return f"it is not what this version writes: {error}"
    return ""


def _written_anew(export: Opened, *, folds: bool) -> Iterator[Taken]:
    """The network of an export in every way in which it may have been written."""
    assert isinstance(export.network, Network)
    architecture = export.architecture
    for products in (False, True) if folds else (False,):
        taken = Taken(export.network, architecture.input, architecture.outputs, products=products)
        yield taken
        if folds:
            with transforms_as_products() if products else nullcontext():
                graphs = [graph for graph, _ in candidates(taken.network, taken.program, taken.shape)]
            for graph in graphs:
                yield replace(taken, graph=exported(graph, taken.shape))


def _started(name: str, folder: Path) -> Run:
    """``run`` of a form whose files lie in a folder; what loading it changes in this process is put back."""
    space: dict[str, Any] = {"folder": str(folder), "np": np}
    path, bytecode, threads = list(sys.path), sys.dont_write_bytecode, torch.get_num_threads()
    other = sys.modules.pop("model", None)  # the name of every ``model.py``
    try:
        source = f"from __future__ import annotations\n{FORMATS[name].runner}"
        exec(compile(source, f"<{name}>", "exec", dont_inherit=True), space)
    finally:
        sys.path[:], sys.dont_write_bytecode = path, bytecode
        torch.set_num_threads(threads)
        sys.modules.pop("model", None)
        if other is not None:
            sys.modules["model"] = other
    run: Run = space["run"]
    return run
