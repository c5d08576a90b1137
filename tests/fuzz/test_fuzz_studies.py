"""Study files and overrides: whatever they hold, the answer is one message, or settings that keep the rules."""

import math
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from mutations import ODD, STUDY, answered, damaged, mutated, numbers, places, tries

import nas
from nas.export.bundle import load_architecture
from nas.results.references import find_architecture
from nas.search.launch import find_problem, open_study
from nas.settings import Settings, read_settings, settings_from, settings_of

pytestmark = pytest.mark.fuzz

FULL = settings_of(STUDY).table() | {"training": {"kind": "supervised", "epochs": 2, "mixup": 0.2, "operations": 1}}


def check(settings: Settings) -> None:
    """What no accepted study may break."""
    problem = find_problem(settings)
    table = problem.settings.table()
    assert all(math.isfinite(number) and abs(number) <= 1e38 for number in numbers(table))
    assert settings_from(table).table() == table
    assert 0 <= settings.seed < 2**32
    assert settings.trials >= 1
    assert all(text.isprintable() for text in (settings.name, *settings.objectives, *settings.data.options))
    for name, value in problem.settings.reference.items():
        scale = problem.objectives[name].scale
        assert -0.01 <= value <= 1.01 if scale == "fraction" else value > 0
    measured, _ = problem.probe.measure(problem.space.decode(problem.space.first))
    assert all(1 <= value <= 1e15 for value in measured.values())


@given(table=mutated(FULL))
@tries(0.25)
def test_tables_of_a_study(table: dict[str, Any]) -> None:
    with answered():
        check(settings_of(table))


@given(content=damaged(tomli_w.dumps(FULL).encode()))
@tries(0.06)
def test_bytes_of_a_study_file(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.toml"
    path.write_bytes(content)
    with answered():
        check(read_settings(path))


KEYS = [".".join(map(str, path)) for path in places(FULL) if all(isinstance(key, str) for key in path)]


@given(
    key=st.sampled_from([*KEYS, "", ".", "a..b", "x" * 5000, ".".join("x" * 3000), "\0"]),
    value=st.one_of(st.sampled_from([str(value) for value in ODD]), st.text(max_size=20), st.just("[" * 100_000)),
)
@tries(0.1)
def test_overrides(key: str, value: str) -> None:
    with answered():
        check(settings_of(STUDY, [f"{key}={value}"]))


@given(path=st.sampled_from(["", ".", "/", "\0", "\ud800", "x" * 300, "x/" * 3000, "~", "/dev/null", "/proc/self/mem"]))
@tries(0.01)
def test_names_that_are_paths(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for use in (read_settings, nas.open, nas.load, load_architecture):
        with answered():
            use(Path(path))
    for use in (nas.open, nas.load, find_architecture):
        with answered():
            use(path)
    with answered():
        open_study(settings_of(STUDY), path)[1].close()
