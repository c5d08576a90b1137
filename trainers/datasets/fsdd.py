"""Free Spoken Digit Dataset: 3,000 recordings of ten digits by six speakers, 8 kHz, 0.14 to 2.28 s long.

``recordings/DIGIT_SPEAKER_TAKE.wav``, or the same in ``recordings.tar.xz`` beside ``index.csv``. Takes 0 to 4 are the
official test split, 300 files, by the same speakers as the others. Harder: ``fsdd:speaker=theo`` tests on one speaker
and trains on the other five; validation then holds out whole speakers too.

0.64 s: 5 % of the recordings are longer and are cut.
"""

import csv
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from trainers.audio import LogMel
from trainers.dataset import dataset
from trainers.formats.class_folders import visible
from trainers.formats.clips import Clip, Clips
from trainers.formats.reading import reading
from trainers.samples import Split

TEST_TAKES = 5
ARCHIVE, INDEX, FOLDER = "recordings.tar.xz", "index.csv", "recordings"


@dataset("fsdd")
@dataclass(frozen=True)
class Fsdd(Clips):
    """Jackson and others 2016, "Free Spoken Digit Dataset".

    Args:
        speaker: test on this speaker and train on the others; unset: the official split.
    """

    speaker: str | None = None

    example = "fsdd:DIR,speaker=theo,rate=8000,64x64"
    front_end = LogMel(8_000, 64, 64)
    folders = ("fsdd", "free-spoken-digit-dataset")
    layout = f"{FOLDER}/0_theo_0.wav and so on, or {INDEX} and {ARCHIVE}"
    origin = "Clone Jakobovski/free-spoken-digit-dataset from GitHub and put it there."

    def classes(self) -> tuple[str, ...]:
        return ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

    def here(self, folder: Path) -> bool:
        return (folder / FOLDER).is_dir() or ((folder / INDEX).is_file() and (folder / ARCHIVE).is_file())

    def clips(self, folder: Path, split: Split) -> list[Clip]:
        parsed = [(path, _parse(path)) for path in _paths(folder)]
        speakers = sorted({speaker for _, (_, speaker, _) in parsed})
        alone = None if self.speaker is None else normalize("NFC", self.speaker)
        if alone is None:
            return [Clip(p, digit) for p, (digit, _, take) in parsed if (take < TEST_TAKES) == (split == "test")]
        if alone not in speakers:
            raise ValueError(f"fsdd has no speaker {alone!r}. Known: {', '.join(speakers)}.")
        chosen = [(p, digit, speaker) for p, (digit, speaker, _) in parsed if (speaker == alone) == (split == "test")]
        return [Clip(path, digit, speakers.index(speaker)) for path, digit, speaker in chosen]

    def sounds(self, folder: Path, clips: Sequence[Clip]) -> Iterator[Path | bytes]:
        archive = folder / ARCHIVE
        if (folder / FOLDER).is_dir():
            return super().sounds(folder, clips)
        with reading(archive, f"the recordings that {INDEX} lists"):
            members = _members(archive)
            if absent := [clip.path.name for clip in clips if clip.path.name not in members]:
                raise ValueError(f"it lacks {len(absent)} files, {absent[0]} among them")
        return (members[clip.path.name] for clip in clips)

    def stamped(self, folder: Path, clips: Sequence[Clip]) -> list[Path]:
        return super().stamped(folder, clips) if (folder / FOLDER).is_dir() else [folder / ARCHIVE]


def _paths(folder: Path) -> list[Path]:
    """The recordings by name; for an archive, as its index has them, because listing it means unpacking it."""
    if (folder / FOLDER).is_dir():
        return visible((folder / FOLDER).glob("*.wav"))
    index = folder / INDEX
    with reading(index, "a table with a column called file"), open(index, encoding="utf-8-sig", newline="") as file:
        return visible(folder / ARCHIVE / Path(row["file"]).name for row in csv.DictReader(file))


def _parse(path: Path) -> tuple[int, str, int]:
    """Digit, speaker and take."""
    match = re.fullmatch(r"(\d)_(.+)_(\d+)", path.stem)
    if match is None:
        raise ValueError(f"{path} is not called DIGIT_SPEAKER_TAKE.wav, as 0_theo_0.wav is. Rename or remove it.")
    return int(match[1]), normalize("NFC", match[2]), int(match[3])


def _members(archive: Path) -> dict[str, bytes]:
    """What the files in an archive hold, by their names."""
    with tarfile.open(archive) as tar:
        return {Path(member.name).name: file.read() for member in tar if (file := tar.extractfile(member))}
