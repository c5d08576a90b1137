"""``model.py``: the network as plain PyTorch source, which runs with torch alone; ``predict.py`` runs it on a file.

``preprocess.py`` reads a picture (pillow) or a WAV file as the search did: what makes spectrograms is the source of
this project, copied, so that there is one truth.
"""

import inspect
from pathlib import Path
from typing import ClassVar

import safetensors
import safetensors.torch

from nas.errors import WrongInputError
from nas.export.formats.format import Format, Scale, Taken, bundle_format
from nas.export.formats.graph import TORCH_COSTS
from nas.export.source import inlined
from nas.store.files import write_atomically
from trainers import audio
from trainers.formats import reading as reading_of
from trainers.formats import table

PREDICT = '''\
"""python predict.py [FILE]: likely classes and their probabilities, of FILE or of the example that lies beside it."""

import json
import sys
from pathlib import Path

import torch
from model import build, read_tensors

here = Path(__file__).resolve().parent
if len(sys.argv) > 1:
    from preprocess import read
    images = read(sys.argv[1])
else:
    images = read_tensors(str(here / "example.safetensors"))["images"]
with torch.no_grad():
    chances = build(str(here / "model.safetensors"))(images).softmax(1)[0]
classes = json.loads((here / "config.json").read_text(encoding="utf-8"))["classes"]
for number in chances.argsort(descending=True)[:5].tolist():
    print(f"{chances[number]:.3f}  {(classes[number] if classes else number)!r}")
'''
PICTURE = '''\
"""A picture as the network takes it: its middle square, gray or RGB, pixels in [0, 1]. Needs pillow and numpy."""

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

CHANNELS, HEIGHT, WIDTH = {shape}


def read(path: str) -> Tensor:
    """(1, C, H, W) pixels of an image file."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file).convert("L" if CHANNELS == 1 else "RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    pixels = np.asarray(image, np.float32).reshape(HEIGHT, WIDTH, CHANNELS) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()
'''
SOUND = '''\
"""A sound as the network takes it: a log-mel spectrogram in [0, 1] of a WAV file. Needs numpy."""

import math
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

{constants}


{source}

def read(path: str) -> Tensor:
    """(1, 1, mel, frames) spectrogram of a WAV file of 8, 16 or 32 bits at {rate} Hz."""
    with wave.open(path) as file:
        if file.getframerate() != {rate}:
            raise ValueError(f"{{path}} has {{file.getframerate()}} samples per second; resample it to {rate}.")
        width, channels, data = file.getsampwidth(), file.getnchannels(), file.readframes(file.getnframes())
    kind = {{1: np.dtype("u1"), 2: np.dtype("<i2"), 4: np.dtype("<i4")}}[width]
    samples = np.frombuffer(data, kind).astype(np.float32).reshape(-1, channels).mean(1)
    samples = samples / 128 - 1 if width == 1 else samples / 2 ** (8 * width - 1)
    return torch.from_numpy(LogMel({rate}, {mel}, {frames})([samples - samples.mean()]))
'''
ARRAY = '''\
"""An array as the network takes it: an .npy file of (C, H, W) values in [0, 1]. Needs numpy."""

import numpy as np
import torch
from torch import Tensor

SHAPE = {shape}


def read(path: str) -> Tensor:
    """(1, C, H, W) values of a file."""
    values = np.load(path, allow_pickle=False).astype(np.float32)
    if values.shape != SHAPE:
        raise ValueError(f"{path} must hold an array {SHAPE}, got {values.shape}.")
    return torch.from_numpy(values)[None]
'''
FORECAST = '''\
"""python predict.py [FILE]: what follows the series in a CSV file, as CSV; without FILE of the scaled example."""

import sys
from pathlib import Path

import torch
from model import build, read_tensors

here = Path(__file__).resolve().parent
network = build(str(here / "model.safetensors"))
with torch.no_grad():
    if len(sys.argv) > 1:
        from preprocess import forecast

        sys.stdout.write(forecast(network, sys.argv[1]))
    else:
        print(network(read_tensors(str(here / "example.safetensors"))["images"])[0, 0])
'''
SERIES = '''\
"""A series as the network takes it, and its forecast: the newest steps of a CSV file, standardised. Needs numpy."""

{source}

VARIATES = {variates!r}
MEAN = {mean!r}
STD = {std!r}
CONTEXT = {context}


def forecast(network: Callable[[Tensor], Tensor], path: str) -> str:
    """What follows the series in a file, as CSV, in the units of the file."""
    table = read_table(Path(path))
    scaled = (table.last(VARIATES, CONTEXT) - np.array(MEAN)) / np.array(STD)
    outputs = network(torch.from_numpy(scaled.T.astype(np.float32))[None, None])[0, 0]  # (variates, horizon)
    return table.continued(VARIATES, outputs.numpy().T * np.array(STD) + np.array(MEAN))
'''
FROZEN = "frozen.safetensors"
"""What ``model.py`` reads besides the weights: tensors that these lack."""
CONSTANTS = ("WINDOW_MS", "HOP_MS", "FLOOR_DB", "LOWEST_HZ", "SIDES", "RATES")


