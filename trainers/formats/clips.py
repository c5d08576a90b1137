"""What data sets of sound have in common: the options of the front end, and spectrograms that are made once.

Spectrograms are stored in the cache, one array for each group of clips (fold, speaker) or split, named by the front end
and by the names, sizes and times of the files: another test fold finds those of the other folds there. A split is read
as a whole whatever the limit, because the files of most sets are sorted by class.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainers.audio import FLOOR_DB, LogMel, read_wave, require_soundfile
from trainers.cache import cache_folder, read_cached, write_cached
from trainers.dataset import Dataset
from trainers.formats.reading import data_root, missing
from trainers.samples import Samples, Split

LOG = logging.getLogger(__name__)
EDITION = 1
"""Part of the names in the cache. To be raised with every change of the spectrograms that `LogMel` makes."""
BATCH = 8
"""Clips transformed at a time."""
MANY = 5_000
"""From this number on, reading takes more than a few seconds (a millisecond a file), and the user is informed."""


@dataclass(frozen=True)
class Clip:
    """A sound.

    Args:
        path: its file; inside of an archive, the path of the archive and the name there.
        label: number of its class.
        group: see `Samples`; all clips of a split have one, or none has.
    """

    path: Path
    label: int
    group: int | None = None


@dataclass(frozen=True)
class Clips(Dataset):
    """Sounds as log-mel spectrograms, (1, mel, frames) float32 in [0, 1]; subclasses list the clips of a split.

    Args:
        rate: samples a second to which sounds are resampled; unset, as the next two: what suits the data set.
        mel: mel bins.
        frames: columns, one every 10 ms.
    """

    rate: int | None = None
    mel: int | None = None
    frames: int | None = None

    shift = 1
    decibels = -FLOOR_DB
    things = "sounds"
    sized = ("mel", "frames")
    front_end: ClassVar[LogMel]
    """With the values of the options that are unset."""
    folders: ClassVar[tuple[str, ...]] = ()
    """Where it may be below NAS_DATA, or below the folder of the location."""
    layout: ClassVar[str]
    """Files that must be there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.make_front_end()

    def make_front_end(self) -> LogMel:
        """The front end that the options ask for.

        Raises:
            ValueError: if there is none.
        """
        default = self.front_end
        return LogMel(self.rate or default.rate, self.mel or default.mel, self.frames or default.frames)

    def here(self, folder: Path) -> bool:
        """Whether ``folder`` holds this data set."""
        raise NotImplementedError

    def clips(self, folder: Path, split: Split) -> list[Clip]:
        """The clips of a split; none is opened."""
        raise NotImplementedError

    def notes(self, folder: Path, split: Split) -> tuple[str, ...]:
        """What a person should know of how the clips of a split were found."""
        return ()

    def sounds(self, folder: Path, clips: Sequence[Clip]) -> Iterator[Path | bytes]:
        """The files of ``clips``, or what they hold."""
        return (clip.path for clip in clips)

    def stamped(self, folder: Path, clips: Sequence[Clip]) -> list[Path]:
        """Files by whose sizes and times a change of ``clips`` is noticed."""
        return [clip.path for clip in clips]

    def found(self) -> str | None:
        root = Path(self.location) if self.location else data_root()
        candidates = [root / name for name in self.folders] + [root] if root else []
        return next((str(folder) for folder in candidates if self.here(folder)), None)

    def folder(self) -> Path:
        """Folder of the files.

        Raises:
            FileNotFoundError: if there is none.
        """
        found = self.found()
        if found is None:
            raise missing(self.name, self.location, [self.layout], f"{self.origin} Written {self.written()}.")
        return Path(found)

    def load(self, split: Split, limit: int | None = None) -> Samples:
        folder = self.folder()
        # Groups one after the other, each in the order of its files: that of the arrays in the cache.
        clips = sorted(self.clips(folder, split), key=lambda clip: clip.group or 0)
        notes = self.notes(folder, split)
        if not clips:
            raise FileNotFoundError(f"the {split} split in {folder} holds no sound files. Expected {self.layout}.")
        there = {clip.label for clip in clips}
        if empty := [name for number, name in enumerate(self.classes()) if number not in there]:
            raise ValueError(
                f"the {split} split in {folder} holds no sound of {several(empty)}. Every class needs some; fill or "
                f"remove it.{''.join(f' ({note}.)' for note in notes)}"
            )
        labels = np.array([clip.label for clip in clips], np.int64)
        groups = None if clips[0].group is None else np.array([clip.group for clip in clips], np.int64)
        return Samples(self._spectrograms(folder, split, clips), labels, 1, groups, notes)

    def _spectrograms(self, folder: Path, split: Split, clips: list[Clip]) -> np.ndarray:
        """(N, 1, mel, frames) of sorted ``clips``, from the cache as far as they are there."""
        front_end, arrays, absent = self.make_front_end(), {}, []
        parts = {group: list(part) for group, part in groupby(clips, key=lambda clip: clip.group)}
        paths = {group: self._cached(folder, split, part) for group, part in parts.items()}
        for group, part in parts.items():
            arrays[group] = read_cached(paths[group], self._shape(part))
            absent += part if arrays[group] is None else []
        if absent:
            require_soundfile()
            if len(absent) >= MANY:
                LOG.warning("Reading %d sound files once; their spectrograms go to %s.", len(absent), cache_folder())
            bad: list[str] = []
            sounds = self.sounds(folder, absent)
            for group, part in parts.items():
                if arrays[group] is None:
                    batches = _batches(part, sounds, front_end, bad)
                    with suppress(_UnreadableError):
                        arrays[group] = write_cached(paths[group], self._shape(part), batches)
                        _remove_older(paths[group])
            if bad:
                raise ValueError(
                    f"{len(bad)} of {len(absent)} sound files cannot be read: {several(bad)}. Get them again or "
                    "remove them."
                )
        made = [array for array in arrays.values() if array is not None]
        return made[0] if len(made) == 1 else np.concatenate(made)

    def _shape(self, part: list[Clip]) -> tuple[int, ...]:
        front_end = self.make_front_end()
        return len(part), 1, front_end.mel, front_end.frames

    def _cached(self, folder: Path, split: Split, part: list[Clip]) -> Path:
        """File in the cache: what it holds, then which state of which files.

        Raises:
            FileNotFoundError: if files are missing, with the names of the first.
        """
        front_end, stamps, lost = self.make_front_end(), [], []
        for path in self.stamped(folder, part):
            try:
                status = path.stat()
            except FileNotFoundError:
                lost.append(str(path))
            else:
                stamps.append(f"{status.st_size} {status.st_mtime_ns}")
        if lost:
            raise FileNotFoundError(f"{len(lost)} sound files do not exist: {several(lost)}. Expected {self.layout}.")
        what = f"{split if part[0].group is None else f'group{part[0].group}'}-{front_end.rate}-"
        what += f"{front_end.mel}x{front_end.frames}"
        place = _digest([str(folder.resolve()), str(EDITION)])
        state = _digest([str(clip.path.relative_to(folder)) for clip in part] + stamps)
        return cache_folder() / f"{self.name}-{what}-{place}-{state}.npy"


class _UnreadableError(Exception):
    """Some sounds could not be read; which ones is noted elsewhere."""


def _batches(
    part: list[Clip], sounds: Iterator[Path | bytes], front_end: LogMel, bad: list[str]
) -> Iterator[np.ndarray]:
    """Spectrograms of ``part``, whose files are the next of ``sounds``; what cannot be read is noted in ``bad``.

    Raises:
        _UnreadableError: in the end, if something was not.
    """
    for first in range(0, len(part), BATCH):
        waves = []
        for clip in part[first : first + BATCH]:
            try:
                waves.append(read_wave(next(sounds), front_end))
            except (ValueError, OSError) as error:
                bad.append(f"{clip.path} ({getattr(error, 'strerror', None) or error})")
        if not bad:
            yield front_end(waves)
    if bad:
        raise _UnreadableError


def _remove_older(path: Path) -> None:
    """Removes what the cache holds of an earlier state of the same files."""
    for other in path.parent.glob(f"{path.stem.rpartition('-')[0]}-*.npy"):
        if other != path:
            with suppress(OSError):
                other.unlink()


def _digest(parts: Sequence[str]) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def several(names: Sequence[str]) -> str:
    """The first five names, and how many more."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
