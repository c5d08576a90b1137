"""One small study for the whole tier, of networks that are built and not trained."""

from pathlib import Path

import pytest
import tomli_w
from mutations import STUDY, Untrained

import nas
from trainers import TRAINERS


@pytest.fixture(scope="session", autouse=True)
def _untrained() -> None:
    TRAINERS.setdefault("untrained", Untrained)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, _untrained: None) -> Path:
    """The directory of a finished study; not to be changed."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "fuzz.toml").write_text(tomli_w.dumps(STUDY))
    return nas.search(folder / "fuzz.toml", out=folder / "run").directory
