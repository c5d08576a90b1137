"""The command line as a person uses it: output, JSON, exit status, one message for a wrong input."""

import csv
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner
from terminal import run
from writers import write_series

import nas
from nas.cli import cli

StudyFile = Callable[..., Path]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    table = {**small, "bounds": {"macs": 12_000}, "export": {"pick": "knee", "formats": []}}
    (folder / "small.toml").write_text(tomli_w.dumps(table))
    result = run("search", folder / "small.toml", "--out", "runs/a small one", cwd=folder)
    assert result.returncode == 0, result.stderr
    (folder / "output.txt").write_text(result.stdout)
    return folder / "runs" / "a small one"


def test_a_search_ends_with_the_front_a_checked_export_and_the_next_commands(finished: Path) -> None:
    output = (finished.parent.parent / "output.txt").read_text()
    assert "4/4 trials" in output
    assert "hypervolume" in output
    assert "OK, read back and measured again: accuracy" in output
    place = "'runs/a small one'"
    assert re.search(rf"Next:\n  nas pareto {place} .*\n  nas show {place} \d+\n  nas export {place}", output)
    assert nas.load(finished / "export") is not None


def test_status_prints_counts_front_and_hypervolume(finished: Path) -> None:
    assert "4 of 4" in run("status", finished).stdout
    figures = json.loads(run("status", finished, "--json").stdout)
    assert figures["trials"]["complete"] == 4
    assert figures["front_size"] == len(nas.open(finished).front)
    assert figures["hypervolume"] == pytest.approx(nas.open(finished).hypervolume)


def test_pareto_prints_a_table_json_csv_and_a_picture(finished: Path, tmp_path: Path) -> None:
    front = nas.open(finished).front
    assert "robust_accuracy" in run("pareto", finished).stdout
    assert [r["number"] for r in json.loads(run("pareto", finished, "--json").stdout)] == [r.number for r in front]
    rows = list(csv.DictReader(io.StringIO(run("pareto", finished, "--csv", "--all").stdout)))
    assert len(rows) == len(nas.open(finished).records)
    assert {"trial", "status", "accuracy", "s1.freeze", "key"} <= rows[0].keys()
    assert run("pareto", finished, "--plot", tmp_path / "front.png").returncode == 0
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_pareto_where_filters(finished: Path) -> None:
    assert json.loads(run("pareto", finished, "--json", "--where", "macs<=1").stdout) == []


def test_pick_says_why_and_what_the_neighbours_would_give(finished: Path) -> None:
    study = nas.open(finished)
    figures = json.loads(run("pick", finished, "best:macs", "--json").stdout)
    assert figures["trial"] == study.pick("best:macs").number
    assert figures["neighbours"].keys() <= {"accuracy", "robust_accuracy"}
    shown = run("pick", finished, "best:macs").stdout
    assert f"the best macs of {len(study.front)} member" in shown
    assert f"--pick trial:{figures['trial']}" in shown
    assert json.loads(run("pick", finished, "front", "--json").stdout)["trials"] == [r.number for r in study.front]


def test_a_network_of_a_study_can_be_named_by_a_rule(finished: Path) -> None:
    best = nas.open(finished).pick("best:macs")
    assert json.loads(run("cost", f"{finished}#best:macs", "--json").stdout)["key"] == best.key


def test_show_prints_blocks_and_the_architecture_file(finished: Path) -> None:
    record = nas.open(finished).front[0]
    shown = run("show", finished, record.number).stdout
    assert record.key in shown
    assert "stage 1" in shown
    assert f"{record.measured['macs']:,.0f}" in shown
    assert json.loads(run("show", finished, record.number, "--json").stdout) == record.architecture


def test_export_front_writes_every_member(finished: Path, tmp_path: Path) -> None:
    result = run("export", finished, "--pick", "front", "--format", "none", "-o", tmp_path / "all")
    assert result.returncode == 0, result.stderr
    members = {str(record.number) for record in nas.open(finished).front}
    assert {path.name for path in (tmp_path / "all").iterdir()} == {*members, "index.json"}


def test_evaluate_says_what_was_measured(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "export", tmp_path / "out")
    result = run("evaluate", tmp_path / "out", "--data", "digits", "--split", "test")
    assert "on 360 test images of digits" in result.stdout
    assert json.loads(run("evaluate", tmp_path / "out", "--json").stdout)["split"] == "validation"


def test_what_reading_the_data_has_to_say_reaches_the_user(study_file: StudyFile, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8))
    place = str(tmp_path / "a[b].npz")  # markup for rich
    np.savez(place, x_train=images, y_train=np.arange(40) % 2, x_test=images[:9], y_test=np.arange(9) % 2)
    study = study_file(data={"name": f"npz:{place}"}, trials=1, objectives=["accuracy", "macs"], objective=None)
    out, said = (
        str(tmp_path / "out"),
        f"{place!r}, {{}} split: of int64 pixels 0 is black and 255 white, for all splits",
    )
    commands: dict[str, list[str]] = {
        "rehearsal": ["search", str(study), "--dry-run"],
        "search": [
            "search",
            str(study),
            "--out",
            str(tmp_path / "run"),
            "--set",
            "export.pick=knee",
            "--set",
            "export.formats=[]",
        ],
        "training": [
            "train",
            f"{tmp_path}/run/export/config.json",
            "--data",
            f"npz:{place}",
            "--epochs",
            "1",
            "-o",
            out,
        ],
        "validation": ["evaluate", str(tmp_path / "run" / "export"), "--data", f"npz:{place}"],
    }
    for name, command in commands.items():
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 0, (name, result.output)
        assert result.output.count(said.format("train")) == 1, (name, result.output)
    test = json.loads(
        CliRunner().invoke(cli, ["evaluate", out, "--split", "test", "--data", f"npz:{place}", "--json"]).stdout
    )
    assert test["notes"] == [said.format("test")]


