"""Where files are searched for, and what a damaged or missing one raises."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def data_root() -> Path | None:
    """Folder that the environment variable NAS_DATA names; None if it is not set."""
    root = os.environ.get("NAS_DATA")
    return Path(root) if root else None


def missing(name: str, location: str, layouts: list[str], origin: str) -> FileNotFoundError:
    """The error for a data set that is not on this machine: what was searched for, and where to get it."""
    root = data_root()
    nowhere = f"in {root} (environment variable NAS_DATA)" if root else "because NAS_DATA, the data folder, is not set"
    place = f"in {location}" if location else nowhere
    return FileNotFoundError(f"{name} was not found {place}. Expected {' or '.join(layouts)}. {origin}")


class ContentError(ValueError):
    """A file is whole, but holds something else than it should: the reason is told as it is."""


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turns whatever a damaged file raises into one ValueError that names it and says what was expected.

    A `ContentError` raised inside says itself what is wrong: such a file is not called damaged.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ValueError("it is a pipe, device or socket")  # reading it waits for ever, or never ends
        yield
    except ContentError as error:
        raise ValueError(f"{path}: {error}. Expected {expected}.") from None
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist. Expected {expected}.") from None
    except PermissionError:
        raise
    except Exception as error:  # a damaged pickle or archive raises nearly anything
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} is truncated or damaged ({reason}). Expected {expected}. Get it again.") from None
