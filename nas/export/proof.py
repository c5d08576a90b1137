"""Proves that what was written is the network that was measured, image by image, in a process without this project.

Each form is loaded by `python -I` with the packages of this project blocked, and runs every measured image as well as
small batches. Its outputs must be those of the network within `TOLERANCE` of the largest, and it must predict the same
class of every image.
"""

import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from nas.errors import StoppedError
from nas.export.formats import FORMATS
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
import sys

for name in {BLOCKED}:
    sys.modules[name] = None  # an import of it now fails
folder, images, outputs = sys.argv[1:]
import numpy as np

images = np.load(images, mmap_mode="r")
{{runner}}

def part(start, end):
    return run(np.ascontiguousarray(images[start:end]))

found = {{{{"all": np.concatenate([part(i, i + {AT_ONCE}) for i in range(0, len(images), {AT_ONCE})])}}}}
for size in {BATCHES}:
    if size <= len(images):
        found[str(size)] = part(0, size)
np.savez(outputs, **found)
"""


@dataclass(frozen=True)
class Proof:
    """How a form compares with the network.

    Args:
        images: that were compared.
        largest_difference: of an output, as a share of the largest output.
        ties: images whose two best classes are as near to each other as that, and that it calls the other one.
    """

    format: str
    images: int
    largest_difference: float
    ties: int

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self) | {"batches": [size for size in BATCHES if size <= self.images]}


def answers(network: nn.Module, images: Images) -> np.ndarray:
    """(N, ...) outputs of a network in eval mode, which every form of it must return."""
    return in_batches(network, images).numpy()


def prove(name: str, folder: Path, images: Images, wanted: np.ndarray) -> Proof:
    """Runs a form of an export on (N, C, H, W) images and compares it with what the network returns, of `answers`.

    Raises:
        StoppedError: if it does not run, or gives other outputs.
    """
    found = _outputs(name, folder, images)
    largest = max(float(np.abs(wanted).max()), 1e-30)
    worst = 0.0
    for size, outputs in found.items():
        expected = wanted if size == "all" else wanted[: int(size)]
        if outputs.shape != expected.shape or not np.isfinite(outputs).all():
            raise StoppedError(f"{_refused(name)}: of {size} images it returns {_brief(outputs)}.")
        worst = max(worst, float(np.abs(outputs - expected).max()) / largest)
    if worst > TOLERANCE:
        raise StoppedError(
            f"{_refused(name)}: its outputs differ by {worst:.1e} of the largest one, at most {TOLERANCE:.0e} may."
        )
    return Proof(name, len(images), worst, _ties(name, wanted, found["all"], TOLERANCE * largest))


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
        raise StoppedError(f"{_refused(name)}: it predicts another class for {int((apart > near).sum())} images.")
    return len(differing)


def _outputs(name: str, folder: Path, images: Images) -> dict[str, np.ndarray]:
    """What a form returns for all images, and for batches of the first ones, by their size."""
    with tempfile.TemporaryDirectory() as room:
        inputs, outputs = Path(room, "images.npy"), Path(room, "outputs.npz")
        there = np.lib.format.open_memmap(inputs, "w+", np.float32, (len(images), *images[:1].shape[1:]))
        for start in range(0, len(images), AT_ONCE):  # images may stay in their files until they are read
            there[start : start + AT_ONCE] = images[start : start + AT_ONCE].numpy()
        there.flush()
        program = PROGRAM.format(runner=FORMATS[name].runner)
        command = [sys.executable, "-I", "-c", program, str(folder.absolute()), str(inputs), str(outputs)]
        try:
            done = subprocess.run(command, cwd=room, capture_output=True, text=True, timeout=60 * MINUTES, check=False)
        except subprocess.TimeoutExpired:
            raise StoppedError(f"{_refused(name)}: it did not run {len(images)} images in {MINUTES} minutes.") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise StoppedError(f"{_refused(name)}: it does not run without this framework: {last}")
        with np.load(outputs) as found:
            return dict(found)


def _refused(name: str) -> str:
    return f"{FORMATS[name].files[0]} was not written, and nothing else: it is not the network that was measured"


def _brief(outputs: np.ndarray) -> str:
    return f"an array {outputs.shape}" + ("" if np.isfinite(outputs).all() else " of which some are no finite numbers")
