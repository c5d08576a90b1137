"""A study directory opened: it knows its shape, and one of another format is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.errors import WrongInputError
from nas.results.study import Study

StudyFile = Callable[..., Path]


@pytest.fixture
def study(study_file: StudyFile, tmp_path: Path) -> Study:
    return nas.search(study_file(trials=2), out=tmp_path / "run")


def test_a_study_knows_its_images_classes_and_space(study: Study) -> None:
    data = study.settings.data
    assert (data.input, data.classes) == ((1, 8, 8), list("0123456789"))
    assert study.space is study.space
    assert all(study.space.decode(record.picks).key == record.key for record in study.records)


def test_a_directory_of_another_format_is_refused_with_that_reason(study: Study) -> None:
    path = study.directory / "study.toml"
    path.write_text(path.read_text().replace("schema = 3", "schema = 7"))
    with pytest.raises(WrongInputError, match=r"study\.toml: its format is 7, this version reads 3; continue with the"):
        nas.open(study.directory)
    path.write_text(path.read_text().replace("schema = 7\n", ""))  # as before formats were written down
    with pytest.raises(WrongInputError, match=r"study\.toml: its format is 1, this version reads 3"):
        nas.open(study.directory)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is damaged: it is empty. Restore it from a copy"),
        (b"\xff", "cannot be read"),
        (b"schema = 3", "is damaged: name is missing"),
        (b"schema = 3\nname = 3\nobjectives = ['macs']", "is damaged: name must be a valid string, got 3"),
        (b"schema = 3\nname = 'a'\nobjectives = ['macs']", r"is damaged: reference\.macs is missing"),
    ],
)
def test_a_damaged_study_file_is_one_message_and_left_alone(
    study: Study, study_file: StudyFile, content: bytes, reason: str
) -> None:
    path = study.directory / "study.toml"
    path.write_bytes(content)
    for read in (nas.open, lambda directory: nas.search(study_file(), out=directory)):
        with pytest.raises(WrongInputError, match=rf"study\.toml {reason}"):
            read(study.directory)
    assert path.read_bytes() == content


def test_a_log_without_its_study_file_is_no_place_for_another_study(study: Study, study_file: StudyFile) -> None:
    (study.directory / "study.toml").unlink()
    with pytest.raises(WrongInputError, match=r"holds trials\.jsonl but no study\.toml\. Restore it from a copy"):
        nas.search(study_file(), out=study.directory)


def test_a_study_whose_log_was_deleted_is_not_started_anew(study: Study, study_file: StudyFile) -> None:
    for name in ("trials.jsonl", "events.jsonl"):
        (study.directory / name).unlink()
    with pytest.raises(WrongInputError, match=r"holds study\.toml but no log"):
        nas.search(study_file(trials=2), out=study.directory)


def test_a_study_without_its_shape_says_what_is_missing(study: Study) -> None:
    path = study.directory / "study.toml"
    lines = path.read_text().splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith("input = ["))
    end = next(i for i in range(start, len(lines)) if lines[i].startswith("]"))
    path.write_text("".join(lines[:start] + lines[end + 1 :]))
    with pytest.raises(WrongInputError, match=r"lacks data\.input or data\.classes. Restore it from a copy"):
        _ = nas.open(study.directory).space


@pytest.mark.parametrize("rule", ["kne", "knee:accuracy", "best", "trial:x"])
def test_an_unknown_rule_is_answered_with_the_known_ones(study: Study, rule: str) -> None:
    with pytest.raises(WrongInputError, match=f"unknown pick '{rule}'. Known: knee, trial:NUMBER, best:OBJECTIVE, "):
        study.pick(rule)


def test_rules_choose_among_the_members_that_keep_the_conditions(study: Study) -> None:
    lines = [json.loads(line) for line in (study.directory / "trials.jsonl").read_text().splitlines()]
    for line, accuracy in zip(sorted(lines, key=lambda line: line["measured"]["macs"]), (0.5, 0.9), strict=True):
        line["measured"]["accuracy"] = accuracy
    (study.directory / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    study = nas.open(study.directory)
    assert len(study.front) == 2
    dearest = max(study.value(record, "macs") for record in study.front)
    assert study.pick("best:accuracy", f"macs<{dearest:.0f}") in study.where(study.front, f"macs<{dearest:.0f}")
    assert study.select("front", f"macs<{dearest:.0f}") == study.where(study.front, f"macs<{dearest:.0f}")
    with pytest.raises(WrongInputError, match=r"members of the front keeps --where; of .* complete trials 0 do"):
        study.pick("knee", "macs<1")


def test_a_trial_named_by_its_number_must_keep_the_conditions(study: Study) -> None:
    assert study.pick("trial:0", "macs>1").number == 0
    with pytest.raises(WrongInputError, match="trial 0 does not keep --where"):
        study.pick("trial:0", "macs<1")


def test_conditions_may_name_choices_and_costs_that_are_no_objectives(study: Study) -> None:
    wide = study.where(study.complete, "dim == 16")
    assert [r.picks["dim"] for r in wide] == [16] * len(wide)
    assert len(wide) + len(study.where(study.complete, "not dim==16")) == len(study.complete)
    assert study.where(study.complete, "parameters >= 1 and trainable_parameters < 1e9") == study.complete


def test_a_rule_that_names_several_trials_is_none_for_one(study: Study) -> None:
    with pytest.raises(WrongInputError, match="front names several trials"):
        study.pick("front")


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the first line of a log."""
    first, *rest = path.read_text().splitlines(keepends=True)
    line = json.loads(first)
    change(line)
    path.write_text("".join([json.dumps(line) + "\n", *rest]))


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        (
            {"accuracy": 1.5, "robust_accuracy": 0.0, "macs": 5.0},
            "'accuracy' is a fraction: its value must be from",
        ),
        ({"accuracy": 0.5, "robust_accuracy": 0.0, "macs": -5.0}, "'macs' is a count: its value must be above 0"),
        ({"accuracy": 0.5, "macs": 5.0}, "it is complete without a value of robust_accuracy"),
    ],
)
def test_a_value_that_no_objective_can_have_is_damage(
    study: Study, study_file: StudyFile, measured: dict[str, float], reason: str
) -> None:
    rewrite(study.directory / "trials.jsonl", lambda record: record.update(measured=measured))
    with pytest.raises(WrongInputError, match=f"trial 0 is damaged: .*{reason}"):
        _ = nas.open(study.directory).front
    with pytest.raises(WrongInputError, match=f"trial 0 is damaged: .*{reason}"):
        nas.search(study_file(trials=3), out=study.directory)


def test_picks_that_are_not_of_the_space_are_damage(study: Study, study_file: StudyFile) -> None:
    rewrite(study.directory / "trials.jsonl", lambda record: record["picks"].update(dim=9))
    with pytest.raises(WrongInputError, match="trial 0 is damaged: choice 'dim' must be one of 8, 16, got 9"):
        nas.search(study_file(trials=3), out=study.directory)


def test_a_table_of_trials_that_lack_a_pick_says_so(study: Study) -> None:
    with pytest.raises(ValueError, match="picks lack dim"):
        study.space.effective({name: pick for name, pick in study.complete[0].picks.items() if name != "dim"})


def test_a_reference_that_no_objective_can_have_is_damage(study: Study) -> None:
    path = study.directory / "study.toml"
    path.write_text(re.sub(r"(?m)^macs = .*$", "macs = -5.0", path.read_text()))
    with pytest.raises(WrongInputError, match=r"study\.toml is damaged: reference: a count must be finite"):
        _ = nas.open(study.directory).hypervolume
