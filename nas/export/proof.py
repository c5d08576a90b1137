"""Proves that what was written is the network that was measured, image by image, in a process without this project.

Each form is loaded by `python -I` with the packages of this project blocked (those that torch runs in one process,
which loads it once), and runs every measured image as well as small batches. Its outputs must be those of the network
within `TOLERANCE` of the largest, and it must predict the same class of every image. What it costs is counted there
from its own graph, and must be what the architecture costs.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from nas.errors import StoppedError
from nas.export.formats import FORMATS
from nas.export.formats.folding import Folding
from nas.export.formats.graph import ExpectedCosts, GraphCosts
from objectives.accuracy import in_batches
from objectives.objective import Images

BATCHES = (1, 2, 7, 64)
"""Sizes of batches that are tried beside the whole."""
TOLERANCE = 1e-5
"""Largest difference of an output, as a share of the largest output."""
AT_ONCE = 256
"""Images in a batch of the whole."""
MINUTES = 30
"""After which a process is given up."""
BLOCKED = ("nas", "searchspaces", "objectives", "trainers")
PROGRAM = f"""
from __future__ import annotations

import json
import sys

for name in {BLOCKED}:
    sys.modules[name] = None  # an import of it now fails
folder, images, room = sys.argv[1:]
import numpy as np

images = np.load(images, mmap_mode="r")


def results(space, runner, path):
    exec(compile(runner, "<form>", "exec"), space)

    def part(start, end):
        return space["run"](np.ascontiguousarray(images[start:end]))

    found = {{"all": np.concatenate([part(i, i + {AT_ONCE}) for i in range(0, len(images), {AT_ONCE})])}}
    for size in {BATCHES}:
        if size <= len(images):
            found[str(size)] = part(0, size)
    np.savez(path + ".npz", **found)
    return {{"costs": space["costs"](images.shape[1:]) if "costs" in space else None}}


for name, runner in json.load(sys.stdin).items():
    space = {{"folder": folder, "np": np}}
    try:
        said = results(space, runner, room + "/" + name)
    except BaseException as error:
        said = {{"failed": (type(error).__name__ + ": " + str(error)).strip().splitlines()[-1]}}
    space.clear()  # its functions hold it, and it holds the network
    with open(room + "/" + name + ".json", "w") as file:
        json.dump(said, file)
