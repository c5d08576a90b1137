"""Every study that ships can be started, and every search space can be searched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.problem import Problem
from nas.settings import read_settings
from searchspaces import SEARCH_SPACES

ROOT = Path(__file__).parent.parent / "studies"
DATA = {"asm_rh": "spectrograms"}
"""Data sets of the spaces that are not for images."""


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.toml")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_shipped_study_resolves_and_is_described(path: Path) -> None:
    settings = read_settings(path)
    assert Problem.of(settings).settings.name == settings.name == path.stem
    assert f"`{path.relative_to(ROOT)}`" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("kind", sorted(SEARCH_SPACES))
def test_a_study_over_every_space_runs(study_file: Callable[..., Path], tmp_path: Path, kind: str) -> None:
    data: dict[str, Any] = {"name": DATA.get(kind, "digits"), "limit": 120}
    path = study_file(
        trials=3, space={"kind": kind}, data=data, bounds={"macs": 3e6}, search={"sampler": "random"}, reference=None
    )
    study = nas.search(path, out=tmp_path / "run")
    errors = [record.error for record in study.records if record.error]
    assert not errors, errors
    assert len(study.complete) == 3
    assert study.export("knee", tmp_path / "out").is_dir()
