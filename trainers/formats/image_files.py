"""Image files whose heads are read together, and which are decoded on demand by a few threads.

Where a size is given, the middle square of each file is resized to it with antialiasing. Names are held in one array of
bytes, so that a million of them go to the workers of a study in shared memory.
"""

import hashlib
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from trainers.samples import Images

if TYPE_CHECKING:
    from PIL import Image

NAMED = 5
"""Damaged files that one message names."""
GREY = ("1", "L", "LA")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's names for pixels of up to 8 bits; transparency is dropped."""
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)
"""Number of the EXIF entry, and its values for pictures turned on their side."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """`trainers.data.Images` in files, (N, C, H, W) uint8.

    Args:
        root: folder that the names are relative to, absolute because workers start elsewhere.
        names: (N,) file names as bytes.
        lengths: (N,) bytes in each file.
        image: (C, H, W) of a decoded image.
        cropped: whether files are cropped and resized to that; else they have that size.
        room: bytes that decoded images may take to be held in memory.
    """

    root: Path
    names: np.ndarray
    lengths: np.ndarray
    image: tuple[int, int, int]
    cropped: bool
    room: float

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.names), *self.image

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        names = self.names[index]
        images = np.empty((len(names), *self.image), np.uint8)

        def read(number: int, file: Path) -> None:
            images[number] = _decode(file, self.image, self.cropped)

        _each(self.root, names, read)
        return images

    def subset(self, index: np.ndarray) -> np.ndarray | Images:
        return replace(self, names=self.names[index], lengths=self.lengths[index]).held()

    def held(self) -> np.ndarray | Images:
        """The decoded images if there is room for them, else these files."""
        return self[:] if math.prod(self.shape) <= self.room else self

    def fingerprint(self) -> bytes:
        """Digest of the names and lengths of the files and of what they become, not of their folder."""
        digest = hashlib.blake2b(repr((self.image, self.cropped)).encode())
        digest.update(b"\0".join(self.names.tolist()))
        digest.update(self.lengths.astype("<i8").tobytes())
        return digest.digest()


def open_files(root: Path, names: list[bytes], size: int | None, room: float) -> ImageFiles:
    """The files ``names`` below ``root`` whose heads are read; grey if every file is grey, else RGB.

    Args:
        size: sides of the images; None if the files are of one size.
        room: see `ImageFiles`.

    Raises:
        ValueError: naming the files that are no images, or two that differ in size without ``size``.
    """
    try:
        import PIL.Image
    except ImportError:
        raise ValueError("folder: reads images with Pillow. Install it: pip install 'mixing-nas[images]'.") from None
    heads = np.empty((len(names), 4), np.int64)

    def read(number: int, file: Path) -> None:
        with PIL.Image.open(file) as image:
            if not (grey := image.mode in GREY or _sixteen_bits(image)) and image.mode not in COLOUR:
                raise ValueError(f"pixels of mode {image.mode}, not grey or colour of 8 or 16 bits")
            width, height = image.size[::-1] if _orientation(image) in SIDEWAYS else image.size
        heads[number] = grey, height, width, file.stat().st_size

    array = np.array(names)
    _each(root, array, read)
    grey, sides = bool(heads[:, 0].all()), heads[:, 1:3]
    if size is None and len(others := np.flatnonzero((sides != sides[0]).any(1))):
        other = int(others[0])
        raise ValueError(
            f"all images must be of one size, but {root / os.fsdecode(names[0])} is {tuple(sides[0].tolist())} "
            f"(height, width) and {root / os.fsdecode(names[other])} is {tuple(sides[other].tolist())}. "
            "Give a size to which the middle square of each is resized, as in folder:my_images,size=64."
        )
    image = (1 if grey else 3, *((size, size) if size else sides[0].tolist()))
    return ImageFiles(root.absolute(), array, heads[:, 3].copy(), image, size is not None, room)


def _each(root: Path, names: np.ndarray, work: Callable[[int, Path], None]) -> None:
    """Does ``work(number, file)`` for every file, by as many threads as torch has, at least two.

    Raises:
        ValueError: naming the files at which it failed, and why.
    """
    threads = min(16, max(2, torch.get_num_threads()))
    share = max(1, min(64, len(names) // (4 * threads)))

    def some(start: int) -> list[tuple[Path, str]]:
        failed = []
        for number in range(start, min(start + share, len(names))):
            file = root / os.fsdecode(names[number])
            try:
                work(number, file)
            except MemoryError:
                raise
            except Exception as error:  # a damaged image raises nearly anything
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                failed.append((file, reason or type(error).__name__))
        return failed

    pool = ThreadPoolExecutor(threads)
    try:
        failed = [failure for failures in pool.map(some, range(0, len(names), share)) for failure in failures]
    finally:
        pool.shutdown(cancel_futures=True)
    if len(failed) == 1:
        raise ValueError(f"{failed[0][0]} is not a readable image ({failed[0][1]}). Replace or remove it.")
    if failed:
        named = ", ".join(f"{file} ({reason})" for file, reason in failed[:NAMED])
        more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
        raise ValueError(f"{len(failed)} files are not readable images: {named}{more}. Replace or remove them.")


def _decode(file: Path, shape: tuple[int, int, int], cropped: bool) -> np.ndarray:
    """(C, H, W) uint8 of one file."""
    import PIL.Image
    import PIL.ImageOps

    channels, height, width = shape
    with PIL.Image.open(file) as image:
        if cropped:
            # JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that leaves twice the pixels that are needed.
            image.draft(None, (2 * width, 2 * height))
        if _orientation(image) != 1:
            PIL.ImageOps.exif_transpose(image, in_place=True)
        decoded = _in_eight_bits(image, "L" if channels == 1 else "RGB")
    if cropped:
        side = min(decoded.size)
        left, top = (decoded.width - side) / 2, (decoded.height - side) / 2
        box = (left, top, left + side, top + side)
        decoded = decoded.resize((width, height), PIL.Image.Resampling.BILINEAR, box)
    pixels = np.asarray(decoded)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if pixels.shape != shape:
        raise ValueError(f"it is {pixels.shape[1:]} (height, width) now, but was {shape[1:]}")
    return pixels


def _orientation(image: "Image.Image") -> int:
    """How the camera was held, as EXIF numbers it; 1, upright, for everything but JPEG."""
    return int(image.getexif().get(ORIENTATION, 1)) if image.format in ("JPEG", "MPO") else 1


def _sixteen_bits(image: "Image.Image") -> bool:
    """Whether it is grey of 16 bits, for which older versions of Pillow have another name."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")


def _in_eight_bits(image: "Image.Image", mode: str) -> "Image.Image":
    """The image as ``mode``; of 16 bits the upper eight, because Pillow's own conversion clips them to white."""
    import PIL.Image

    if _sixteen_bits(image):
        image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert(mode)
