"""What a form that rounds loses and gains: it cannot be proven equal, so it is measured beside the network in full.

The rounded form runs in the process without this project, as proofs do. Adversarial images are made on the network in
full and both are shown the same ones: they are transferred to the rounded form, which an attack on itself may fool more
often. No gradient passes through rounding, so that attack would be another one and not comparable.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.errors import StoppedError
from nas.export.formats import FORMATS
from nas.export.formats.format import Taken
from nas.export.formats.int8 import CALIBRATION
from nas.export.formats.onnx import content
from nas.export.proof import AT_ONCE, MINUTES, answers, ran, refused
from objectives import Candidate, Objective
from objectives.part import stratified
from objectives.robust_accuracy import RobustAccuracy
from trainers import Samples

DEFAULT = RobustAccuracy(attack="fgsm", epsilon="8/255")
"""Where the study attacks nothing, or with images of other networks."""
TURNS, PASSES, SECONDS = 20, 5, 5.0
"""Turns of either form, passes in each, and after how many seconds no further turn begins."""
CLOCK = f"""
import json, sys, time
import numpy as np
import onnxruntime

*paths, image = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
sessions = [onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"]) for path in paths]
inputs, least, start = {{"images": np.load(image)}}, [float("inf")] * len(paths), time.perf_counter()
for turn in range({TURNS}):
    for place, session in enumerate(sessions):
        for _ in range({PASSES}):
            before = time.perf_counter()
            session.run(None, inputs)
            least[place] = min(least[place], time.perf_counter() - before)
    if time.perf_counter() - start > {SECONDS}:
        break
print(json.dumps([1000 * seconds for seconds in least]))
"""


@dataclass(frozen=True)
class Change:
    """A figure of the network in full and of the rounded form."""

    before: float
    after: float


@dataclass(frozen=True)
class Losses:
    """How a rounded form compares with the network in full.

    Args:
        calibration: training images by which it was rounded.
        images: measured ones.
        agreement: share of these of which both predict the same class.
        accuracy: on these.
        attacked: images that were attacked.
        attack: how, as settings; they were made on the network in full.
        robust_accuracy: on those images.
        latency_ms: of a batch of 1 on one thread by onnxruntime, the least of several passes in turn.
        bytes: of the files.
    """

    format: str
    calibration: int
    images: int
    agreement: float
    accuracy: Change
    attacked: int
    attack: Mapping[str, Any]
    robust_accuracy: Change
    latency_ms: Change
    bytes: Change

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)

    @property
    def said(self) -> list[str]:
        """It in words, a sentence each."""
        name, radius = self.attack["attack"], self.attack.get("epsilon", 0.0)
        clean, robust, clock = self.accuracy, self.robust_accuracy, self.latency_ms
        return [
            f"agrees with the network in full on {self.agreement:.2%} of {self.images} measured images",
            f"accuracy {clean.before:.4f} in full, {clean.after:.4f} as {self.format}",
            f"accuracy under attack {robust.before:.4f} in full, {robust.after:.4f} as {self.format}, on the same "
            f"{self.attacked} images, made by {name} of radius {radius:.4f} on the network in full: transferred, "
            f"not an attack on {self.format} itself",
            f"latency of a batch of 1 on one thread of this machine {clock.before:.3f} ms in full by onnxruntime, "
            f"{clock.after:.3f} ms as {self.format} ({clock.before / clock.after:.2f} times as fast)",
            f"{self.bytes.before:,.0f} bytes in full, {self.bytes.after:,.0f} as {self.format}",
            f"calibrated on {self.calibration} training images, every class in its share",
        ]


def calibration(samples: Samples, seed: int) -> Tensor:
    """(N, C, H, W) training images by which a form is rounded: at most `CALIBRATION`, every class in its share.

    Args:
        seed: of the data, by which they are chosen.
    """
    chosen = stratified(torch.tensor(samples.labels), CALIBRATION, seed)
    images, _ = samples[chosen.numpy()].tensors()
    return images[:]


def losses(
    name: str,
    folder: Path,
    taken: Taken,
    candidate: Candidate,
    objectives: Mapping[str, Objective],
    wanted: np.ndarray,
) -> Losses:
    """Runs a rounded form of an export beside the network in full.

    Args:
        objectives: of the study; its first attack on the network itself is the one that is used.
        wanted: (N, K) outputs of the network for all images of the candidate.

    Raises:
        StoppedError: if the form does not run, or its outputs are no finite numbers.
    """
    images, labels = candidate.examples()
    truth = labels.cpu().numpy()
    found = _finite(name, folder, images, wanted)
    attack = next((o for o in objectives.values() if isinstance(o, RobustAccuracy) and not o.transfers), DEFAULT)
    part = candidate.part(attack.samples)
    attacked = _attacked(attack, taken, part.images, part.labels)
    in_full = answers(taken.network, attacked)
    rounded = _finite(name, folder, attacked, in_full)
    right = part.labels.cpu().numpy()
    assert taken.calibration is not None
    return Losses(
        format=name,
        calibration=len(taken.calibration),
        images=len(truth),
        agreement=float((wanted.argmax(1) == found.argmax(1)).mean()),
        accuracy=Change(_share(wanted, truth), _share(found, truth)),
        attacked=len(right),
        attack={"attack": attack.attack, **attack.adversary().settings()},
        robust_accuracy=Change(_share(in_full, right), _share(rounded, right)),
        latency_ms=_latency(name, folder, taken),
        bytes=Change(len(content(taken)), (folder / FORMATS[name].files[0]).stat().st_size),
    )


def _share(outputs: np.ndarray, labels: np.ndarray) -> float:
    return float((outputs.argmax(1) == labels).mean())


def _finite(name: str, folder: Path, images: Any, like: np.ndarray) -> np.ndarray:
    """What a form returns of all images, if that is of the shape of another array and finite."""
    found = ran([name], folder, images)[name].of(name)["all"]
    if found.shape != like.shape or not np.isfinite(found).all():
        raise StoppedError(f"{refused(name)}: it returns {found.shape} of {len(images)} images, or no finite numbers.")
    return found


def _attacked(attack: RobustAccuracy, taken: Taken, images: Tensor, labels: Tensor) -> Tensor:
    """(N, C, H, W) adversarial images, made on the network in full."""
    network, adversary = taken.network.eval(), attack.adversary()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        held = torch.split(torch.arange(len(images)), AT_ONCE)
        return torch.cat([adversary.perturb(network, images[part], labels[part]).detach() for part in held])
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _latency(name: str, folder: Path, taken: Taken) -> Change:
    """Milliseconds of a batch of 1, of ``model.onnx`` and of a rounded form, in turn in one process."""
    with tempfile.TemporaryDirectory() as room:
        full, image = Path(room, "full.onnx"), Path(room, "image.npy")
        full.write_bytes(content(taken))
        np.save(image, np.full((1, *taken.shape), 0.5, np.float32))
        paths = [str(full), str((folder / FORMATS[name].files[0]).absolute()), str(image)]
        command = [sys.executable, "-I", "-c", CLOCK, *paths]
        done = subprocess.run(command, cwd=room, capture_output=True, text=True, timeout=60 * MINUTES, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise StoppedError(f"{refused(name)}: its latency cannot be measured: {last}")
    return Change(*json.loads(done.stdout))
