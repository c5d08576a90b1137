"""Image files whose heads are read together, and which are decoded on demand by a few threads.

Where a size is given, the middle square of each file is resized to it with antialiasing. Names are held in one array of
bytes, so that a million of them go to the workers of a study in shared memory. Where files have 16 bits, all become
float32, because 12 bits of them may be in use, or fewer: 8 bits of that would be few levels.
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

from trainers.formats.spans import Span
from trainers.samples import Images

if TYPE_CHECKING:
    from PIL import Image

NAMED = 5
"""Damaged files that one message names."""
GREY = ("1", "L", "LA")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's names for pixels of up to 8 bits; transparency is dropped."""
ORIENTATION, TURNED, SIDEWAYS = 0x0112, range(2, 9), range(5, 9)
"""Number of the EXIF entry, its values for pictures that are to be turned or mirrored, and on their side."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in grey, as Pillow has them."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """`trainers.samples.Images` in files, (N, C, H, W) uint8, or float32 from 0 to 1 where there is a span.

    Args:
        root: folder that the names are relative to, absolute because workers start elsewhere.
        names: (N,) file names as bytes.
        lengths: (N,) bytes in each file.
        image: (C, H, W) of a decoded image.
        cropped: whether files are cropped and resized to that; else they have that size.
        room: bytes that decoded images may take to be held in memory.
        span: values of 16 bits that are black and white; None if no file has so many.
    """

    root: Path
    names: np.ndarray
    lengths: np.ndarray
    image: tuple[int, int, int]
    cropped: bool
    room: float
    span: Span | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.names), *self.image

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8 if self.span is None else np.float32)

    @property
    def levels(self) -> int:
        """The pixel value that is white."""
        return 255 if self.span is None else 1

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        names = self.names[index]
        images = np.empty((len(names), *self.image), self.dtype)

        def read(number: int, file: Path) -> None:
            images[number] = _decode(file, self.image, self.span, cropped=self.cropped)

        _each(self.root, names, read)
        return images

    def subset(self, index: np.ndarray) -> np.ndarray | Images:
        return replace(self, names=self.names[index], lengths=self.lengths[index]).held()

    def held(self) -> np.ndarray | Images:
        """The decoded images if there is room for them, else these files."""
        return self[:] if math.prod(self.shape) * self.dtype.itemsize <= self.room else self

    def fingerprint(self) -> bytes:
        """Digest of the names and lengths of the files and of what they become, not of their folder."""
        become = (self.image, self.cropped) if self.span is None else (self.image, self.cropped, str(self.span))
        digest = hashlib.blake2b(repr(become).encode())
        digest.update(b"\0".join(self.names.tolist()))
        digest.update(self.lengths.astype("<i8").tobytes())
        return digest.digest()


@dataclass(frozen=True)
class Heads:
    """What the heads of image files say.

    Args:
        root: folder that the names are relative to.
        names: (N,) file names as bytes.
        grey, deep: (N,) whether a file is grey, and whether it has 16 bits.
        sides: (N, 2) heights and widths.
        lengths: (N,) bytes in each file.
    """

    root: Path
    names: np.ndarray
    grey: np.ndarray
    deep: np.ndarray
    sides: np.ndarray
    lengths: np.ndarray

    def files(self, size: int | None, room: float, *, grey: bool, span: Span | None) -> ImageFiles:
        """The images.

        Args:
            size: sides of the images; None if the files are of one size.
            room, span: see `ImageFiles`.
            grey: whether images become grey, else RGB.

        Raises:
            ValueError: naming two files that differ in size without ``size``.
        """
        sides = self.sides
        if size is None and len(others := np.flatnonzero((sides != sides[0]).any(1))):
            other = int(others[0])
            raise ValueError(
                f"all images must be of one size, but {self._file(0)} is {tuple(sides[0].tolist())} "
                f"(height, width) and {self._file(other)} is {tuple(sides[other].tolist())}. "
                "Give a size to which the middle square of each is resized, as in folder:my_images,size=64."
            )
        image = (1 if grey else 3, *((size, size) if size else sides[0].tolist()))
        return ImageFiles(self.root.absolute(), self.names, self.lengths, image, size is not None, room, span)

    def span(self) -> Span | None:
        """The least and the greatest value of the files of 16 bits, which are all read; None if there are none."""
        import PIL.Image

        names = self.names[self.deep]
        if not len(names):
            return None
        ends = np.empty((len(names), 2), np.int64)

        def read(number: int, file: Path) -> None:
            with PIL.Image.open(file) as image:
                values = _deep_planes(image)
            ends[number] = values.min(), values.max()

        _each(self.root, names, read)
        low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
        return Span(low, max(high, low + 1))

    def _file(self, number: int) -> Path:
        return self.root / os.fsdecode(self.names[number])


def read_heads(root: Path, names: list[bytes]) -> Heads:
    """The heads of the files ``names`` below ``root``.

    Raises:
        ValueError: naming the files that are no images.
    """
    try:
        import PIL.Image
    except ImportError:
        raise ValueError("folder: reads images with Pillow. Install it: pip install 'mixing-nas[images]'.") from None
    heads = np.empty((len(names), 5), np.int64)

    def read(number: int, file: Path) -> None:
        with PIL.Image.open(file) as image:
            deep, grey = _is_deep(image), _is_grey(image)
            if not deep and image.mode not in (*GREY, *COLOUR):
                raise ValueError(f"pixels of mode {image.mode}, not grey or colour of 8 or 16 bits")
            width, height = image.size[::-1] if _orientation(image) in SIDEWAYS else image.size
        heads[number] = grey, deep, height, width, file.stat().st_size

    array = np.array(names)
    _each(root, array, read)
    return Heads(root, array, heads[:, 0] == 1, heads[:, 1] == 1, heads[:, 2:4], heads[:, 4].copy())


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


def picture(file: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """(C, H, W) float32 in [0, 1]: the middle square of an image file, upright, at the size of ``shape``.

    Raises:
        ValueError: if it is no readable image.
    """
    found = np.zeros(shape, np.float32)

    def read(_: int, path: Path) -> None:
        found[:] = _decode(path, shape, None, cropped=True) / np.float32(255)

    _each(file.parent, np.array([os.fsencode(file.name)]), read)
    return found


def _decode(file: Path, shape: tuple[int, int, int], span: Span | None, *, cropped: bool) -> np.ndarray:
    """(C, H, W) uint8 of one file, or float32 if there is a span."""
    import PIL.Image
    import PIL.ImageOps

    channels, height, width = shape
    with PIL.Image.open(file) as image:
        if _is_deep(image):
            planes = [PIL.Image.fromarray(plane) for plane in _in_channels(_deep_pixels(image, span), channels)]
        else:
            if cropped:
                # JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that leaves twice the pixels that are needed.
                image.draft(None, (2 * width, 2 * height))
            if _orientation(image) != 1:
                PIL.ImageOps.exif_transpose(image, in_place=True)
            planes = [image.convert("L" if channels == 1 else "RGB")]
    if cropped:
        planes = [_middle(plane, (width, height)) for plane in planes]
    pixels = np.stack([np.asarray(plane) for plane in planes])
    if pixels.ndim == 4:  # one plane of colours
        pixels = pixels[0].transpose(2, 0, 1)
    if pixels.shape != shape:
        raise ValueError(f"it is {pixels.shape[1:]} (height, width) now, but was {shape[1:]}")
    return pixels if span is None or pixels.dtype == np.float32 else pixels / np.float32(255)


def _middle(image: "Image.Image", size: tuple[int, int]) -> "Image.Image":
    """The middle square, resized."""
    import PIL.Image

    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize(size, PIL.Image.Resampling.BILINEAR, (left, top, left + side, top + side))


def _orientation(image: "Image.Image") -> int:
    """How the camera was held, as EXIF numbers it; 1, upright, for everything but JPEG, and for what is no number."""
    if image.format not in ("JPEG", "MPO"):
        return 1
    try:
        turned = image.getexif().get(ORIENTATION)
    except Exception:  # damaged EXIF raises nearly anything, and says nothing of the pixels
        return 1
    return turned if isinstance(turned, int) and turned in TURNED else 1


def _is_grey(image: "Image.Image") -> bool:
    return image.mode in GREY or image.mode[:1] == "I" or _raw_mode(image) == "LA;16B"


def _is_deep(image: "Image.Image") -> bool:
    """Whether an image has 16 bits; Pillow would read the upper eight of colours, and has two names for grey."""
    grey = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    return grey or _raw_mode(image) in ("RGB;16B", "RGBA;16B", "LA;16B")


def _raw_mode(image: "Image.Image") -> str:
    """How the pixels of a PNG file are stored, in Pillow's words; empty for other files."""
    tile = getattr(image, "tile", None)
    return str(tile[0].args) if image.format == "PNG" and tile else ""


