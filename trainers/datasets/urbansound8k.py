"""UrbanSound8K: 8,732 sounds of a city of up to 4 s, 10 classes, in ten official folds.

``metadata/UrbanSound8K.csv`` and ``audio/foldN/*.wav``. One fold is the test split, the tenth unless
``urbansound8k:fold=3`` says otherwise; results are comparable as the mean over all ten. Slices of one recording are in
one fold, and validation holds out whole folds too: other divisions let a network recognise the recording.

4 s give 398 frames, of which 384 are shown; the published setting of ASM-RH (2402.18007) is ``urbansound8k:128x512``.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from trainers.audio import LogMel
from trainers.dataset import dataset
from trainers.formats.clips import Clip, Clips
from trainers.formats.reading import reading
from trainers.samples import Split

TABLE = "metadata/UrbanSound8K.csv"
FOLDS = 10


@dataset("urbansound8k")
@dataclass(frozen=True)
class UrbanSound8K(Clips):
    """Salamon, Jacoby, Bello 2014, "A Dataset and Taxonomy for Urban Sound Research".

    Args:
        fold: the test split.
    """

    fold: int = FOLDS

    example = "urbansound8k:DIR,fold=10,rate=16000,64x384"
    front_end = LogMel(16_000, 64, 384)
    folders = ("UrbanSound8K", "urbansound8k")
    layout = f"{TABLE} and audio/fold1/*.wav to audio/fold10/*.wav"
    origin = "Get UrbanSound8K.tar.gz from the page of UrbanSound8K (New York University) and unpack it there."

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.fold <= FOLDS:
            raise ValueError(f"urbansound8k has folds 1 to {FOLDS}, got fold={self.fold}.")

    def classes(self) -> tuple[str, ...]:
        return (
            "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling",
            "engine_idling", "gun_shot", "jackhammer", "siren", "street_music",
        )  # fmt: skip

    def here(self, folder: Path) -> bool:
        return (folder / TABLE).is_file()

    def clips(self, folder: Path, split: Split) -> list[Clip]:
        return [clip for clip in self._table(folder) if (clip.group == self.fold) == (split == "test")]

    def _table(self, folder: Path) -> list[Clip]:
        columns = "slice_file_name, fold (1 to 10), classID (0 to 9) and class"
        clips, names = [], self.classes()
        table = folder / TABLE
        with reading(table, f"a table with {columns}"), open(table, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            for row in rows:
                label, fold = int(row["classID"]), int(row["fold"])
                if not 0 <= label < len(names) or names[label] != row["class"] or not 1 <= fold <= FOLDS:
                    said = f"classID {label}, class {row['class']} and fold {fold}"
                    raise ValueError(f"line {rows.line_num} has {said}")
                clips.append(Clip(folder / "audio" / f"fold{fold}" / row["slice_file_name"], label, fold))
        return clips