@bundle_format
class Python(Format):
    """Source for torch."""

    name = "python"
    files: ClassVar[tuple[str, ...]] = ("model.py", FROZEN, "predict.py", "preprocess.py")
    reads: ClassVar[tuple[str, ...]] = ("model.safetensors",)
    runtime = "torch"
    runner = f"""
import sys

import torch

torch.set_num_threads(1)
sys.path.insert(0, folder)
sys.dont_write_bytecode = True
import model

network = model.build(folder + "/model.safetensors")


def run(images):
    with torch.no_grad():
        return network(torch.from_numpy(images)).numpy()


{TORCH_COSTS}

def costs(shape):
    return torch_costs(network, shape)
"""

    def write(self, taken: Taken, folder: Path) -> None:
        try:
            found = inlined(taken.network)
        except WrongInputError as error:
            raise ValueError(str(error)) from None
        write_atomically(folder / "model.py", found.source.encode())
        # Seeds, and buffers that our own classes make anew, in full.
        lacking = found.state.keys() - stored(folder / "model.safetensors")
        if lacking:
            tensors = {name: found.state[name].contiguous() for name in sorted(lacking)}
            write_atomically(folder / FROZEN, safetensors.torch.save(tensors))
        if taken.scale is not None:
            write_atomically(folder / "predict.py", FORECAST.encode())
            write_atomically(folder / "preprocess.py", series_source(taken.scale).encode())
            return
        if not isinstance(taken.outputs, int):
            return  # it returns images, not classes
        write_atomically(folder / "predict.py", PREDICT.encode())
        if taken.front_end is not None:
            write_atomically(folder / "preprocess.py", sound_source(taken.front_end).encode())
        elif taken.things == "images" and taken.shape[0] in (1, 3):
            write_atomically(folder / "preprocess.py", PICTURE.replace("{shape}", str(taken.shape)).encode())
        else:
            write_atomically(folder / "preprocess.py", ARRAY.replace("{shape}", str(taken.shape)).encode())


def series_source(scale: Scale) -> str:
    """Source that reads tables of a series and writes what follows."""
    own = inspect.getsource(table).partition('"""\n\n')[2]
    errors = inspect.getsource(reading_of)
    start = errors.index("class ContentError")
    imports = (
        "from collections.abc import Callable, Iterator, Sequence\nfrom contextlib import contextmanager\n",
        "import torch\nfrom torch import Tensor\n",
    )
    own = own.replace("from collections.abc import Sequence\n", imports[0])
    own = own.replace(
        "from trainers.formats.reading import ContentError, reading\n", f"{imports[1]}\n\n{errors[start:]}"
    )
    sizes = {name: list(getattr(scale, name)) for name in ("variates", "mean", "std")}
    return SERIES.format(source=own.strip(), context=scale.context, **sizes)


def stored(path: Path) -> set[str]:
    """Names of the tensors in a safetensors file."""
    with safetensors.safe_open(path, "pt") as file:
        return set(file.keys())


def sound_source(front_end: audio.LogMel) -> str:
    """Source that reads sounds with a front end."""
    own = [line for line in inspect.getsource(audio).splitlines() if line.partition(" ")[0].strip(",") in CONSTANTS]
    source = f"{inspect.getsource(audio.LogMel)}\n\n{inspect.getsource(audio.mel_filters)}\n"
    sizes = {"rate": front_end.rate, "mel": front_end.mel, "frames": front_end.frames}
    return SOUND.format(constants="\n".join(own), source=source, **sizes)
