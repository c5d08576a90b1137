"""What tests of `nas` share: a small study that was searched."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w

import nas


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Path:
    """The directory of a study of three trials, to be read only."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "small.toml").write_text(tomli_w.dumps({**small, "trials": 3}))
    return nas.search(folder / "small.toml", out=folder / "run").directory
