"""What a search knows before its first trial: earlier studies, networks to see first, and what is preferred."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.errors import WrongInputError
from nas.results.study import Study
from nas.search.knowledge import EARLIER, read_earlier

StudyFile = Callable[..., Path]


@pytest.fixture
def earlier(study_file: StudyFile, tmp_path: Path) -> Study:
    return nas.search(study_file(name="earlier", trials=6, search={"sampler": "random"}), out=tmp_path / "earlier")


def test_trials_of_an_earlier_study_are_known_and_no_trials(
    study_file: StudyFile, earlier: Study, tmp_path: Path
) -> None:
    path = study_file(trials=3, seed=1, search={"earlier": [str(earlier.directory)]})
    study = nas.search(path, out=tmp_path / "run")
    assert {(r.key, r.picks["depth"]) for r in read_earlier(study.directory)} == {
        (r.key, r.picks["depth"]) for r in earlier.records
    }
    assert [record.number for record in study.records] == [0, 1, 2]
    # What is known is believed at once: nothing has to be spread over the costs first.
    alone = nas.search(study_file(trials=3, seed=1), out=tmp_path / "alone")
    assert [r.key for r in study.records] != [r.key for r in alone.records]


def test_a_study_goes_on_without_the_study_that_it_knows(study_file: StudyFile, earlier: Study, tmp_path: Path) -> None:
    path = study_file(trials=4, search={"earlier": [str(earlier.directory)]})
    whole = nas.search(path, out=tmp_path / "whole")
    nas.search(path, trials=2, out=tmp_path / "parts")
    earlier.directory.rename(tmp_path / "elsewhere")
    parts = nas.search(path, trials=4, out=tmp_path / "parts")
    assert [r.key for r in parts.records] == [r.key for r in whole.records]


def test_networks_outside_the_space_are_left_out(study_file: StudyFile, earlier: Study, tmp_path: Path) -> None:
    depths = {record.picks["depth"] for record in earlier.records}
    space = {**earlier.settings.space, "choices": {"depth": [min(depths, key=str)]}}
    study = nas.search(
        study_file(trials=1, space=space, search={"earlier": [str(earlier.directory)]}), out=tmp_path / "run"
    )
    assert 0 < len(read_earlier(study.directory)) < 6


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": {"name": "unshuffle:digits"}, "objectives": ["mse", "macs"], "objective": {}}, "other data"),
        ({"objectives": ["accuracy", "parameters"]}, "measures parameters otherwise or not at all"),
        ({"objective": {"accuracy": {"kind": "balanced_accuracy"}}}, "measures accuracy otherwise"),
        ({"space": {"kind": "resnet"}}, "none of the 6 trained networks"),
    ],
)
def test_a_study_that_cannot_inform_another_is_refused_with_the_reason(
    study_file: StudyFile, earlier: Study, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(WrongInputError, match=reason):
        nas.search(study_file(**changes, search={"earlier": [str(earlier.directory)]}), out=tmp_path / "run")


@pytest.mark.parametrize(
    "changes", [{"training": {"epochs": 1, "learning_rate": 0.01}}, {"data": {"name": "digits", "limit": 60}}]
)
def test_another_recipe_and_other_images_count_for_less(
    study_file: StudyFile, earlier: Study, tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = study_file(trials=1, search={"earlier": [str(earlier.directory)]}, **changes)
    study = nas.search(path, out=tmp_path / "run")
    assert all("otherwise" in record.fidelity for record in read_earlier(study.directory))


def test_a_damaged_file_of_what_is_known_is_refused(study_file: StudyFile, earlier: Study, tmp_path: Path) -> None:
    path = study_file(trials=1, search={"earlier": [str(earlier.directory)]})
    study = nas.search(path, out=tmp_path / "run")
    (study.directory / EARLIER).write_text('{"schema": 3}\n')
    with pytest.raises(WrongInputError, match=rf"{EARLIER}, line 1 is damaged"):
        nas.search(path, trials=2, out=tmp_path / "run")


def test_what_is_given_is_trained_first_by_picks_by_short_names_and_by_trial(
    study_file: StudyFile, earlier: Study, tmp_path: Path
) -> None:
    best = earlier.pick("best:accuracy")
    first = [f"{earlier.directory}#{best.number}", {"s1.kernel": 5, "dim": 8}, {"kernel": 3, "dim": 16}]
    space = {"kind": "convmixer", "choices": {"dim": [8, 16], "depth": [1, 2], "patch": [2], "kernel": [3, 5]}}
    study = nas.search(study_file(trials=4, seed=3, space=space, search={"first": first}), out=tmp_path / "run")
    assert study.records[0].key == best.key
    assert (study.records[1].picks["s1.kernel"], study.records[1].picks["dim"]) == (5, 8)
    assert {study.records[2].picks[f"s{i}.kernel"] for i in (1, 2)} == {3}
    assert [record.source for record in study.records] == ["given"] * 3 + ["sampler"]


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ({"kernle": 3}, r"search.first\[0\].*kernel"),
        ({"kernel": 4}, "must be one of 3, got 4"),
        ("known:nothing", "nothing"),
        ("known:resnet18_d1", "no picks of the space make it"),
        (3, "search.first"),
    ],
)
def test_what_cannot_be_given_is_refused(study_file: StudyFile, tmp_path: Path, first: Any, reason: str) -> None:
    with pytest.raises(WrongInputError, match=reason):
        nas.search(study_file(search={"first": [first]}), out=tmp_path / "run")


def test_the_hypervolume_counts_what_is_preferred_alone_and_picks_keep_to_it(
    study_file: StudyFile, tmp_path: Path
) -> None:
    free = nas.search(study_file(trials=6, search={"sampler": "random"}), out=tmp_path / "free")
    values = sorted(record.measured["accuracy"] for record in free.front)
    assert len(values) > 1
    path = study_file(trials=6, search={"sampler": "random"}, prefer={"accuracy": f">={values[-1]}"})
    study = nas.search(path, out=tmp_path / "run")
    assert [r.key for r in study.records] == [r.key for r in free.records]
    assert 0 < study.hypervolume < free.hypervolume
    assert {r.measured["accuracy"] for r in study.select("front")} == {values[-1]}
    assert study.pick("best:macs").measured["accuracy"] == values[-1]


def test_what_no_member_has_is_no_reason_to_pick_none(study_file: StudyFile, tmp_path: Path) -> None:
    study = nas.search(study_file(trials=2, prefer={"accuracy": ">=1"}), out=tmp_path / "run")
    assert study.hypervolume == 0
    assert study.pick("knee") in study.front


@pytest.mark.parametrize(
    ("prefer", "reason"),
    [
        ({"accuracy": "<=0.9"}, "'>=' and a number"),
        ({"macs": ">=5"}, "'<=' and a number"),
        ({"accuracy": ">=high"}, "'>=' and a number"),
        ({"accuracy": ">=1.5"}, "accuracy"),
        ({"acuracy": ">=0.5"}, "accuracy"),
    ],
)
def test_a_preference_that_means_nothing_is_refused(
    study_file: StudyFile, tmp_path: Path, prefer: Any, reason: str
) -> None:
    with pytest.raises(WrongInputError, match=reason):
        nas.search(study_file(prefer=prefer), out=tmp_path / "run")


def test_a_preference_and_a_reference_for_the_same_are_too_much(study_file: StudyFile, tmp_path: Path) -> None:
    path = study_file(prefer={"accuracy": ">=0.5"}, reference={"accuracy": 0.1})
    with pytest.raises(WrongInputError, match="Remove accuracy from"):
        nas.search(path, out=tmp_path / "run")
