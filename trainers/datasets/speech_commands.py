"""Speech Commands: single words of up to a second by many speakers, 16 kHz, with official validation and test lists.

``CLASS/SPEAKER_nohash_N.wav`` with ``validation_list.txt`` and ``testing_list.txt``, which keep speakers apart. The
classes are the folders that are there, 35 in version 2; lines of the lists for other folders are skipped.
Background noise (``_background_noise_``) is no class.

A second is 98 frames, of which 96 are used; the published setting is ``speech_commands:128x128``.
"""

from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from trainers.audio import LogMel
from trainers.dataset import dataset
from trainers.formats.class_folders import visible
from trainers.formats.clips import Clip, Clips
from trainers.formats.reading import reading
from trainers.samples import Split

LISTS: dict[Split, str] = {"validation": "validation_list.txt", "test": "testing_list.txt"}


@dataset("speech_commands")
@dataclass(frozen=True)
class SpeechCommands(Clips):
    """Warden 2018, arXiv:1804.03209."""

    example = "speech_commands:DIR,rate=16000,64x96"
    own_validation = True
    front_end = LogMel(16_000, 64, 96)
    folders = ("speech_commands", "speech_commands_v0.02", "SpeechCommands/speech_commands_v0.02")
    layout = "CLASS/*.wav, validation_list.txt and testing_list.txt"
    origin = "Get speech_commands_v0.02.tar.gz (Google) and unpack it there."

    def classes(self) -> tuple[str, ...]:
        return tuple(f.name for f in visible(self.folder().iterdir()) if f.is_dir() and f.name[0] != "_")

    def here(self, folder: Path) -> bool:
        return all((folder / name).is_file() for name in LISTS.values())

    def clips(self, folder: Path, split: Split) -> list[Clip]:
        numbers = {normalize("NFC", name): number for number, name in enumerate(self.classes())}
        there = {
            normalize("NFC", f"{name}/{path.name}"): path
            for name in self.classes()
            for path in visible((folder / name).glob("*.wav"))
        }
        listed = {kind: _read_list(folder / name, numbers) for kind, name in LISTS.items()}
        apart = {name for names in listed.values() for name in names}
        chosen = listed[split] if split != "train" else [name for name in there if name not in apart]
        return [Clip(there.get(name, folder / name), numbers[name.split("/")[0]]) for name in chosen]


def _read_list(path: Path, classes: dict[str, int]) -> list[str]:
    """Names in a list, CLASS/FILE in NFC, as far as there is such a class."""
    with reading(path, "a line CLASS/FILE.wav for each file"):
        names = normalize("NFC", path.read_text(encoding="utf-8-sig")).split()
        if wrong := [name for name in names if name.count("/") != 1]:
            raise ValueError(f"it holds {wrong[0]!r}")
    return [name for name in names if name.split("/")[0] in classes]