def test_sounds_and_series_are_not_called_images(study_file: StudyFile, tmp_path: Path) -> None:
    data = {"name": f"series:{write_series(tmp_path)}"}
    study = study_file(data=data, trials=1, objectives=["accuracy", "macs"], objective=None)
    result = CliRunner().invoke(cli, ["search", str(study), "--out", str(tmp_path / "run")])
    assert "training, 4 validation series)" in result.output


def test_data_lists_every_data_set_and_where_it_is(tmp_path: Path) -> None:
    rows = {row["name"]: row for row in json.loads(run("data", "--json", NAS_DATA=str(tmp_path)).stdout)}
    assert rows["digits"]["here"]
    assert not rows["cifar10"]["here"]
    assert "cifar-10-python.tar.gz" in rows["cifar10"]["origin"]
    assert "NAS_DATA is" in run("data").stdout


def test_a_dry_run_tells_feasibility_cost_and_time_and_writes_nothing(study_file: StudyFile, tmp_path: Path) -> None:
    result = run("search", study_file(bounds={"macs": 12_000}), "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert re.search(r"feasible +\d+ of 100 random candidates", result.stdout)
    assert re.search(r"macs +2,768 to 13,984, median [\d,]+, bound 12,000", result.stdout)
    assert re.search(r"s an epoch, .* s a trial; 4 trials on 1 worker\(s\): about", result.stdout)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "none.toml"], "study file none.toml does not exist"),
        (["search", "small.toml", "--set", "trails=3"], "Did you mean 'trials'?"),
        (["search", "small.toml", "--trials", "0"], "trials must be at least 1, got 0"),
        (["search", "small.toml", "--trials", "many"], "'many' is not a valid integer"),
        (["search", "small.toml", "--workers", "0"], "workers must be at least 1"),
        (
            ["search", "small.toml", "--set", "bounds.macs=100"],
            "the cheapest architecture of the space found has macs =",
        ),
        (["search", "small.toml", "--set", "data.name=cifar10"], "Expected cifar10/labels.npz or cifar-10-batches-py"),
        (["search", "small.toml", "--set", "search.sampler=tpee"], "unknown sampler 'tpee'. Did you mean 'tpe'?"),
        (["search", "small.toml", "--set", "execution.kind=rya"], "execution.kind: unknown executor 'rya'"),
        (["search", "small.toml", "--set", "export.pick=knees"], "export.pick: unknown pick 'knees'. Known: knee"),
        (["search", "small.toml", "--dry-run", "--set", "search.sampler=tpee"], "unknown sampler 'tpee'"),
        (["search", "small.toml", "--dry-run", "--set", "search.options={n=1}"], "has an unknown key 'n'"),
        (["search", "small.toml", "--dry-run", "--set", "execution.kind=rya"], "unknown executor 'rya'"),
        (["search", "small.toml", "--dry-run", "--set", "export.pick=best:acuracy"], "Did you mean 'accuracy'?"),
        (
            ["search", "small.toml", "--set", "search.options={n=1}"],
            "\\[search.options\\] has an unknown key 'n'",
        ),
        (["search", "small.toml", "--out", "/proc/nas"], "cannot be written to"),
        (["status", "nowhere"], "nowhere is not a study directory"),
        (["pareto", "nowhere"], "nowhere is not a study directory"),
        (["serch"], "No such command 'serch'"),
        (["evaluate", "nowhere"], "config.json does not exist"),
        (["export", "nowhere", "--pick", "knee", "-o", "x"], "is not a study directory"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(
    study_file: StudyFile, tmp_path: Path, arguments: list[str], message: str
) -> None:
    study_file()
    result = run(*arguments, cwd=tmp_path, NAS_DATA=str(tmp_path))
    assert result.returncode == 2, result.stdout + result.stderr
    assert re.search(message, result.stderr), result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists(), "nothing is written before everything is checked"


def test_a_search_in_which_nothing_became_complete_is_a_failure(study_file: StudyFile, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from dataclasses import dataclass\n"
        "from trainers.trainer import Trainer, trainer\n\n\n"
        "@trainer('broken')\n@dataclass(frozen=True)\nclass Broken(Trainer):\n"
        "    def train(self, model, data, *, seed, report, checkpoints=None):\n"
        "        raise KeyError(f'column {seed}')\n"
    )
    study_file(plugins=["broken.py"], training={"kind": "broken"}, trials=8)
    result = run("search", "small.toml", cwd=tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Next:" not in result.stdout
    assert "3 trials in a row ended with the same error" in result.stderr
    assert len(nas.open(tmp_path / "runs" / "small").records) == 3  # the texts differ, the place does not
    again = run("search", "small.toml", "--trials", "1", cwd=tmp_path)
    assert again.returncode == 1


def test_a_damaged_log_is_named_by_line(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run" / "trials.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + "garbage\n" + "".join(lines[1:]))
    result = run("status", tmp_path / "run")
    assert (result.returncode, "line 2 is damaged" in result.stderr) == (2, True)


def test_a_reader_that_stops_early_is_no_error(finished: Path) -> None:
    command = f"{sys.executable} -m nas pareto {shlex.quote(str(finished))} --all --json | head -c 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[", "")


def test_python_gives_the_same_as_the_command_line(finished: Path) -> None:
    study = nas.open(finished)
    assert study.pick("knee").number in {record.number for record in study.front}
    assert json.loads(run("pareto", finished, "--json").stdout) == [record.to_json() for record in study.front]
