"""`nas pareto` as a person and as a program reads it."""

import io
import json
import shutil
from pathlib import Path

import pytest
from terminal import run

import nas
from nas.errors import WrongInputError
from nas.results.study import Study
from nas.show.console import PlainConsole
from nas.show.front import print_front, scatter


def shown(study: Study, *, terminal: bool, everything: bool = False) -> str:
    out = io.StringIO()
    console = PlainConsole(file=out, width=80, force_terminal=terminal, no_color=True)
    print_front(study, study.records if everything else study.front, console)
    return out.getvalue()


def changed(searched: Path, place: Path, *changes: dict[str, object]) -> Study:
    """A copy of the study whose first trials are changed."""
    shutil.copytree(searched, place)
    lines = [json.loads(line) for line in (place / "trials.jsonl").read_text().splitlines()]
    for line, change in zip(lines, changes, strict=False):
        line.update(change)
    (place / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return nas.open(place)


def test_each_member_is_one_line_with_its_error_and_the_knee_marked(searched: Path) -> None:
    study = nas.open(searched)
    lines = shown(study, terminal=False).splitlines()
    rows = [line for line in lines if line.split()[-1:] and "±" in line]
    assert len(rows) == len(study.front)
    (star,) = [line for line in rows if line.startswith("*")]
    assert star.split()[1] == str(study.pick("knee").number)


def test_a_terminal_of_80_columns_is_not_exceeded_and_has_a_scatter(searched: Path) -> None:
    text = shown(nas.open(searched), terminal=True)
    assert max(map(len, text.splitlines())) <= 80
    assert "+----" in text
    assert "+----" not in shown(nas.open(searched), terminal=False)


def test_the_change_to_the_member_above_is_in_words(searched: Path, tmp_path: Path) -> None:
    values = [{"accuracy": 0.9 - n / 10, "robust_accuracy": 0.5, "macs": 9000 - 1000 * n} for n in range(3)]
    study = changed(searched, tmp_path / "run", *({"measured": value} for value in values))
    text = shown(study, terminal=False)
    first, second, _ = study.front
    changes = [f"{name} {old} -> {new}" for name, old in first.picks.items() if (new := second.picks[name]) != old]
    assert any(change in text for change in changes)  # the first of them: a line has 80 columns


def test_failures_say_why_and_stay_text(searched: Path, tmp_path: Path) -> None:
    bad = {"status": "failed", "failure": "out_of_memory", "measured": {}, "error": "[red]<script>\x1b[2J"}
    study = changed(searched, tmp_path / "run", bad)
    text = shown(study, terminal=False, everything=True)
    assert "out of memory" in text
    assert "[red]<script>\\x1b[2J" in text
    assert "\x1b[2J" not in shown(study, terminal=True, everything=True)


def test_a_study_with_only_failed_trials_and_one_without_any_can_be_looked_at(searched: Path, tmp_path: Path) -> None:
    bad = {"status": "failed", "failure": "timeout", "measured": {}, "error": "late"}
    failed = changed(searched, tmp_path / "failed", bad, bad, bad)
    empty = changed(searched, tmp_path / "empty")
    (empty.directory / "trials.jsonl").write_text("")
    for study in (failed, nas.open(empty.directory)):
        for terminal in (False, True):
            assert "0 complete trials" in shown(study, terminal=terminal, everything=True)
        assert run("status", study.directory).returncode == 0
        assert run("pareto", study.directory, "--wide").returncode == 0


def test_a_front_of_some_objectives_is_that_of_these_alone(searched: Path) -> None:
    study = nas.open(searched).with_only(["macs"])
    assert [record.number for record in study.front] == [nas.open(searched).pick("best:macs").number]
    assert "accuracy" not in shown(study, terminal=True)
    with pytest.raises(WrongInputError, match=r"unknown objective 'mac'\. Did you mean 'macs'"):
        study.with_only(["mac"])


def test_the_scatter_marks_members_and_the_knee(searched: Path) -> None:
    study = nas.open(searched)
    marks = "".join(scatter(study, study.pick("knee").number)[1:-2])
    assert marks.count("*") == 1
