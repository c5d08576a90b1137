"""Folders of files by class: which splits there are, which files belong to a class, and which are left out.

``DIR/train/CLASS/FILE`` with ``val`` and ``test`` beside it, also called ``Training``, ``validation``, ``valid``,
``Testing``, in any case; or ``DIR/CLASS/FILE``, which is the training split. Subfolders of a class are searched. Hidden
files, and those that systems leave, are passed over without a word; what else is left out is said. Names of classes are
compared in NFC: macOS writes an accent as a letter of its own.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from trainers.samples import Split

SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "valid"),
    "test": ("test", "testing"),
}
"""Names of the folder of a split in lower case; the first that is there counts."""
LITTER = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")
"""What systems leave in folders, in lower case, besides what is hidden by a dot."""


def hidden(name: str) -> bool:
    """Whether a file or folder of this name is no data: ``.DS_Store``, ``._0.png``, ``Thumbs.db``."""
    return name.startswith(".") or name.lower() in LITTER


def visible(paths: Iterable[Path]) -> list[Path]:
    """The paths that are not `hidden`, by name."""
    return sorted(path for path in paths if not hidden(path.name))


@dataclass(frozen=True)
class Listing:
    """The files of one split.

    Args:
        root: folder of the split.
        files: names relative to it, by class, sorted.
        notes: what was left out, a line each.
    """

    root: Path
    files: list[list[str]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ClassFolders:
    """A folder of files by class.

    Args:
        folder: that the user named.
        suffixes: of the files that count, in lower case.
        kind: what these are, for messages: ``PNG or JPEG file``.
        layout: what is expected, for messages.
    """

    folder: Path
    suffixes: tuple[str, ...]
    kind: str
    layout: str

    def has(self, split: Split) -> bool:
        """Whether there is a folder for this split, or, for training, folders of classes."""
        return split in self._splits() or (split == "train" and bool(self._loose_classes()))

    def root(self, split: Split) -> Path:
        """Folder that holds the classes of a split.

        Raises:
            FileNotFoundError: if the splits have folders, but this one has none.
            ValueError: if there is a training split alone.
        """
        splits = self._splits()
        if split in splits:
            return splits[split]
        if split == "train" and not (splits and not self._loose_classes()):
            return self.folder
        if splits:
            absent = self.folder / SPLITS[split][0]
            raise FileNotFoundError(f"{absent} does not exist, so there is no {split} split. Expected {self.layout}.")
        raise ValueError(f"{self.folder} has no {split} split. Expected {self.layout}.")

    def deciding(self, split: Split) -> Split:
        """The split that decides for all, which classes there are for example: training, or ``split`` without it."""
        return "train" if self.has("train") else split

    def classes(self) -> tuple[str, ...]:
        """Names of the classes, as their folders are called, in alphabetical order.

        Raises:
            ValueError: if there are less than two.
        """
        splits: list[Split] = [split for split in SPLITS if self.has(split)]
        root = self.root(splits[0] if splits else "train")
        names = tuple(sorted(self._class_folders(root)))
        if len(names) < 2:
            raise ValueError(f"{root} holds {len(names)} class folders, at least 2 are needed. Expected {self.layout}.")
        same = Counter(normalize("NFC", name) for name in names)
        if twice := [name for name, count in same.items() if count > 1]:
            raise ValueError(f"{root} holds two folders called {twice[0]!r} (in NFC and NFD). Put them into one.")
        return names

    def listing(self, split: Split) -> Listing:
        """The files of a split by class, which may be none.

        Raises:
            ValueError: if there is a class that the training split does not know.
        """
        root, classes = self.root(split), self.classes()
        known = {normalize("NFC", name) for name in classes}
        folders = {normalize("NFC", name): name for name in sorted(self._class_folders(root))}
        if others := [name for name in folders if name not in known]:
            raise ValueError(
                f"{root / folders[others[0]]} is no class of the training split: {', '.join(classes[:10])}."
            )
        walk, files = _Walk(root, self.suffixes), []
        for name in classes:
            folder = folders.get(normalize("NFC", name))
            files.append(sorted(walk.files(folder)) if folder else [])
        walk.look_beside(set(folders.values()))
        return Listing(root, files, (*walk.notes(self.kind), *self._beside()))

    def _splits(self) -> dict[Split, Path]:
        """The folders of splits: those that are called so and hold no files, as a class of that name would."""
        found: dict[Split, Path] = {}
        if not self.folder.is_dir():
            return found
        names = {name.lower(): name for name in sorted(_folders(self.folder))}
        for split, known in SPLITS.items():
            there = [self.folder / names[name] for name in known if name in names]
            if there and (_folders(there[0]) or not self._files_in(there[0])):
                found[split] = there[0]
        return found

    def _files_in(self, folder: Path) -> bool:
        return any(e.name.lower().endswith(self.suffixes) for e in os.scandir(folder) if not hidden(e.name))

    def _loose_classes(self) -> list[str]:
        """Folders beside those of the splits."""
        if not self.folder.is_dir():
            return []
        splits = {path.name for path in self._splits().values()}
        return sorted(name for name in _folders(self.folder) if name not in splits)

    def _class_folders(self, root: Path) -> list[str]:
        return self._loose_classes() if root == self.folder else _folders(root)

    def _beside(self) -> tuple[str, ...]:
        """What is said of folders beside those of the splits, if these hold everything that counts."""
        loose = self._loose_classes() if "train" in self._splits() else []
        return (f"{str(self.folder)!r}: left out folders beside the splits: {named(loose)}",) if loose else ()


@dataclass
class _Walk:
    """Finds files below a folder, and remembers what it passes by; names are relative to the folder."""

    root: Path
    suffixes: tuple[str, ...]
    other: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)

    def files(self, folder: str) -> list[str]:
        """The files of a class."""
        found: list[str] = []
        seen: set[tuple[int, int]] = set()

        def visit(inner: str) -> None:
            status = os.stat(self.root / inner)
            if (place := (status.st_dev, status.st_ino)) in seen:  # a link back to a folder above
                return
            seen.add(place)
            for entry in os.scandir(self.root / inner):
                name = os.path.join(inner, entry.name)
                if hidden(entry.name):
                    continue
                if _is_folder(entry):
                    visit(name)
                elif _is_dangling(entry):
                    self.dangling.append(name)
                elif name.lower().endswith(self.suffixes) and _is_file(entry):
                    found.append(name)
                    if inner != folder:
                        self.nested.append(name)
                else:
                    self.other.append(name)

        visit(folder)
        return found

    def look_beside(self, classes: set[str]) -> None:
        """Remembers files that would count but lie in no class, and classes that are links to nowhere."""
        for entry in os.scandir(self.root):
            if hidden(entry.name) or entry.name in classes:
                continue
            if _is_dangling(entry):
                self.dangling.append(entry.name)
            elif entry.name.lower().endswith(self.suffixes) and not _is_folder(entry):
                self.other.append(entry.name)

    def notes(self, kind: str) -> tuple[str, ...]:
        """What was passed by, a line each."""
        where, lines = repr(str(self.root)), []
        if self.other:
            counts = Counter(os.path.splitext(name)[1].lower() if "/" in name else "in no class" for name in self.other)
            kinds = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in sorted(counts.items()))
            what = f"{len(self.other)} that {'is' if len(self.other) == 1 else 'are'} no {kind} of a class"
            lines.append(f"{where}: left out {what} ({kinds}): {named(self.other)}")
        if self.dangling:
            lines.append(f"{where}: left out {len(self.dangling)} links that lead nowhere: {named(self.dangling)}")
        if self.nested:
            lines.append(f"{where}: took {len(self.nested)} files in subfolders of a class too: {named(self.nested)}")
        return tuple(lines)


def named(names: Sequence[str], count: int = 3) -> str:
    """The first names, quoted and in order, and how many more."""
    first = ", ".join(repr(name) for name in sorted(names)[:count])
    return first + (f" and {len(names) - count} more" if len(names) > count else "")


def _folders(root: Path) -> list[str]:
    return [entry.name for entry in os.scandir(root) if not hidden(entry.name) and _is_folder(entry)]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()  # a link may lead in a circle


def _is_file(entry: "os.DirEntry[str]") -> bool:
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def _is_dangling(entry: "os.DirEntry[str]") -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)
