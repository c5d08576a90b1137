"""``audiofolder:DIR``: a folder of sound files for each class, ``DIR/train/CLASS/*.wav`` and ``DIR/test/CLASS/*.wav``.

``DIR/validation/CLASS/*.wav`` is the validation split, if it is there. Without a ``train`` folder, ``DIR/CLASS/*.wav``
is the training split and there is no test split.
"""

from dataclasses import dataclass
from pathlib import Path

from trainers.audio import LogMel
from trainers.dataset import dataset
from trainers.formats.clips import Clip, Clips, several
from trainers.samples import Split

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


@dataset("audiofolder")
@dataclass(frozen=True)
class AudioFolder(Clips):
    """The user's own sounds, of any length, rate and number of channels."""

    takes = "DIR"
    example = "audiofolder:DIR,rate=16000,64x128"
    front_end = LogMel(16_000, 64, 128)
    layout = "DIR/CLASS/SOUND.wav, or DIR/train/CLASS/SOUND.wav and DIR/test/CLASS/SOUND.wav (WAV, FLAC, OGG or MP3)"
    origin = f"Put the sounds into {layout}."

    @property
    def own_validation(self) -> bool:
        """Whether there is a folder of validation sounds."""
        return (Path(self.location) / "validation").is_dir()

    def classes(self) -> tuple[str, ...]:
        root = self._root(self.folder(), "train")
        names = _classes(root)
        if len(names) < 2:
            raise ValueError(f"{root} holds {len(names)} class folders, at least 2 are needed. Expected {self.layout}.")
        return tuple(names)

    def here(self, folder: Path) -> bool:
        return bool(self.location) and folder.is_dir()

    def folder(self) -> Path:
        if not self.location:
            raise FileNotFoundError("audiofolder needs a directory, as in audiofolder:my_sounds.")
        return super().folder()

    def clips(self, folder: Path, split: Split) -> list[Clip]:
        root, classes = self._root(folder, split), self.classes()
        if unknown := [name for name in _classes(root) if name not in classes]:
            raise ValueError(f"{root} holds classes that are not in the training split: {several(unknown)}.")
        return [
            Clip(path, number)
            for number, name in enumerate(classes)
            for path in sorted((root / name).glob("*"))
            if path.suffix.lower() in SUFFIXES
        ]

    def _root(self, folder: Path, split: Split) -> Path:
        if (folder / "train").is_dir():
            if not (folder / split).is_dir():
                raise FileNotFoundError(
                    f"{folder / split} does not exist, so there is no {split} split. Expected {self.layout}."
                )
            return folder / split
        if split != "train":
            raise ValueError(f"{folder} has no {split} split. Expected {self.layout}.")
        return folder


def _classes(root: Path) -> list[str]:
    return sorted(f.name for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
