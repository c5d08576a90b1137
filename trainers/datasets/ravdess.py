"""RAVDESS, speech part: 1,440 utterances of 24 actors in 8 emotions, 48 kHz, 3 to 5 s long.

``Actor_NN/03-01-EE-II-SS-RR-AA.wav``: sound, speech, emotion, intensity, statement, repetition, actor; songs
(``03-02-``) are skipped. There is no official split, and a random one lets a network recognise the speaker: actors
21 to 24 are the test split, two women and two men, unless ``ravdess:actor=5`` or ``ravdess:actor=1-4`` says otherwise.
Validation holds out whole actors too.

3.9 s are shown; the published setting of ASM-RH (2402.18007) is ``ravdess:128x512``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from trainers.audio import LogMel
from trainers.dataset import dataset
from trainers.formats.class_folders import visible
from trainers.formats.clips import Clip, Clips
from trainers.samples import Split

ACTORS = 24


@dataset("ravdess")
@dataclass(frozen=True)
class Ravdess(Clips):
    """Livingstone & Russo 2018, "The Ryerson Audio-Visual Database of Emotional Speech and Song".

    Args:
        actor: the test split, one actor (``5``) or several (``1-4``).
    """

    actor: str = "21-24"

    example = "ravdess:DIR,actor=21-24,rate=16000,64x384"
    front_end = LogMel(16_000, 64, 384)
    folders = ("ravdess", "RAVDESS", "Audio_Speech_Actors_01-24")
    layout = "Actor_01/03-01-01-01-01-01-01.wav and so on"
    origin = "Get Audio_Speech_Actors_01-24.zip from RAVDESS at Zenodo and unpack it there."

    def __post_init__(self) -> None:
        super().__post_init__()
        self._apart()

    def classes(self) -> tuple[str, ...]:
        return ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")

    def here(self, folder: Path) -> bool:
        return any(folder.glob("Actor_*"))

    def clips(self, folder: Path, split: Split) -> list[Clip]:
        apart, clips = self._apart(), []
        for path in visible(folder.glob("Actor_*/*.wav")):
            match = re.fullmatch(r"03-0([12])-0([1-8])-\d\d-\d\d-\d\d-(\d\d)", path.stem)
            if match is None or not 1 <= int(match[3]) <= ACTORS:
                raise ValueError(
                    f"{path} is not called 03-01-EE-II-SS-RR-AA.wav with emotion EE from 01 to 08 and actor AA from 01 "
                    f"to {ACTORS}. Rename or remove it."
                )
            if match[1] == "1" and (int(match[3]) in apart) == (split == "test"):
                clips.append(Clip(path, int(match[2]) - 1, int(match[3])))
        return clips

    def _apart(self) -> range:
        """Actors of the test split.

        Raises:
            ValueError: if there are no such actors.
        """
        match = re.fullmatch(r"(\d{1,2})(?:-(\d{1,2}))?", self.actor)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= ACTORS:
            raise ValueError(
                f"ravdess has actors 1 to {ACTORS}, got actor={self.actor}. Expected actor=5 or actor=1-4."
            )
        return range(first, last + 1)
