"""Small data sets in their official layouts, written by tests."""

import datetime
import gzip
import io
import lzma
import pickle
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from PIL import Image
from scipy.io import savemat

RATE = 8_000


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_npz(folder: Path) -> Path:
    file = folder / "mine.npz"
    labels = np.arange(30) % 3
    np.savez(
        file,
        x_train=random_images(30, 6, 5, 3),
        y_train=labels,
        x_test=random_images(12, 6, 5, 3, seed=1),
        y_test=labels[:12],
    )
    return file


def write_series(folder: Path, columns: int = 16, separator: str = "\t") -> Path:
    """Sines and cosines with labels 1 and -1, as the UCR archive writes them."""
    t, generator = np.arange(columns), np.random.default_rng(0)
    for split, number in (("TRAIN", 20), ("TEST", 10)):
        lines = []
        for index in range(number):
            wave = (np.sin, np.cos)[index % 2](t) + 0.1 * generator.standard_normal(columns)
            lines.append(separator.join([("1", "-1")[index % 2], *map(str, wave)]))
        (folder / f"Waves_{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder / "Waves"


def write_table(file: Path, steps: int = 300, names: Sequence[str] = ("load", "oil")) -> Path:
    """Waves of a day, every hour, one column for each name, as the ETT files have them."""
    hours, random = np.arange(steps), np.random.default_rng(0)
    lines = [",".join(["date", *names])]
    for hour in hours:
        time = datetime.datetime(2016, 7, 1) + datetime.timedelta(hours=int(hour))
        waves = [np.sin(2 * np.pi * hour / 24 + place) + 0.1 * random.standard_normal() for place in range(len(names))]
        lines.append(",".join([str(time), *(f"{100 + 10 * wave:.4f}" for wave in waves)]))
    file.write_text("\n".join(lines) + "\n")
    return file


def write_picture(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def write_folder(folder: Path) -> Path:
    for seed, (split, number) in enumerate({"train": 5, "test": 2}.items()):
        for offset, name in enumerate(("cat", "dog")):
            for i, pixels in enumerate(random_images(number, 6, 5, 3, seed=2 * seed + offset)):
                write_picture(folder / split / name / f"{i}.png", pixels)
    return folder


def write_mnist(folder: Path) -> Path:
    """Two random images of each class, and one in the test split, in the official files."""
    folder.mkdir(parents=True)
    for seed, (prefix, number) in enumerate({"train": 20, "t10k": 10}.items()):
        images, labels = random_images(number, 28, 28, seed=seed), np.arange(number, dtype=np.uint8) % 10
        for name, array in {"images-idx3": images, "labels-idx1": labels}.items():
            head = struct.pack(f">{1 + array.ndim}I", 2048 + array.ndim, *array.shape)
            (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return folder


def write_cifar100(folder: Path) -> Path:
    """Two random images of each fine class, and one in the test split, in the official pickles."""
    (folder / "cifar-100-python").mkdir(parents=True)
    names = {b"fine_label_names": [b"fine %d" % k for k in range(100)], b"coarse_label_names": [b"coarse"] * 20}
    (folder / "cifar-100-python" / "meta").write_bytes(pickle.dumps(names, protocol=2))
    for seed, (split, number) in enumerate({"train": 200, "test": 100}.items()):
        content = {
            b"batch_label": b"training batch 1 of 1",
            b"fine_labels": [k % 100 for k in range(number)],
            b"coarse_labels": [k % 20 for k in range(number)],
            b"data": random_images(number, 3072, seed=seed),
            b"filenames": [b"%d.png" % k for k in range(number)],
        }
        (folder / "cifar-100-python" / split).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def write_svhn(folder: Path) -> Path:
    """Two random images of each digit, and one in the test split; labels from 1 to 10 in the order of the images."""
    (folder / "svhn").mkdir(parents=True)
    for seed, (split, number) in enumerate({"train": 20, "test": 10}.items()):
        labels = np.arange(number, dtype=np.uint8)[:, None] % 10 + 1
        savemat(
            folder / "svhn" / f"{split}_32x32.mat",
            {"X": random_images(32, 32, 3, number, seed=seed), "y": labels},
            do_compression=True,
        )
    return folder


def write_sound(file: Path, *, seed: int = 0, seconds: float = 0.1, rate: int = RATE, channels: int = 1) -> Path:
    """Noise, 16 bits."""
    noise = np.random.default_rng(seed).normal(0, 0.2, (int(seconds * rate), channels))
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, noise, rate)
    return file


def write_fsdd(folder: Path) -> None:
    """Ten digits by three speakers, takes 0, 5 and 10."""
    names = [f"{digit}_{name}_{take}" for digit in range(10) for name in ("ann", "bob", "cy") for take in (0, 5, 10)]
    for seed, name in enumerate(names):
        write_sound(folder / "recordings" / f"{name}.wav", seed=seed)


def write_speech_commands(folder: Path) -> None:
    """Two words of eight sounds each: 0 and 1 are for validation, 2 and 3 for the test."""
    for seed in range(16):
        write_sound(folder / ("no", "yes")[seed // 8] / f"{seed % 8}_nohash_0.wav", seed=seed)
    for number, name in enumerate(("validation_list.txt", "testing_list.txt")):
        files = (2 * number, 2 * number + 1)
        (folder / name).write_text("".join(f"{word}/{i}_nohash_0.wav\n" for word in ("yes", "no") for i in files))
    write_sound(folder / "_background_noise_" / "tap.wav", seed=99)


def write_urbansound8k(folder: Path) -> None:
    """One sound of every class in every fold."""
    names = "air_conditioner car_horn children_playing dog_bark drilling engine_idling gun_shot jackhammer siren"
    lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for seed in range(100):
        fold, label = seed // 10 + 1, seed % 10
        write_sound(folder / "audio" / f"fold{fold}" / f"{seed}-{label}-0-0.wav", seed=seed, seconds=0.05)
        lines.append(
            f"{seed}-{label}-0-0.wav,{seed},0.0,0.05,1,{fold},{label},{[*names.split(), 'street_music'][label]}"
        )
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines) + "\n")


def write_ravdess(folder: Path) -> None:
    """Every emotion by actors 1, 2, 3, 4 and 21."""
    for seed, (actor, emotion) in enumerate((actor, e) for actor in (1, 2, 3, 4, 21) for e in range(1, 9)):
        name = f"03-01-{emotion:02}-01-01-01-{actor:02}.wav"
        write_sound(folder / f"Actor_{actor:02}" / name, seed=seed, rate=16_000)


def write_audiofolder(folder: Path) -> None:
    """Two classes, four sounds each to train and two to test."""
    for seed in range(12):
        split = "train" if seed < 8 else "test"
        write_sound(folder / split / ("rain", "wind")[seed % 2] / f"{seed}.wav", seed=seed)


TREES: dict[str, Callable[[Path], None]] = {
    "audiofolder": write_audiofolder,
    "fsdd": write_fsdd,
    "ravdess": write_ravdess,
    "speech_commands": write_speech_commands,
    "urbansound8k": write_urbansound8k,
}


def write_idx(
    folder: Path, split: Literal["train", "t10k"], *, zipped: bool = True, images: int = 5, labels: int = 5
) -> tuple[Path, Path]:
    """Official files, but small: image i is full of the number i, its label is i."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(images, dtype=np.uint8).repeat(28 * 28)
    contents = {
        "images-idx3": struct.pack(">IIII", 2051, images, 28, 28) + pixels.tobytes(),
        "labels-idx1": struct.pack(">II", 2049, labels) + bytes(range(labels)),
    }
    files = []
    for name, content in contents.items():
        files.append(folder / f"{split}-{name}-ubyte{'.gz' if zipped else ''}")
        files[-1].write_bytes(gzip.compress(content) if zipped else content)
    return files[0], files[1]


def write_xz(file: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(lzma.compress(buffer.getvalue(), preset=0))
