"""Ablations: wrong designs are refused, runs are made once, a stopped one goes on, what comes out is shown."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from quick_trainer import Quick
from terminal import run

import nas
from nas.errors import StoppedError, WrongInputError
from nas.results.design import read_design
from nas.search.ablate import ablate
from trainers import TRAINERS

CHOICES = {"dim": 8, "depth": 1, "patch": 2, "groups": 1, "kernel": 3, "dilation": 1, "filters": "random"}
STUDY: dict[str, Any] = {
    "name": "freeze",
    "seeds": 3,
    "objectives": ["accuracy", "macs"],
    "space": {"kind": "convmixer", "choices": CHOICES},
    "data": {"name": "digits", "limit": 120},
    "training": {"kind": "quick", "epochs": 1},
    "arm": {"full": {"choices": {"freeze": "full"}}, "chans": {"choices": {"freeze": "chans"}}},
    "expect": [{"arm": "chans", "relation": "not below", "than": "full", "margin": 0.03}],
    "iso": {"macs": 0.0},
}
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRAINERS, "quick", Quick)
    monkeypatch.setattr(Quick, "broken", False)
    Quick.calls.clear()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an ablation; keyword arguments replace its tables, None removes one."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "freeze.toml"
        path.write_text(tomli_w.dumps({key: v for key, v in {**STUDY, **changes}.items() if v is not None}))
        return path

    return write


def quiet(message: str) -> None:
    pass


def seeds(directory: Path) -> list[tuple[str, int, int]]:
    lines = map(json.loads, (directory / "runs.jsonl").read_text().splitlines())
    return [(line["arm"], line["replicate"], line["record"]["seed"]) for line in lines]


def test_every_arm_is_trained_by_the_same_seeds_and_none_twice(write: Write, tmp_path: Path) -> None:
    found = ablate(write(), tmp_path / "out", say=quiet)
    made = seeds(tmp_path / "out")
    assert [(arm, number) for arm, number, _ in made] == [(a, n) for n in range(3) for a in ("full", "chans")]
    assert len({seed for _, _, seed in made}) == 3
    assert all(one == other for (_, _, one), (_, _, other) in zip(made[::2], made[1::2], strict=True))
    assert found.samples["accuracy"]["full"].n == 3
    ablate(write(), tmp_path / "out", say=quiet)
    assert len(Quick.calls) == 6
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "ablation.json",
        "environment.json",
        "runs.jsonl",
    ]


def test_a_stopped_ablation_goes_on_to_the_same_runs(write: Write, tmp_path: Path) -> None:
    whole = ablate(write(), tmp_path / "whole", say=quiet)
    Quick.interrupt_at = len(Quick.calls) + 3
    with pytest.raises(KeyboardInterrupt):
        ablate(write(), tmp_path / "out", say=quiet)
    assert len(seeds(tmp_path / "out")) == 3
    again = ablate(write(), tmp_path / "out", say=quiet)
    assert seeds(tmp_path / "out") == seeds(tmp_path / "whole")
    assert again.samples == whole.samples


def test_more_seeds_and_another_arm_train_what_is_lacking_alone(write: Write, tmp_path: Path) -> None:
    ablate(write(), tmp_path / "out", say=quiet)
    space = {"choices": {"freeze": "space"}}
    ablate(write(seeds=4, arm={**STUDY["arm"], "space": space}), tmp_path / "out", say=quiet)
    assert len(Quick.calls) == 12
    found = ablate(write(training={"kind": "quick", "epochs": 2}), tmp_path / "out", say=quiet)
    assert len(Quick.calls) == 18  # another recipe has runs of its own
    assert found.samples["accuracy"]["full"].n == 3


def test_runs_that_fail_are_named_and_tried_again_later(write: Write, tmp_path: Path) -> None:
    Quick.broken = True
    with pytest.raises(StoppedError, match=r"(?s)3 runs in a row failed, the last one \(bug\).*on purpose"):
        ablate(write(), tmp_path / "out", say=quiet)
    Quick.broken = False
    found = ablate(write(), tmp_path / "out", say=quiet)
    assert (found.missing, found.failed) == (0, [])


def test_arms_may_have_data_training_and_networks_of_their_own(write: Write) -> None:
    arms = {
        "base": {"choices": {"freeze": "full"}},
        "longer": {"choices": {"freeze": "full"}, "training": {"epochs": 2}},
        "fewer": {"choices": {"freeze": "full"}, "data": {"limit": 60}},
        "known": {"network": "known:convmixer_256_8"},
    }
    table = {**STUDY, "arm": {name: arm for name, arm in arms.items() if name != "known"}, "iso": None, "expect": None}
    design = read_design(write(**table))
    assert {name: arm.trainer.epochs for name, arm in design.arms.items()} == {"base": 1, "longer": 2, "fewer": 1}
    assert len(design.arms["fewer"].data.train) < len(design.arms["base"].data.train)
    known = {"one": arms["known"], "other": {"network": "known:convmixer_256_8,freeze=chans"}}
    design = read_design(write(**{**table, "space": None, "arm": known}))
    assert design.arms["one"].architecture.input == (1, 8, 8)
    assert design.arms["other"].costs["trainable_parameters"] < design.arms["one"].costs["trainable_parameters"]


def test_an_arm_can_change_a_trial_of_a_study(write: Write, study_file: Write, tmp_path: Path) -> None:
    place = nas.search(study_file(trials=2), out=tmp_path / "run").directory
    arms = {"as_found": {}, "wider": {"choices": {"dim": 32}}}
    design = read_design(write(space=None, network=f"{place}#0", arm=arms, expect=None, iso=None))
    assert design.arms["as_found"].architecture.key == nas.open(place).trial(0).key
    assert design.arms["wider"].architecture.stem.output((1, 8, 8))[0] == 32


def test_an_arm_of_another_space_takes_no_choices_of_the_first(write: Write) -> None:
    other = {"space": {"kind": "s_spaces"}}
    own = {"kind": "wide_sparse", "omega": [4096]}
    picks = {"kind": "mixer", "split": "16x16", "gamma": 1.0, "depth": 2, "source": "resize", "activation": "gelu"}
    arms = {"conv": {"choices": {"freeze": "full"}}, "mixer": {"space": own, "choices": picks}}
    design = read_design(write(arm=arms, expect=None, iso=None))
    assert design.arms["mixer"].picks["split"] == "16x16"
    assert "dim" not in design.arms["mixer"].picks
    with pytest.raises(WrongInputError, match="unknown search space 's_spaces'"):
        read_design(write(arm={**arms, "mixer": other}, expect=None, iso=None))


@pytest.mark.slow
def test_an_ablation_that_is_killed_goes_on_without_training_anything_twice(write: Write, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "out" / "runs.jsonl"
    path = write(training={"epochs": 3}, data={"name": "digits"})
    command = [sys.executable, "-m", "nas", "ablate", str(path), "--out", str(out)]
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not log.exists() or log.read_bytes().count(b"\n") < 2:
        assert killed.poll() is None
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    done = log.read_bytes()
    assert done.count(b"\n") < 6
    found = ablate(path, out, say=quiet)
    assert log.read_bytes().startswith(done[: done.rindex(b"\n")])
    assert len(seeds(out)) == len({(arm, number) for arm, number, _ in seeds(out)}) == 6
    assert found.missing == 0


ONE = {"choices": {"freeze": "full"}}
ISO = {"iso": {"macs": 0.0}}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"arm": {"a": ONE, "b": ONE}}, "arms 'a' and 'b' are one network with one recipe"),
    ({"arm": {"a": ONE}}, "needs two arms or more"),
    ({**ISO, "arm": {"a": ONE, "b": {"choices": {"freeze": "full", "dim": 16}}}}, r"iso.macs .* 'b' has .* and 'a'"),
    ({"iso": {"watts": 0.1}}, "iso: unknown cost 'watts'"),
    ({"seeds": 2, "expect": STUDY["expect"]}, "seeds must be at least 3 where something is expected, got 2"),
    ({"expect": [{"arm": "chan", "relation": "above", "than": "full"}]}, "expect 1: unknown arm 'chan'"),
    ({"expect": [{"arm": "chans", "relation": "over", "than": "full"}]}, "expect 1.relation must be 'above'"),
    ({"expect": [{"arm": "chans", "relation": "within", "than": "full"}]}, "needs a margin above 0"),
    ({"expect": [{"arm": "chans", "relation": "above", "than": "full", "measure": "r2"}]}, "unknown measure 'r2'"),
    ({"objectives": ["macs"]}, "objectives are all costs"),
    ({"trials": 4}, "an ablation has no trials"),
    ({"baseline": "ful"}, "baseline: unknown arm 'ful'. Did you mean 'full'"),
    ({"space": {"kind": "convmixer"}}, r"\[arm.full\] is to be one network, but leaves open dim \(16, 32, 64, 128\)"),
    ({"arm": {"a": ONE, "b": {"choice": {}}}}, r"\[arm.b\] has an unknown key 'choice'. Did you mean 'choices'"),
    ({"arm": {"a": ONE, "b": {**ONE, "network": "known:convmixer_128_8"}}}, "has no choices"),
    ({"arm": {"a": ONE, "b c": ONE}}, "the name of an arm must be one word"),
    ({"arm": {"a": ONE, "b": {**ONE, "data": {"name": "unshuffle:digits"}}}}, "objective 'accuracy' is for class"),
    ({"training": {"kind": "supervised", "inherit": True}}, "training.inherit is for a search"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_a_wrong_design_is_one_message(write: Write, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongInputError, match=message):
        read_design(write(**{"expect": None, "iso": None, **changes}))


def test_arms_of_different_tasks_are_refused(write: Write) -> None:
    other = {**ONE, "data": {"name": "unshuffle:digits"}}
    message = "same task to be compared: a learns image regression, b learns classification"
    with pytest.raises(WrongInputError, match=message):
        read_design(write(objectives=["train_seconds"], arm={"a": other, "b": ONE}, expect=None, iso=None))


def test_another_directory_is_left_alone(write: Write, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(WrongInputError, match="holds no ablation"):
        ablate(write(), tmp_path / "out", say=quiet)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"replicate": -1}, "replicate must be a whole number from 0"),
        ({"recipe": 3}, "recipe must be a word"),
        ({"split": "train"}, "split must be one of validation, test"),
        ({"record": {}}, "it is not a trial record"),
        ({"schema": 9}, "its format is 9"),
    ],
)
def test_a_damaged_line_is_named(write: Write, tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    ablate(write(), tmp_path / "out", say=quiet)
    path = tmp_path / "out" / "runs.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | change), *rest]) + "\n")
    with pytest.raises(WrongInputError, match=f"line 1 is damaged .*{reason}"):
        ablate(write(), tmp_path / "out", say=quiet)


def test_the_command_prints_draws_and_answers_as_json(write: Write, tmp_path: Path) -> None:
    path = write(execution={"checkpoint_seconds": 0})
    result = run("ablate", path, "--out", tmp_path / "out", "--plot", tmp_path / "out.svg")
    assert result.returncode == 0, result.stderr
    assert "6/6 runs, chans, seed 2: accuracy" in result.stderr
    assert "accuracy: chans not below full by more than 0.03" in result.stdout
    assert "macs of all arms within 0.0%" in result.stdout
    assert "<svg" in (tmp_path / "out.svg").read_text()
    figures = json.loads(run("ablate", path, "--out", tmp_path / "out", "--json").stdout)
    assert figures == json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert figures["arms"]["full"]["measured"]["accuracy"]["n"] == 3
    assert figures["expectations"][0]["verdict"] in ("supported", "not supported", "undecided")
    assert figures["comparisons"][0]["measure"] == "accuracy"
    assert run("ablate", path, "--out", tmp_path / "out", "--seeds", "2").returncode == 2
