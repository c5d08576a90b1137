"""The study file: what it accepts, and the one message for what it does not."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from nas.errors import WrongInputError
from nas.problem import Problem, find_dataset
from nas.results.pareto import hypervolume
from nas.settings import SearchSettings, Settings, construct, differences, read_settings
from objectives import OBJECTIVES, Objective, to_minimise
from objectives.objective import tasks_of
from trainers.datasets.fsdd import Fsdd

StudyFile = Callable[..., Path]


def test_defaults_fill_what_the_file_leaves_out(study_file: StudyFile) -> None:
    settings = read_settings(study_file())
    assert (settings.trials, settings.execution.workers, settings.search.sampler) == (4, 1, "front")


def test_a_file_may_begin_with_a_byte_order_mark(study_file: StudyFile) -> None:
    path = study_file()
    expected = read_settings(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_settings(path) == expected


def test_overrides_take_toml_values_and_bare_words(study_file: StudyFile) -> None:
    settings = read_settings(
        study_file(), ["data.name=cifar10", "trials=7", "space.choices.dim=[8]", "search.sampler=nsga2"]
    )
    assert (settings.data.name, settings.trials, settings.search.sampler) == ("cifar10", 7, "nsga2")
    assert settings.space["choices"]["dim"] == [8]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trails=3", "unknown key 'trails'. Did you mean 'trials'?"),
        ("trials=many", "trials must be a valid integer, got 'many'"),
        ("trials=0", "trials must be at least 1, got 0"),
        ("seed=1.5", "seed must be a valid integer, got 1.5"),
        ("data=digits", r"data must be a table \[data\], got 'digits'"),
        ("objectives=[]", "objectives must be one or more different names"),
        ("objectives=accuracy", "objectives must be a valid array, got 'accuracy'"),
        ("name=a/b", "name must be usable as a folder name"),
        ("execution.workers=0", "execution: workers must be at least 1, got 0"),
        ("execution.device=tpu", "execution.device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        ("data.limit=1", "data: limit must be at least 2 images, got 1"),
        ("nonsense", "--set needs KEY=VALUE"),
        ("name=a\0b", "name must be text of at most 4,000 characters, none of them a control character"),
        (f"name={'x' * 201}", "name is too long: a name may have 200 bytes, a path 4,000, got 201 and 201"),
        ("name=~", "name must be usable as a folder name, got '~'"),
        ("name=2020-01-01", "name must be text, a number, true, false, a list or a table, got 2020-01-01"),
        (f"name={'x' * 4001}", "name must be text of at most 4,000 characters"),
        (
            f"trials={'9' * 400}",
            r"trials must be a finite number, of a size up to 10\^15 .* got 9+\.\.\.",
        ),
        (f"trials=0x{'f' * 6000}", r"trials must be a finite number.* got what cannot be shown"),
        ("training.learning_rate=1e308", "training.learning_rate must be a finite number"),
        ("bounds.macs=inf", "bounds.macs must be a finite number"),
        ("reference.accuracy=nan", "reference.accuracy must be a finite number"),
        (f"space.choices={'[' * 30}{']' * 30}", "space.choices has more than 20 tables and lists in each other"),
        (f"a={'[' * 9999}", "a must be text"),
        ("seed=-1", "seed must be from 0 to 4294967295, got -1"),
        ("seed=4294967296", "seed must be from 0 to 4294967295, got 4294967296"),
        ("execution.workers=10001", "workers must be at most 10,000, got 10001"),
        ("execution.timeout_seconds=1e10", "timeout_seconds must be at most 1,000,000,000"),
        ("execution.ray=' '", "ray must be local, auto or the address of a cluster"),
        ("data.resolution=5000", "resolution must be at most 4,096, got 5000"),
        ("data.location='~nobody-of-that-name/x'", "names the home folder of nobody"),
        ("name.x=1", "'name' is not a table"),
    ],
)
def test_wrong_keys_and_values_are_named(study_file: StudyFile, override: str, message: str) -> None:
    with pytest.raises(WrongInputError, match=message):
        read_settings(study_file(), [override])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": ["acuracy"]}, "unknown objective 'acuracy'. Did you mean 'accuracy'?"),
        ({"objective": {"robust_accuracy": {"epsilon": "8/0"}}}, 'epsilon must be a number in .* such as "8/255"'),
        (
            {"data": {"nme": "digits"}},
            r"\[data\] has an unknown key 'nme'. Did you mean 'name'\? Known: checksum",
        ),
        ({"data": {"name": "fsdd", "speeker": "theo"}}, "unknown key 'speeker'. Did you mean 'speaker'?"),
        ({"data": {"name": "fsdd", "mel": "many"}}, "data.mel must be a valid integer"),
        (
            {"data": {"name": "fsdd:speeker=theo"}},
            "data.name: option 'speeker' of 'speeker=theo' is unknown",
        ),
        ({"data": {"name": "folder:x,size=4"}}, "data: size must be from 8 to 1024, got 4"),
        ({"objective": {"robust_accuracy": {"attack": "cw"}}}, "unknown attack 'cw'"),
        ({"objective": {"flop": {}}}, r"\[objective.flop\]: unknown objective 'flop'. Did you mean 'flops'?"),
        (
            {"bounds": {"accuracy": 0.5}},
            "a bound is the most that something may be, but accuracy is to be maximized.*prefer",
        ),
        ({"bounds": {"macs": -1}}, "bounds.macs must be positive"),
        ({"bounds": {"mac": 1e6}}, "bounds.mac: unknown objective 'mac'. Did you mean 'macs'?"),
        ({"bounds": {"macs": 100}}, "the cheapest architecture of the space found has macs = 2,?768"),
        ({"space": {"kind": "convmixr"}}, "unknown search space 'convmixr'. Did you mean 'convmixer'?"),
        ({"space": {"choices": {}}}, "space: kind is missing. Known: .*convmixer"),
        ({"space": {"kind": "convmixer", "choices": {"dpth": [2]}}}, "unknown choice 'dpth'. Did you mean 'depth'?"),
        (
            {"space": {"kind": "convmixer", "choices": {"patch": [3]}}},
            "choice 'patch' cannot be 3 .* Allowed: 1, 2, 4, 8",
        ),
        ({"space": {"kind": "convmixer", "remove": ["dilatoin"]}}, "space.remove: unknown choice 'dilatoin'. Did you"),
        (
            {"space": {"kind": "mixing", "tokens_by": "patch", "choices": {"split": ["16x16", "9x26"]}}},
            r"space.choices: choice 'split' cannot be '9x26' .* Allowed: 4x43, 16x16 .Omega 4,096.; ",
        ),
        (
            {"space": {"kind": "mixing", "choices": {"tokens": [16]}}},
            r"space.choices: there is no choice 'tokens' any more. .* omega = \[4096, 16384\] in \[space\]",
        ),
        (
            {"space": {"kind": "mixing", "choices": {"channel": "spartan_wave", "expansion": [2, 1]}}},
            r"space: s1.expansion = 1 cannot be built: with s1.channel = spartan_wave, expansion must be at least 2",
        ),
        (
            {"space": {"kind": "mixing", "choices": {"s1": {"raft": {"r": [1, 0]}}}}},
            r"space.choices: choice 's1.raft.r' cannot be 0: r must be at least 1, got 0",
        ),
        (
            {"space": {"kind": "mixing", "choices": {"mixer": "attention", "s1": {"attention": {"heads": 1000}}}}},
            r"space: s1.attention.heads = 1000 cannot be built: heads must divide",
        ),
        ({"space": {"kind": "convmixer", "tie": ["dim"]}}, "space.tie: 'dim' is one choice already"),
        (
            {"space": {"kind": "convmixer", "tie": ["kernel"], "choices": {"s1": {"kernel": 3}}}},
            r"space.tie: choices that are tied need equal options: s1.kernel has 3, s2.kernel has 3, 5, 7",
        ),
        ({"space": {"kind": "convmixer", "depth": 3}}, r"\[space\] has an unknown key 'depth'"),
        ({"space": {"kind": "convmixer", "filters_as_init": 1}}, "space.filters_as_init must be a valid boolean"),
        ({"training": {"kind": "supervized"}}, "unknown trainer 'supervized'. Did you mean 'supervised'?"),
        ({"training": {"epoch": 3}}, r"\[training\] has an unknown key 'epoch'. Did you mean 'epochs'?"),
        ({"training": {"epochs": 0}}, "training: epochs must be at least 1, got 0"),
        (
            {"training": {"kind": "adversarial", "attack": "fgms"}},
            "training: unknown attack 'fgms'. Did you mean 'fgsm'?",
        ),
        (
            {"training": {"kind": "adversarial", "attacks": 1}},
            r"\[training\] has an unknown key 'attacks'\. Did you mean",
        ),
        ({"data": {"name": "digit"}}, "unknown data set 'digit'. Did you mean 'digits'?"),
        ({"data": {"name": "npz:nowhere.npz"}}, "nowhere.npz does not exist"),
        (
            {"data": {"name": "digits", "limit": 12}},
            r"data: 12 images are divided into 10 .* The least data\.limit that will do is 48\.",
        ),
        ({"data": {"name": "digits", "validation": 0}}, r"data\.validation must be above 0: a search compares"),
        ({"data": {"name": "digits", "validation": 1}}, "validation must be a share from 0 to less than 1, got 1"),
        ({"reference": {"acuracy": 0.5}}, r"\[reference\]: unknown objective 'acuracy'. Did you mean 'accuracy'?"),
        (
            {"reference": {"macs": -5.0}},
            "reference.macs: .* is a count: its value must be above 0, got -5",
        ),
    ],
)
def test_what_a_study_names_must_exist_and_fit(study_file: StudyFile, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongInputError, match=message):
        Problem.of(read_settings(study_file(**changes)))


def test_a_missing_or_broken_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(WrongInputError, match="does not exist"):
        read_settings(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(WrongInputError, match="is not valid TOML"):
        read_settings(tmp_path / "broken.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(WrongInputError, match="name is missing"):
        read_settings(tmp_path / "empty.toml")


def test_the_resolved_study_says_everything_and_resolves_to_itself(study_file: StudyFile, tmp_path: Path) -> None:
    problem = Problem.of(read_settings(study_file()))
    table = problem.settings.table()
    assert table["training"]["batch_size"] == 64
    assert table["objective"]["robust_accuracy"]["epsilon"] == "8/255"
    assert table["space"]["choices"]["s2.freeze"] == ["full", "chans", "space"]
    path = tmp_path / "resolved.toml"
    path.write_text(tomli_w.dumps(table))
    assert Problem.of(read_settings(path)).settings.table() == table


def test_adversarial_training_takes_the_radius_that_suits_the_data(study_file: StudyFile) -> None:
    study = study_file(training={"kind": "adversarial", "steps": 3})
    problem = Problem.of(read_settings(study))
    assert problem.settings.training["epsilon"] == "8/255"
    assert "attacks" not in problem.settings.training
    assert problem.trainer == Problem.of(problem.settings).trainer


def test_one_objective_may_appear_under_two_names(study_file: StudyFile) -> None:
    path = study_file(
        objectives=["accuracy", "near", "far"],
        objective={
            "near": {"kind": "robust_accuracy", "epsilon": 0.01},
            "far": {"kind": "robust_accuracy", "epsilon": "16/255"},
        },
    )
    assert set(Problem.of(read_settings(path)).objectives) == {"accuracy", "near", "far"}


def test_reference_lies_beyond_the_bound_else_the_dearest_architecture_or_is_what_the_study_says(
    study_file: StudyFile,
) -> None:
    def reference(**changes: Any) -> dict[str, float]:
        return Problem.of(read_settings(study_file(**changes))).settings.reference

    # The dearest: dim 16, depth 2, 4x4 grid: 16 (4 16 + 2 (16 9 + 16 16)) + 160
    dearest = 16 * (64 + 2 * 400) + 160
    assert reference() == {"accuracy": -0.01, "robust_accuracy": -0.01, "macs": pytest.approx(1.01 * dearest)}
    assert reference(bounds={"macs": 10_000})["macs"] == 10_100
    assert reference(bounds={"macs": 10_000}, reference={"macs": 5e6})["macs"] == 5e6


def test_what_is_no_cost_of_shapes_states_its_own_worst_value(study_file: StudyFile) -> None:
    counts = {n: o() for n, o in OBJECTIVES.items() if o.scale == "count" and o.needs != "shapes"}
    of_classes = [name for name, o in counts.items() if not tasks_of(o) or "classification" in tasks_of(o)]
    assert {"latency_ms", "synflow", "train_seconds", "cross_entropy"} <= set(of_classes)
    path = study_file(objectives=["accuracy", *of_classes], objective={"latency_ms": {"batch": 64}})
    reference = Problem.of(read_settings(path)).settings.reference
    assert (reference["latency_ms"], reference["cross_entropy"]) == (64_000, 10)
    assert all(objective.worst() is not None for objective in counts.values())


def test_a_count_without_a_worst_value_needs_a_reference(
    study_file: StudyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unbounded(OBJECTIVES["train_seconds"]):  # type: ignore[misc]
        worst = Objective.worst

    monkeypatch.setitem(OBJECTIVES, "unbounded", Unbounded)
    with pytest.raises(WrongInputError, match=r"reference\.unbounded is missing: .* Add it .* under \[reference\]"):
        Problem.of(read_settings(study_file(objectives=["accuracy", "unbounded"])))


def test_a_value_at_its_worst_does_not_hide_the_others(study_file: StudyFile) -> None:
    problem = Problem.of(read_settings(study_file()))
    worst = np.array([to_minimise(o, {"macs": 13_984.0}.get(n, 0.0)) for n, o in problem.objectives.items()])
    assert hypervolume(worst[None], problem.reference) > 0


def test_the_reference_of_a_cost_is_beyond_random_architectures(study_file: StudyFile) -> None:
    space = {"kind": "mixing", "choices": {"depth": [1, 2, 4]}}
    problem = Problem.of(read_settings(study_file(objectives=["accuracy", "macs"], space=space, objective=None)))
    generator = random.Random(1)
    drawn = [problem.space.decode(problem.space.draw(generator)) for _ in range(200)]
    assert problem.settings.reference["macs"] > max(problem.probe.measure(a)[0]["macs"] for a in drawn)


def test_differences_name_what_must_not_change_and_pass_over_the_rest() -> None:
    old = Settings("a", ["macs"], seed=1, trials=3).table()
    new = Settings("a", ["macs"], seed=2, trials=9).table()
    assert differences(old, new) == ["seed was 1, now 2"]


def test_construct_checks_functions_as_it_does_classes() -> None:
    def factory(input: int, *, scale: float = 1.0) -> float:
        return input * scale

    assert construct(factory, {"scale": 3}, "space", input=2) == 6
    with pytest.raises(WrongInputError, match="unknown key 'input'"):
        construct(factory, {"input": 3}, "space", input=2)


def test_a_removed_choice_stays_at_its_first_option(study_file: StudyFile) -> None:
    space = {"kind": "convmixer", "remove": ["dilation", "depth"], "choices": {"depth": [3, 1]}}
    choices = {c.name: c.options for c in Problem.of(read_settings(study_file(space=space))).space.choices}
    assert (choices["s1.dilation"], choices["s2.dilation"], choices["depth"]) == ((1,), (1,), (3,))
    assert len(choices["s1.freeze"]) == 3


def test_relative_places_are_relative_to_the_study_file(study_file: StudyFile, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    for name in ("folder:imgs,size=16", "folder:./imgs,size=16"):
        settings = read_settings(study_file(data={"name": name}, plugins=["mine.py"]))
        assert settings.data.name == "folder"
        assert settings.data.options == {"location": str(tmp_path / "imgs"), "size": 16}
        assert settings.plugins == [str(tmp_path / "mine.py")]
    table = {"name": "folder", "location": "imgs", "size": 16}
    assert read_settings(study_file(data=table)).data == read_settings(study_file(data={"name": name})).data


def test_places_on_the_command_line_are_relative_to_the_current_folder(
    study_file: StudyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for override in ("data.name=folder:imgs", "data.location=imgs"):
        settings = read_settings(study_file(data={"name": "folder:a"}), [override])
        assert settings.data.options["location"] == str(tmp_path / "elsewhere" / "imgs")


def test_the_home_folder_is_expanded(study_file: StudyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert read_settings(study_file(data={"name": "npz:~/a.npz"})).data.options == {"location": "/home/me/a.npz"}


def test_an_option_of_a_data_set_may_stand_in_its_table_or_in_the_shorthand(study_file: StudyFile) -> None:
    short = read_settings(study_file(data={"name": "fsdd:speaker=theo,40x64", "limit": 100})).data
    table = {"name": "fsdd", "speaker": "theo", "mel": 40, "frames": 64, "limit": 100}
    assert short == read_settings(study_file(data=table)).data
    assert short.label == "fsdd:frames=64,mel=40,speaker=theo"
    assert find_dataset(short) == Fsdd(speaker="theo", mel=40, frames=64)


def test_another_data_set_on_the_command_line_has_its_own_options(study_file: StudyFile) -> None:
    path = study_file(data={"name": "folder", "location": "imgs", "size": 16, "limit": 100})
    data = read_settings(path, ["data.mel=40", "data.name=fsdd"]).data
    assert (data.name, data.limit, data.options) == ("fsdd", 100, {"mel": 40})


def test_an_option_that_stands_twice_is_refused(study_file: StudyFile) -> None:
    with pytest.raises(WrongInputError, match=r"mel stands in 'fsdd:40x64' and as data\.mel\. Remove one of them"):
        read_settings(study_file(data={"name": "fsdd:40x64", "mel": 40}))


def test_a_setting_that_an_older_version_did_not_know_and_that_is_off_changes_nothing() -> None:
    new: dict[str, Any] = {"training": {"epochs": 3, "mix_each": False}, "search": {"sampler": "front", "earlier": []}}
    old: dict[str, Any] = {"training": {"epochs": 3}, "search": {"sampler": "front"}}
    assert differences(old, new) == []
    new["training"]["mix_each"] = True
    assert differences(old, new) == ["training.mix_each was not set, now True"]
    for field in dataclasses.fields(SearchSettings):
        off: dict[str, Any] = {} if field.name == "options" else {field.name: False}
        assert differences({"search": {}}, {"search": off}) == []
    assert differences({"search": {}}, {"search": {"replicates": True}}) == ["search.replicates was not set, now True"]
    options = {"search": {"options": {"multivariate": False}}}
    assert differences({"search": {"options": {}}}, options) == ["search.options.multivariate was not set, now False"]