def _deep_planes(image: "Image.Image") -> np.ndarray:
    """(1 or 3, H, W) values of 16 bits; transparency is dropped."""
    import PIL.Image

    raw = _raw_mode(image)
    if not raw.endswith("A;16B") and raw != "RGB;16B":
        return np.asarray(image)[None]

    def read(how: str) -> np.ndarray:
        with PIL.Image.open(str(image.filename)) as again:  # type: ignore[attr-defined]
            again.tile = [again.tile[0]._replace(args=how)]
            return np.asarray(again).astype(np.uint16).transpose(2, 0, 1)

    if raw == "LA;16B":  # four bytes a pixel, of which two are grey
        upper, lower = read("RGBA")[:2, None]
    else:
        upper, lower = read(raw)[:3], read(raw.replace("16B", "16L"))[:3]  # from the other end: the lower bytes
    planes: np.ndarray = upper << 8 | lower
    return planes


def _deep_pixels(image: "Image.Image", span: Span | None) -> np.ndarray:
    """(1 or 3, H, W) float32 from 0 to 1."""
    if span is None:
        raise ValueError("it has 16 bits now, but had 8")
    return np.stack([span.scaled(plane) for plane in _deep_planes(image)])


def _in_channels(planes: np.ndarray, channels: int) -> np.ndarray:
    """``planes`` in grey or in three colours."""
    if channels == 1 and len(planes) == 3:
        return np.tensordot(LUMA, planes, 1)[None].astype(np.float32)
    return np.broadcast_to(planes, (channels, *planes.shape[1:]))
