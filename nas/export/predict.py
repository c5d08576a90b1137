"""What an exported network says of files: pictures, sounds, arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nas.errors import WrongInputError, regular, user_input
from nas.export.bundle import architecture_path, load, load_architecture, read_origin
from nas.export.ensemble import member_folders
from nas.export.formats.format import Scale, front_end_of
from searchspaces import Shape
from trainers import DATASETS, Dataset
from trainers.audio import LogMel, read_wave
from trainers.formats.image_files import picture
from trainers.formats.table import read_table


@dataclass(frozen=True)
class Answer:
    """What is said of one file.

    Args:
        chances: probability of each class, by name, the likeliest first.
    """

    file: str
    chances: dict[str, float]


@dataclass(frozen=True)
class Continued:
    """What follows the series in a file, in its units.

    Args:
        values: (horizon, variates).
        csv: both and the times, as a table.
    """

    file: str
    times: list[str]
    variates: list[str]
    values: list[list[float]]
    csv: str


def predict(directory: Path, files: Sequence[Path], *, trust: bool = False) -> list[Answer] | list[Continued]:
    """Classes of files with their probabilities, or what follows their series, by an exported network.

    A picture is read as those of a folder are (its middle square, upright), a sound as the study's data set reads them,
    an ``.npy`` file holds (C, H, W) values in [0, 1]. Of a series, a CSV file with the columns of the study, the newest
    steps are taken.

    Raises:
        WrongInputError: if the directory is no export or its network returns no classes, or a file cannot be read.
        UntrustedError: if it needs plugins that were never trusted.
    """
    network = load(directory, trust=trust)
    home = member_folders(directory)[0]  # an ensemble is of one study
    architecture, data = load_architecture(architecture_path(home)), read_origin(home).settings.data
    if (scale := Scale.of(data)) is not None:
        return [_continued(network, file, scale) for file in files]
    if not isinstance(architecture.outputs, int):
        raise WrongInputError(f"{directory} returns images, not classes. Use nas.load in Python.")
    named = data.classes if data.classes and len(data.classes) == architecture.outputs else None
    names = named or [str(number) for number in range(architecture.outputs)]
    front_end, things = front_end_of(data), DATASETS.get(data.name, Dataset).things
    found = []
    for file in files:
        with user_input(str(file)):
            values = read(regular(file), architecture.input, things, front_end)
        with torch.no_grad():
            chances = network(torch.from_numpy(values)[None]).softmax(1)[0]
        order = chances.argsort(descending=True, stable=True).tolist()
        found.append(Answer(str(file), {names[i]: float(chances[i]) for i in order}))
    return found


def _continued(network: nn.Module, file: Path, scale: Scale) -> Continued:
    """What follows the series in a file."""
    mean, std = np.array(scale.mean), np.array(scale.std)
    with user_input(""):
        table = read_table(regular(file))
    with user_input(str(file)):
        scaled = (table.last(scale.variates, scale.context) - mean) / std
    with torch.no_grad():
        outputs = network(torch.from_numpy(scaled.T.astype(np.float32))[None, None])[0, 0]  # (variates, horizon)
    values = outputs.numpy().T * std + mean
    names, times = list(scale.variates), table.following(len(values))
    return Continued(str(file), times, names, values.tolist(), table.continued(names, values))


def read(file: Path, shape: Shape, things: str, front_end: LogMel | None) -> np.ndarray:
    """(C, H, W) float32 in [0, 1] of a file.

    Raises:
        ValueError: if it is not what it should be.
        OSError: if it cannot be opened.
    """
    if file.suffix == ".npy":
        values = np.load(file, allow_pickle=False)
        if values.shape != shape or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
            raise ValueError(f"it must hold numbers (C, H, W) = {shape}, got {values.dtype} {values.shape}.")
        return np.ascontiguousarray(values, np.float32)
    if front_end is not None:
        spectrogram: np.ndarray = front_end([read_wave(file, front_end)])[0]
        return spectrogram
    if things != "images" or shape[0] not in (1, 3):
        raise ValueError(f"the network takes {things} {shape}: give an .npy file of that shape.")
    return picture(file, shape)
