"""``folder:DIR``: a folder of PNG or JPEG files for each class, ``DIR/train/CLASS/*.png`` and ``DIR/test/CLASS/*.png``.

``DIR/val/CLASS/*.png`` is the validation split, if it is there. Without a ``train`` folder, ``DIR/CLASS/*.png`` is the
training split (`ClassFolders` knows more layouts). Images of several sizes need one: ``folder:DIR,size=64`` resizes the
shorter side and takes the middle, so that ImageNet is ``folder:imagenet,size=160``. More images than ``memory_gb`` (2
unless given, in 10^9 bytes of pixels) stay in their files and are decoded again in every epoch; all machines of a
cluster need the folder then.

The training split decides for all: grey if every file of it is grey, else RGB; files of 16 bits go from black to white
between the least and the greatest value there, or between those of ``span=0..4095``. A search records the span, so that
what it found is measured on the same scale wherever the images come from.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from trainers.dataset import Dataset, check_range, dataset
from trainers.formats.class_folders import ClassFolders, Listing
from trainers.formats.image_files import Heads, read_heads
from trainers.formats.spans import Span
from trainers.samples import Samples, Split

LAYOUT = "DIR/CLASS/IMAGE.png, or DIR/train/CLASS/IMAGE.png and DIR/test/CLASS/IMAGE.png (PNG or JPEG)"
SIZES = 8, 1024
MEMORY_GB = 2.0


@dataset("folder")
@dataclass(frozen=True)
class Folder(Dataset):
    """The user's own images.

    Args:
        size: sides in pixels of the middle square to which images are resized; unset: they have one size already.
        memory_gb: 10^9 bytes of pixels that are held in memory; more stay in their files.
        span: values of pixels of 16 bits that are black and white, ``LOW..HIGH``; unset: the least and the greatest of
            the training split.
    """

    size: int | None = None
    memory_gb: float = MEMORY_GB
    span: str | None = None

    example = "folder:my_images,size=64"
    flip = False
    shift = 2
    takes = "DIR"
    origin = f"Put the images into {LAYOUT}."
    decided = ("span",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("size", self.size, *SIZES)
        check_range("memory_gb", self.memory_gb, 0, 1e6)
        if self.span is not None:
            Span.of(self.span)

    @property
    def own_validation(self) -> bool:
        return self._folders.has("train") and self._folders.has("validation")

    def found(self) -> str | None:
        return str(Path(self.location)) if self.location and Path(self.location).is_dir() else None

    def classes(self) -> tuple[str, ...]:
        return self._there().classes()

    def load(self, split: Split, limit: int | None = None) -> Samples:
        folders = self._there()
        decides = folders.deciding(split) == split
        listing, heads = self._training if split == "train" else self._heads(split)
        grey = bool((heads if decides else self._training[1]).grey.all())
        span = self._span(heads)
        images = heads.files(self.size, 1e9 * self.memory_gb, grey=grey, span=span)
        labels = np.repeat(np.arange(len(listing.files)), [len(files) for files in listing.files]).astype(np.int64)
        notes = listing.notes + _converted(heads, grey=grey, span=span)
        decided = {"span": str(span)} if span and decides else {}
        return Samples(images.held(), labels, images.levels, notes=notes, decided=decided)

    @cached_property
    def _training(self) -> tuple[Listing, Heads]:
        """Files of the training split and their heads, read once for all splits."""
        return self._heads("train")

    def _heads(self, split: Split) -> tuple[Listing, Heads]:
        listing = self._folders.listing(split)
        for name, files in zip(self.classes(), listing.files, strict=True):
            if not files:
                left_out = "".join(f" ({note}.)" for note in listing.notes)
                raise ValueError(
                    f"{listing.root / name} holds no PNG or JPEG file. Every class needs some; remove or fill it."
                    f"{left_out}"
                )
        return listing, read_heads(listing.root, [os.fsencode(name) for files in listing.files for name in files])

    @cached_property
    def _folders(self) -> ClassFolders:
        return ClassFolders(Path(self.location), (".png", ".jpg", ".jpeg"), "PNG or JPEG file", LAYOUT)

    def _there(self) -> ClassFolders:
        """The folders.

        Raises:
            FileNotFoundError: if they are not there.
        """
        if not self.location:
            raise FileNotFoundError("folder needs a directory, as in folder:my_images.")
        if not self._folders.folder.is_dir():
            raise FileNotFoundError(f"{self._folders.folder} is not a folder. Expected {LAYOUT}.")
        return self._folders

    def _span(self, heads: Heads) -> Span | None:
        """Black and white in files of 16 bits; None if the training split holds none.

        Raises:
            ValueError: if another split holds some, for which nothing is known then.
        """
        if self.span is not None:
            return Span.of(self.span)
        span = self._training[1].span() if self._folders.has("train") else None
        if span is None and heads.deep.any():
            first = heads.root / os.fsdecode(heads.names[heads.deep][0])
            raise ValueError(
                f"{first} has 16 bits, but no training image has, so that black and white are not known. Give them "
                "with the option span=LOW..HIGH, for example span=0..4095."
            )
        return span


def _converted(heads: Heads, *, grey: bool, span: Span | None) -> tuple[str, ...]:
    """What becomes of colours and of 16 bits."""
    where, total, lines = repr(str(heads.root)), len(heads.names), []
    colour, deep = (int(np.count_nonzero(part)) for part in (~heads.grey, heads.deep))
    if grey and colour:
        lines.append(f"{where}: made {colour} of {total} colour images grey, as those of the training split are")
    if not grey and colour < total:
        lines.append(f"{where}: {total - colour} of {total} images are grey and count as coloured")
    if span:
        low, high = str(span).split("..")
        others = f"; {total - deep} have 8 bits, from 0 to 255" if deep < total else ""
        lines.append(f"{where}: {deep} of {total} images have 16 bits; black is {low}, white {high}{others}")
    return tuple(lines)
