"""Small data sets of sound in their official layouts, and a cache that is thrown away."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 8_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the cache, not made yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAS_CACHE", str(folder))
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


@pytest.fixture
def sounds(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the small version of a data set of sound; its folder."""

    def write(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        TREES[name](folder)
        return folder

    return write


@pytest.fixture
def sound() -> Callable[..., Path]:
    """Writes one sound file (see `write_sound`)."""
    return write_sound
