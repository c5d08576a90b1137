"""Downloads of public data sets: a file gets its name only after its checksum has been compared."""

import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from trainers.dataset import Dataset

ARCHIVE = ".tar.gz"
TIMEOUT = 30
"""Seconds that a server may be silent."""


class DownloadError(RuntimeError):
    """A data set could not be downloaded; only complete files of it were kept."""


def download(dataset: Dataset, root: Path, report: Callable[[str], None]) -> None:
    """Stores the files of ``dataset`` below ``root`` unless they are there already.

    Args:
        report: called with a line for each file.
        dataset: searches for its files in ``root``.

    Raises:
        ValueError: if it is not known where the files come from, or the optional dependency pooch is not installed.
        DownloadError: if a file cannot be downloaded, differs from the published one, or cannot be stored.
    """
    if not dataset.files:
        raise ValueError(f"it is not known where to download this data set. {dataset.origin}")
    try:
        import pooch
    except ImportError:
        raise ValueError("downloads need pooch. Install it: pip install 'mixing-nas[download]'.") from None
    here = dataset.found()
    if here is not None and Path(here) not in {(root / name).parent for name in dataset.files if not _packed(name)}:
        report(f"already there: {here}")
        return
    for name, (address, checksum) in dataset.files.items():
        algorithm, _, digest = checksum.partition(":")
        place = root / name
        if place.is_file() and pooch.file_hash(place, algorithm) == digest:
            report(f"already there: {place}")
            continue
        report(f"downloading {address}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".download-", dir=place.parent) as folder:
                part = Path(folder) / place.name
                pooch.HTTPDownloader(timeout=TIMEOUT)(address, str(part), None)
                if (found := pooch.file_hash(part, algorithm)) != digest:
                    raise DownloadError(
                        f"{address} has the checksum {algorithm}:{found}, but {checksum} was published, so it was not "
                        f"kept. Try again later. {dataset.origin}"
                    )
                if _packed(name):
                    _unpack(part, place.parent)
                else:
                    part.replace(place)
        except (OSError, tarfile.TarError) as error:  # those of requests are OSErrors too
            raise DownloadError(f"{address} could not be downloaded: {error}. Try again. {dataset.origin}") from None


def _packed(name: str) -> bool:
    return name.endswith(ARCHIVE)


def _unpack(archive: Path, root: Path) -> None:
    """Moves what an archive holds into ``root``, each folder in one step."""
    unpacked = archive.parent / "unpacked"
    with tarfile.open(archive) as file:
        file.extractall(unpacked, filter="data")
    for entry in os.scandir(unpacked):
        if (root / entry.name).exists():
            raise DownloadError(f"{root / entry.name} exists, but is not complete. Remove it, and download again.")
        Path(entry.path).replace(root / entry.name)
