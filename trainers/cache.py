"""Arrays that were computed once and are kept on disk, in a folder that can be deleted at any time.

float32 ``.npy`` files, mapped into memory: the processes of a machine share one copy, and it becomes a tensor in 0.45 s
a GB. float16 halves the files, takes 1.1 s a GB and a copy for each process; rejected. Written front to back, not
through a mapping, where a full disk would kill the process instead of raising an error.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np


def cache_folder() -> Path:
    """The folder that the environment variable NAS_CACHE names, else ``.cache/mixing-nas`` in the home folder."""
    named = os.environ.get("NAS_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "mixing-nas"


def read_cached(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The float32 array of ``shape`` in ``path``, read-only; None if there is no such file, or it is damaged."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):  # truncated, or not an array: to be made again
        return None
    fits = isinstance(array, np.ndarray) and array.shape == shape and array.dtype == np.float32
    return np.asarray(array) if fits else None


def write_cached(path: Path, shape: tuple[int, ...], batches: Iterable[np.ndarray]) -> np.ndarray:
    """Writes ``batches``, together of ``shape``, to ``path``, the whole file or none; the array, as `read_cached`.

    Raises:
        OSError: if the folder cannot be written or the disk is full, with what to do.
        Exception: what else ``batches`` raises is passed on. Nothing is left of the file then.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not by tempfile, whose files no other user can read: a team may share the folder.
        name = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
        try:
            with open(name, "xb") as file:
                dtype = np.lib.format.dtype_to_descr(np.dtype(np.float32))
                np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
                for batch in batches:
                    file.write(np.ascontiguousarray(batch, np.float32).data)
                file.flush()
                os.fsync(file.fileno())
            name.replace(path)
        except BaseException:
            with suppress(OSError):
                name.unlink()
            raise
    except OSError as error:
        raise OSError(
            f"{path.parent} cannot take {path.name} ({error.strerror or error}). Make room there, or let the "
            "environment variable NAS_CACHE name another folder."
        ) from None
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