"""


@dataclass(frozen=True)
class Ran:
    """What a form returned.

    Args:
        outputs: of all images, by "all", and of batches of the first ones, by their size.
        costs: of its graph; None where they are not counted.
        failed: why it did not run; empty if it did.
    """

    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    costs: GraphCosts | None = None
    failed: str = ""

    def of(self, name: str) -> Mapping[str, np.ndarray]:
        """The outputs of the form of that name.

        Raises:
            StoppedError: if it did not run.
        """
        if self.failed:
            raise StoppedError(f"{refused(name)}: {self.failed}")
        return self.outputs


@dataclass(frozen=True)
class Proof:
    """How a form compares with the network.

    Args:
        images: that were compared.
        largest_difference: of an output, as a share of the largest output.
        ties: images whose two best classes are as near to each other as that, and that it calls the other one.
        costs: of its graph; None where they cannot be counted.
        expected: what the architecture costs, where that was asked.
        folding: what was folded in its graph, which then costs something else; None if nothing was.
    """

    format: str
    images: int
    largest_difference: float
    ties: int
    costs: GraphCosts | None = None
    expected: ExpectedCosts | None = None
    folding: Folding | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self) | {"batches": [size for size in BATCHES if size <= self.images]}

    @property
    def cost(self) -> str:
        """What its graph costs, in words; empty where that was not compared with anything."""
        if self.costs is None or self.expected is None:
            return ""
        number = self.costs.macs_per_image if self.costs.macs is None else self.costs.macs
        words = f"{number:,} multiply-accumulates {'an image' if self.costs.macs is None else 'for one image'}"
        words += f" as run, {self.expected.macs:,} as defined" if number != self.expected.macs else ""
        return words + (f", {self.costs.parameters:,} parameters" if self.costs.parameters is not None else "")


def answers(network: nn.Module, images: Images) -> np.ndarray:
    """(N, ...) outputs of a network in eval mode, which every form of it must return."""
    return in_batches(network, images).numpy()


def prove(name: str, folder: Path, images: Images, wanted: np.ndarray, expected: ExpectedCosts | None = None) -> Proof:
    """Runs a form of an export on (N, C, H, W) images and compares it with what the network returns, of `answers`.

    Args:
        expected: what its graph must cost, where it can be counted.

    Raises:
        StoppedError: if it does not run, gives other outputs, or costs something else.
    """
    return compared(name, ran([name], folder, images)[name], wanted, expected)


def compared(name: str, found: Ran, wanted: np.ndarray, expected: ExpectedCosts | None = None) -> Proof:
    """What a form returned, of `ran`, beside what the network does; see `prove`."""
    returned, largest = found.of(name), max(float(np.abs(wanted).max()), 1e-30)
    worst = 0.0
    for size, outputs in returned.items():
        right = wanted if size == "all" else wanted[: int(size)]
        if outputs.shape != right.shape or not np.isfinite(outputs).all():
            raise StoppedError(f"{refused(name)}: of {size} images it returns {_brief(outputs)}.")
        worst = max(worst, float(np.abs(outputs - right).max()) / largest)
    if worst > TOLERANCE:
        raise StoppedError(
            f"{refused(name)}: its outputs differ by {worst:.1e} of the largest one, at most {TOLERANCE:.0e} may."
        )
    ties = _ties(name, wanted, returned["all"], TOLERANCE * largest)
    if found.costs is not None and expected is not None and (how := expected.differing(found.costs)):
        raise StoppedError(f"{refused(name)}: {how}.")
    return Proof(name, len(wanted), worst, ties, found.costs, expected)


def _ties(name: str, wanted: np.ndarray, found: np.ndarray, near: float) -> int:
    """Images of which another class is predicted, as its output is as large as the other's but for rounding.

    Raises:
        StoppedError: if one has another class for any other reason.
    """
    if wanted.ndim != 2:
        return 0
    one, other = wanted.argmax(1), found.argmax(1)
    differing = np.flatnonzero(one != other)
    apart = wanted[differing, one[differing]] - wanted[differing, other[differing]]
    if (apart > near).any():
        raise StoppedError(f"{refused(name)}: it predicts another class for {int((apart > near).sum())} images.")
    return len(differing)


def ran(names: Sequence[str], folder: Path, images: Images) -> dict[str, Ran]:
    """What forms return and cost; those of one runtime in one process, as loading torch takes longer than they do."""
    runtimes: dict[str, list[str]] = {}
    for name in names:
        runtimes.setdefault(FORMATS[name].runtime or name, []).append(name)
    found: dict[str, Ran] = {}
    if names:
        with tempfile.TemporaryDirectory() as room:
            inputs = Path(room, "images.npy")
            there = np.lib.format.open_memmap(inputs, "w+", np.float32, (len(images), *images[:1].shape[1:]))
            for start in range(0, len(images), AT_ONCE):  # images may stay in their files until they are read
                there[start : start + AT_ONCE] = images[start : start + AT_ONCE].numpy()
            there.flush()
            for together in runtimes.values():
                found |= _ran(together, folder, inputs)
    return found


def _ran(names: Sequence[str], folder: Path, images: Path) -> dict[str, Ran]:
    """What forms return, one after the other in one process; one after which that has ended, in one of its own."""
    with tempfile.TemporaryDirectory() as room:
        command = [sys.executable, "-I", "-c", PROGRAM, str(folder.absolute()), str(images), room]
        runners = json.dumps({name: FORMATS[name].runner for name in names})
        try:
            done = subprocess.run(
                command, cwd=room, input=runners, capture_output=True, text=True, timeout=60 * MINUTES, check=False
            )
            said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            failed = f"it does not run without this framework: {said}"
        except subprocess.TimeoutExpired:
            failed = f"it did not run all images in {MINUTES} minutes."
        found = {name: _read(Path(room, name)) for name in names if Path(room, f"{name}.json").exists()}
    for name in names[len(found) :]:
        found |= {name: Ran(failed=failed)} if len(names) == 1 else _ran([name], folder, images)
    return found


def _read(path: Path) -> Ran:
    """What a form left there."""
    said = json.loads(path.with_suffix(".json").read_text())
    if "failed" in said:
        return Ran(failed=f"it does not run without this framework: {said['failed']}")
    with np.load(path.with_suffix(".npz")) as outputs:
        return Ran(dict(outputs), None if said["costs"] is None else GraphCosts(**said["costs"]))


def refused(name: str) -> str:
    return f"{FORMATS[name].files[0]} was not written, and nothing else: it is not the network that was measured"


def _brief(outputs: np.ndarray) -> str:
    return f"an array {outputs.shape}" + ("" if np.isfinite(outputs).all() else " of which some are no finite numbers")
