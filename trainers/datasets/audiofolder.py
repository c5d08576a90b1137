"""``audiofolder:DIR``: a folder of sound files for each class, ``DIR/train/CLASS/*.wav`` and ``DIR/test/CLASS/*.wav``.

``DIR/val/CLASS/*.wav`` is the validation split, if it is there. Without a ``train`` folder, ``DIR/CLASS/*.wav`` is the
training split (`ClassFolders` knows more layouts).
"""

from dataclasses import dataclass
from pathlib import Path

from trainers.audio import LogMel
from trainers.dataset import dataset
from trainers.formats.class_folders import ClassFolders
from trainers.formats.clips import Clip, Clips
from trainers.samples import Split


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
        folders = self._folders(Path(self.location))
        return folders.has("train") and folders.has("validation")

    def classes(self) -> tuple[str, ...]:
        return self._folders(self.folder()).classes()

    def here(self, folder: Path) -> bool:
        return bool(self.location) and folder.is_dir()

    def folder(self) -> Path:
        if not self.location:
            raise FileNotFoundError("audiofolder needs a directory, as in audiofolder:my_sounds.")
        return super().folder()

    def clips(self, folder: Path, split: Split) -> list[Clip]:
        listing = self._folders(folder).listing(split)
        return [Clip(listing.root / name, number) for number, names in enumerate(listing.files) for name in names]

    def notes(self, folder: Path, split: Split) -> tuple[str, ...]:
        return self._folders(folder).listing(split).notes

    def _folders(self, folder: Path) -> ClassFolders:
        return ClassFolders(folder, (".wav", ".flac", ".ogg", ".mp3"), "WAV, FLAC, OGG or MP3 file", self.layout)
