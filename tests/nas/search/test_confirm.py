"""Replicates of the trials of a study: which, how, on what; stopped and continued; shown everywhere."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tomli_w
from quick_trainer import Quick
from terminal import run

import nas
from nas.errors import StoppedError, WrongInputError
from nas.results.study import Study
from nas.search.confirm import Wish, confirm_study
from nas.search.executors import EXECUTORS
from nas.search.executors.executor import Listener
from nas.search.executors.inline import InlineExecutor
from nas.settings import ExecutionSettings
from nas.show.console import PlainConsole
from nas.show.trials import print_trials, write_csv
from trainers import TRAINERS, TrainingData


def quiet(message: str) -> None:
    pass


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRAINERS, "quick", Quick)
    monkeypatch.setattr(Quick, "broken", False)
    Quick.calls.clear()
    Quick.sizes.clear()


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Path:
    folder = tmp_path_factory.mktemp("searched")
    table = {**small, "trials": 6, "training": {"kind": "quick", "epochs": 3}}
    (folder / "small.toml").write_text(tomli_w.dumps(table))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRAINERS, "quick", Quick)
        return nas.search(folder / "small.toml", out=folder / "run").directory


@pytest.fixture
def directory(searched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(searched, tmp_path / "run"))


def lines(directory: Path) -> list[tuple[int, int, dict[str, float]]]:
    read = map(json.loads, (directory / "confirmations.jsonl").read_text().splitlines())
    return [(line["record"]["number"], line["replicate"], line["record"]["measured"]) for line in read]


def test_members_of_the_front_get_replicates_with_seeds_of_their_own(directory: Path) -> None:
    before = nas.open(directory)
    study = confirm_study(directory, Wish(budget=5, seeds=1), say=quiet)
    assert len(study.replicates) <= 5
    assert {r.number for r in before.front} & {one.trial for one in study.replicates}
    seeds = [one.record.seed for one in study.replicates]
    assert len({*seeds, *(record.seed for record in study.records)}) == len(seeds) + len(study.records)
    assert all(one.record.measured["macs"] == study.trial(one.trial).measured["macs"] for one in study.replicates)
    assert not (directory / "confirm").exists()
    assert (directory / "trials.jsonl").read_bytes() == (before.directory / "trials.jsonl").read_bytes()
    assert confirm_study(directory, Wish(budget=len(study.replicates)), say=quiet).replicates == study.replicates


def test_a_stopped_confirmation_goes_on_to_the_same_replicates(directory: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(directory, tmp_path / "other"))
    whole = confirm_study(other, Wish(budget=4), say=quiet)
    Quick.interrupt_at = len(Quick.calls) + 2
    with pytest.raises(KeyboardInterrupt):
        confirm_study(directory, Wish(budget=4), say=quiet)
    assert len(lines(directory)) == 2
    confirm_study(directory, Wish(budget=4), say=quiet)
    assert lines(directory) == lines(other)
    assert whole.confirmation is not None


def test_epochs_attack_and_one_trial_can_be_chosen(directory: Path) -> None:
    wish = Wish(seeds=2, epochs=7, attack="fgsm", pick="trial:3")
    study = confirm_study(directory, wish, say=quiet)
    assert [one.trial for one in study.replicates] == [3, 3]
    assert Quick.calls == [7, 7]
    record = study.replicates[0].record
    assert (record.fidelity["epochs"], record.settings["robust_accuracy"]["attack"]) == (7, "fgsm")
    assert [r.number for r in study.front] == [3]  # the only one that is known by this protocol


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish(attack="fgms"), "--attack: unknown attack 'fgms'. Did you mean 'fgsm'"),
        (Wish(pick="knees"), "unknown pick 'knees'"),
        (Wish(pick="trial:99"), "has no ended trial 99"),
    ],
)
def test_what_cannot_be_confirmed_is_one_message(directory: Path, wish: Wish, message: str) -> None:
    with pytest.raises(WrongInputError, match=message):
        confirm_study(directory, wish, say=quiet)


def test_the_test_images_are_used_once_and_choose_nothing(directory: Path) -> None:
    chosen = confirm_study(directory, Wish(budget=3, seeds=1), say=quiet)
    assert Quick.sizes == {40}
    Quick.sizes.clear()
    study = confirm_study(directory, Wish(seeds=1, split="test"), say=quiet)
    assert Quick.sizes == {360}
    assert [record.number for record in study.front] == [record.number for record in chosen.front]
    on_test = study.confirmed("test")
    assert on_test is not None
    assert on_test.counts.sum() == len(study.front)
    done = len(study.replicates)
    assert len(confirm_study(directory, Wish(seeds=1, split="test"), say=quiet).replicates) == done
    with pytest.raises(
        WrongInputError, match=r"the test images were used on \d{4}-\d\d-\d\d, for \d+ replicates of 3 ep"
    ):
        confirm_study(directory, Wish(seeds=2, split="test"), say=quiet)


def test_replicates_that_fail_again_and_again_stop_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quick, "broken", True)
    with pytest.raises(StoppedError, match=r"(?s)3 replicates in a row failed, the last one \(bug\).*on purpose"):
        confirm_study(directory, Wish(budget=9), say=quiet)
    study = nas.open(directory)
    assert [one.record.status for one in study.replicates] == ["failed"] * 3
    assert study.confirmation is None


def test_workers_and_ray_are_those_of_the_command(
    study_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Several(InlineExecutor):
        """Keeps the settings that it was last opened with."""

        opened: ClassVar[ExecutionSettings]

        def __init__(self, data: TrainingData, settings: ExecutionSettings, listener: Listener) -> None:
            super().__init__(data, settings, listener)
            self.slots, Several.opened = settings.workers, settings

    monkeypatch.setitem(EXECUTORS, "several", Several)
    directory = nas.search(study_file(trials=1, execution={"kind": "several"}), out=tmp_path / "run").directory
    study = confirm_study(directory, Wish(budget=2), workers=2, ray="local", say=quiet)
    assert (Several.opened.workers, Several.opened.ray) == (2, "local")
    assert len(study.replicates) == 2
    assert (study.settings.execution.workers, study.settings.execution.ray) == (1, None)
    with pytest.raises(WrongInputError, match="workers must be at least 1, got 0"):
        confirm_study(directory, Wish(budget=2), workers=0, say=quiet)


@pytest.fixture
def confirmed(directory: Path) -> Study:
    return confirm_study(directory, Wish(budget=4, seeds=1), say=quiet)


def test_tables_show_means_errors_chances_and_ranks(confirmed: Study) -> None:
    out = io.StringIO()
    print_trials(confirmed, confirmed.records, PlainConsole(file=out, width=200))
    known, trial = confirmed.confirmation, confirmed.replicates[0].trial
    assert known is not None
    value = known.value(trial, "accuracy")
    assert value is not None
    row = next(line for line in out.getvalue().splitlines() if line.split()[:1] == [str(trial)])
    assert f" {value:.4f} ± {value.standard_error:.4f} " in row
    assert f" {known.chance(trial):.2f} " in row
    assert "{} -> {}".format(*known.ranks("accuracy")[trial]) in row
    assert "trainings with other seeds (3 epochs, validation images)" in out.getvalue()
    assert f"hypervolume {known.hypervolume:.4f} (90% interval" in out.getvalue()


def test_csv_json_and_status_have_them_too(confirmed: Study) -> None:
    out = io.StringIO()
    write_csv(confirmed, confirmed.front, out)
    assert "replicates,on_front,accuracy.mean,accuracy.standard_error" in out.getvalue().splitlines()[0]
    figures = confirmed.status()
    assert figures["confirmation"]["replicates"] == 4
    assert figures["front_size"] == len(confirmed.front)
    assert figures["hypervolume"] == pytest.approx(confirmed.confirmation.hypervolume)  # type: ignore[union-attr]
    best = confirmed.pick("best:accuracy")
    assert figures["best"]["accuracy"] == confirmed.value(best, "accuracy")


def test_a_pick_is_of_the_confirmed_front_by_its_means(confirmed: Study) -> None:
    means = [confirmed.value(record, "accuracy") for record in confirmed.front]
    assert confirmed.value(confirmed.pick("best:accuracy"), "accuracy") == max(means)
    assert np.array_equal(confirmed.costs(confirmed.front)[:, 0], 1 - np.array(means))


def test_the_command_line_confirms_a_study(study_file: Callable[..., Path], tmp_path: Path) -> None:
    place = tmp_path / "run"
    nas.search(study_file(trials=3), out=place)
    result = run("confirm", place, "--budget", "2", "--seeds", "1")
    assert result.returncode == 0, result.stderr
    assert "1/2 replicates, trial" in result.stderr
    assert "trainings with other seeds (1 epoch, validation images)" in result.stdout
    [first, *_] = nas.open(place).replicates
    shown = run("show", place, str(first.trial)).stdout
    assert "accuracy of 1 training with another seed" in shown
    assert "on the front with a probability of" in shown
    exported = run("export", place, "--pick", f"trial:{first.trial}", "-o", tmp_path / "out", "--format", "none")
    assert exported.returncode == 0, exported.stderr
    assert "1 training with another seed (1 epoch" in (tmp_path / "out" / "README.md").read_text()
