"""`nas status`: the same figures from the log alone as from the whole study, and without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nas
from nas.results.status import _check, _costs, read_overview
from nas.show.console import PlainConsole
from nas.show.status import status_table
from objectives import Goal, to_minimise


def test_the_log_alone_has_the_figures_of_the_study(searched: Path) -> None:
    overview = read_overview(searched)
    assert overview is not None
    assert overview.figures(searched) == nas.open(searched).status()
    assert overview.figures(searched)["state"] == "finished"


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize(("scale", "value"), [("fraction", 0.3), ("fraction", 0.0), ("count", 5e6), ("count", 0.2)])
def test_costs_are_those_of_the_objectives(direction: str, scale: str, value: float) -> None:
    goal = Goal(direction, scale)  # type: ignore[arg-type]
    found = _costs({"it": {"direction": direction, "scale": scale}}, [{"it": value}, {"it": 0.5}])
    assert found.tolist() == [[to_minimise(goal, value)], [to_minimise(goal, 0.5)]]


@pytest.mark.parametrize(("scale", "value"), [("fraction", 1.5), ("fraction", -0.1), ("count", 0), ("count", "1")])
def test_values_out_of_range_are_left_to_the_whole_study(scale: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"out of range|numbers"):
        _check({"direction": "minimize", "scale": scale}, [0.5, value])  # type: ignore[list-item]


def test_status_imports_no_torch(searched: Path) -> None:
    code = "import sys; sys.argv = ['nas', 'status', sys.argv[1]]\nfrom nas.cli import main\n"
    report = f"{code}try: main()\nexcept SystemExit: print('torch' in sys.modules, 'objectives' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", report, str(searched)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"


@pytest.mark.parametrize(
    ("name", "content"),
    [("study.toml", "name = 3"), ("trials.jsonl", '{"schema": 3}\n'), ("confirmations.jsonl", "")],
)
def test_what_is_damaged_or_confirmed_is_left_to_the_study(
    searched: Path, tmp_path: Path, name: str, content: str
) -> None:
    shutil.copytree(searched, tmp_path / "run")
    (tmp_path / "run" / name).write_text(content)
    assert read_overview(tmp_path / "run") is None


def test_kinds_of_failures_and_a_stopped_study_are_said(searched: Path, tmp_path: Path) -> None:
    shutil.copytree(searched, tmp_path / "run")
    log = tmp_path / "run" / "trials.jsonl"
    first, *others = (json.loads(line) for line in log.read_text().splitlines())
    bad = {**first, "status": "failed", "failure": "out_of_memory", "measured": {}, "error": "[red]\x1b[2J"}
    log.write_text("".join(json.dumps(line) + "\n" for line in (bad, *others[1:])))
    overview = read_overview(tmp_path / "run")
    assert overview is not None
    figures = overview.figures(tmp_path / "run")
    assert (figures["state"], figures["failures"]) == ("stopped", {"out_of_memory": 1})
    console = PlainConsole(width=80, record=True)
    console.print(status_table({**figures, "name": "[red]\x1b[2J"}))
    shown = console.export_text()
    assert "1 failed (1 out of memory)" in shown
    assert "\x1b" not in shown
    assert "[red]" in shown
