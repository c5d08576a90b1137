"""Small data sets of sound, and a cache that is thrown away."""

from collections.abc import Callable
from pathlib import Path

import pytest
from writers import TREES, write_sound


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the cache, not made yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAS_CACHE", str(folder))
    return folder


@pytest.fixture
def sounds(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the small version of a data set of sound; its folder."""

    def write(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        TREES[name](folder)
        return folder

    return write


@pytest.fixture
def sound() -> Callable[..., Path]:
    """Writes one sound file (see `write_sound`)."""
    return write_sound
