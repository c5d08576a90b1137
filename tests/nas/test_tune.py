"""Inside Ray Tune: what its schedulers stop, trials that fail, workers that die, kills. No sleeps, no real training."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray.tune", reason="needs the packages of the extra 'tune'", exc_type=ImportError)

import ray
from ray import cloudpickle, tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher

import nas
from nas.errors import StoppedError, WrongInputError
from nas.store.history import read_trials
from nas.store.records import TrialRecord, trial_seed
from nas.tune import StudySearcher, TuneStudy

EPOCHS = 16
SPACE = {"dim": [8, 16, 24, 32], "depth": [1, 2, 3, 4], "patch": [2], "kernel": [3, 5]}

TRAINER = '''
"""A trainer that trains nothing: it writes down every epoch and gets into the trouble that it is told to get into."""

import math, os, signal
from dataclasses import dataclass, field

from trainers import Epoch, Supervised
from trainers.trainer import Trainer, trainer


@trainer("cut_off")
@dataclass(frozen=True)
class CutOff(Supervised):
    calls: str = ""

    def train(self, model, data, *, seed, report, checkpoints=None):
        def on_epoch(epoch):
            with open(self.calls, "a+") as file:
                file.seek(0)
                first = not file.read()
                file.write(f"{seed} {epoch.number}\\n")
            report(epoch)
            if first:
                os.kill(os.getpid(), signal.SIGKILL)

        super().train(model, data, seed=seed, report=on_epoch, checkpoints=checkpoints)


@trainer("pretend")
@dataclass(frozen=True)
class Pretend(Trainer):
    epochs: int = 16
    calls: str = ""
    trouble: dict[str, str] = field(default_factory=dict)  # by seed

    def train(self, model, data, *, seed, report, checkpoints=None):
        trouble = self.trouble.get(str(seed))
        if trouble == "nobody":
            os.setuid(65534)
        for epoch in range(1, self.epochs + 1):
            if trouble != "nobody":
                with open(self.calls, "a") as file:
                    file.write(f"{seed} {epoch}\\n")
            if trouble == "raises":
                raise ValueError(f"seed {seed} cannot be trained")
            if trouble == "dies" and epoch == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            if trouble != "silent":
                loss = float(trouble) if trouble in ("nan", "inf") and epoch == 3 else seed % 97 / 97 + 1 / epoch
                report(Epoch(epoch, self.epochs, loss, 0.0))
'''

SCRIPT = """
import sys, ray
from ray import tune
from nas.tune import TuneStudy

study, out, storage = sys.argv[1:]
ray.init("local", num_cpus=2, include_dashboard=False)
with TuneStudy(study, out=out) as study:
    tune.Tuner(
        study.trainable,
        tune_config=tune.TuneConfig(search_alg=study.searcher, num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=storage, name="killed", verbose=0),
    ).fit()
"""

FAR = """
import sys, ray
from ray import tune
from ray.cluster_utils import Cluster
from nas.tune import TuneStudy

study, out, storage = sys.argv[1:]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
cluster.add_node(num_cpus=1)
ray.init(address=cluster.address)
with TuneStudy(study, out=out) as study:
    tune.Tuner(
        study.trainable,
        tune_config=tune.TuneConfig(search_alg=study.searcher, num_samples=-1),
        run_config=tune.RunConfig(storage_path=storage, verbose=0),
    ).fit()
ray.shutdown()
cluster.shutdown()
"""


def seed_of(number: int) -> int:
    return trial_seed(3, number)


@pytest.fixture(scope="module")
def own_ray() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "pretend.py"
    path.write_text(TRAINER)
    return path


@pytest.fixture
def pretend(plugin: Path, study_file: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Writes a study whose trials take no time; ``trouble`` goes by the number of the trial."""

    def write(*, trouble: dict[int, str] | None = None, **changes: Any) -> Path:
        table = {str(seed_of(number)): what for number, what in (trouble or {}).items()}
        training = {"kind": "pretend", "epochs": EPOCHS, "calls": str(tmp_path / "calls"), "trouble": table}
        settings = {
            "objectives": ["accuracy", "macs"],
            "objective": None,
            "plugins": [str(plugin)],
            "space": {"kind": "convmixer", "choices": SPACE},
            "search": {"sampler": "qmc"},
            "training": training,
        }
        return study_file(**{**settings, **changes})

    return write


def fit(study: TuneStudy, storage: Path, **options: Any) -> tune.ResultGrid:
    """One run of Tune, one trial at a time and with ASHA by the loss unless told otherwise."""
    stop, failures = options.pop("stop", None), options.pop("failures", None)
    given = {"metric": "loss", "mode": "min", "num_samples": -1, "reuse_actors": True, "max_concurrent_trials": 1}
    given |= options
    if "scheduler" not in given:
        given["scheduler"] = ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=2)
    config = tune.RunConfig(storage_path=str(storage), verbose=0, stop=stop, failure_config=failures)
    search = tune.TuneConfig(search_alg=study.searcher, **given)
    return tune.Tuner(study.trainable, tune_config=search, run_config=config).fit()


def calls(tmp_path: Path) -> Counter[int]:
    """Epochs that each trial ran, all its attempts together, by seed."""
    return Counter(int(line.split()[0]) for line in (tmp_path / "calls").read_text().splitlines())


def counts(records: list[TrialRecord]) -> dict[str, int]:
    return dict(Counter(record.status for record in records))


def test_what_asha_stops_is_truncated_and_on_no_front(
    own_ray: None, pretend: Callable[..., Path], tmp_path: Path
) -> None:
    with TuneStudy(pretend(trials=12), out=tmp_path / "run") as study:
        results = fit(study, tmp_path / "storage", max_concurrent_trials=2)
        records, front = study.history.records, study.front
        told = [trial.state.name for trial in study.ledger.sampler.study.get_trials()]
        assert not study.ledger.pending
    found = counts(records)
    assert found["truncated"] + found["complete"] == len(results) == 12
    assert min(found["truncated"], found["complete"]) >= 3
    ran = calls(tmp_path)
    for record in records:
        assert record.fidelity == {"epochs": ran[record.seed]}
        assert ("accuracy" in record.measured) == (record.status == "complete")
        assert "macs" in record.measured
        assert (tmp_path / f"run/artifacts/{record.number}/weights.safetensors").exists() == (
            "accuracy" in record.measured
        )
    assert {record.fidelity["epochs"] for record in front} == {EPOCHS}
    assert set(told) == {"COMPLETE", "FAIL"}
    assert told.count("COMPLETE") == found["complete"]
    opened = nas.open(tmp_path / "run")
    assert opened.front == front
    assert opened.status()["trials"] == found
    assert {result.metrics["status"] for result in results} == {"complete", "unfinished"}


TROUBLE = {0: "nan", 1: "raises", 2: "inf", 4: "raises", 5: "silent", 7: "nan"}


@pytest.mark.filterwarnings("ignore:All-NaN slice")  # of ASHA, where no trial has reported a number yet
@pytest.mark.parametrize(("metric", "mode"), [("loss", "min"), ("accuracy", "max")])
def test_a_trial_that_fails_or_reports_no_number_ends_itself_and_not_the_run(
    own_ray: None, pretend: Callable[..., Path], tmp_path: Path, metric: str, mode: str
) -> None:
    with TuneStudy(pretend(trials=9, trouble=TROUBLE), out=tmp_path / "run") as study:
        scheduler = ASHAScheduler(max_t=EPOCHS, grace_period=4, reduction_factor=2)  # after the trouble, in epoch 3
        results = fit(study, tmp_path / "storage", metric=metric, mode=mode, scheduler=scheduler)
        records = {record.number: record for record in study.history.records}
        assert not study.ledger.pending
    failures = {n: r.failure for n, r in records.items() if r.status == "failed"}
    assert failures == {0: "diverged", 1: "bug", 2: "diverged", 4: "bug", 7: "diverged"}
    assert records[0].error == "the loss was nan in epoch 3 of 16."
    assert f"ValueError: seed {records[1].seed} cannot be trained" in (records[1].error or "")
    assert records[5].status == "complete"
    assert {records[n].status for n in (3, 6, 8)} <= {"complete", "truncated"}
    assert len(results) == 9
    assert results.num_errors == 0
    best = results.get_best_result().metrics
    assert best is not None
    assert records[best["config"]["number"]].status == "complete"
    if metric == "accuracy":  # measured at the end only, so ASHA has nothing to stop by
        assert counts(list(records.values())) == {"failed": 5, "complete": 4}


def test_a_worker_that_dies_is_a_failed_trial_and_the_others_run(
    own_ray: None, pretend: Callable[..., Path], tmp_path: Path
) -> None:
    with TuneStudy(pretend(trials=5, trouble={1: "dies"}), out=tmp_path / "run") as study:
        results = fit(study, tmp_path / "storage", scheduler=None)
        records = {record.number: record for record in study.history.records}
    assert (records[1].status, records[1].failure) == ("failed", "worker_lost")
    assert "error.txt" in (records[1].error or "")
    assert counts(list(records.values())) == {"complete": 4, "failed": 1}
    assert results.num_errors == 1


def test_a_worker_that_is_lost_goes_on_where_its_training_was_saved(
    own_ray: None, pretend: Callable[..., Path], tmp_path: Path
) -> None:
    training = {"kind": "cut_off", "epochs": 3, "calls": str(tmp_path / "calls")}
    path = pretend(trials=1, training=training, execution={"checkpoint_seconds": 1e-6})
    with TuneStudy(path, out=tmp_path / "run") as study:
        fit(study, tmp_path / "storage", scheduler=None, failures=tune.FailureConfig(max_failures=2))
        [record] = study.history.records
    [plain] = nas.search(path, out=tmp_path / "plain").records
    assert replace(record, seconds={}) == replace(plain, seconds={})
    epochs = [int(line.split()[1]) for line in (tmp_path / "calls").read_text().splitlines()]
    assert epochs == [1, 1, 2, 3, 1, 2, 3]
    for run in ("run", "plain"):
        files = sorted(file.name for file in (tmp_path / run / "artifacts/0").iterdir())
        assert files == ["curve.csv", "predictions.npz", "weights.safetensors"]


class AfterTwo(tune.Stopper):
    """Ends the run of Tune when two trials have ended."""

    def __init__(self) -> None:
        self.ended = 0

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self.ended += result["status"] == "complete"
        return False

    def stop_all(self) -> bool:
        return self.ended >= 2


@pytest.mark.slow
def test_trials_that_tune_has_not_ended_go_on_at_the_next_run(
    own_ray: None, pretend: Callable[..., Path], tmp_path: Path
) -> None:
    path = pretend(trials=6)
    with TuneStudy(path, out=tmp_path / "run") as study:
        fit(study, tmp_path / "storage", scheduler=None, stop=AfterTwo(), max_concurrent_trials=2)
        ended, left = {record.number for record in study.history.records}, set(study.ledger.pending)
        assert len(ended) >= 2
        assert left
        assert not ended & left
    with TuneStudy(path, out=tmp_path / "run") as study:
        fit(study, tmp_path / "storage", scheduler=None)
        assert len(fit(study, tmp_path / "storage", scheduler=None)) == 0
        records = study.history.records
    assert sorted(record.number for record in records) == list(range(6))
    assert counts(records) == {"complete": 6}
    ran = calls(tmp_path)
    assert {ran[seed_of(number)] for number in ended} == {EPOCHS}


@pytest.mark.slow
def test_records_are_those_of_a_plain_search(own_ray: None, study_file: Callable[..., Path], tmp_path: Path) -> None:
    path = study_file(trials=3, search={"sampler": "random"}, bounds={"macs": 8_000})
    with TuneStudy(path, out=tmp_path / "tune") as study:
        fit(study, tmp_path / "storage")
    plain = nas.search(path, out=tmp_path / "plain")
    inside = sorted(read_trials(tmp_path / "tune"), key=lambda record: record.number)
    assert {"infeasible", "complete"} <= counts(inside).keys()
    assert [replace(r, seconds={}) for r in inside] == [replace(r, seconds={}) for r in plain.records]
    for record in plain.complete:
        name = f"artifacts/{record.number}/weights.safetensors"
        assert (tmp_path / "tune" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def killed(script: str, path: Path, tmp_path: Path, at: int, **environment: str) -> set[int]:
    """Numbers of the trials that had ended when the driver was killed."""
    command = [sys.executable, "-c", script, path, tmp_path / "run", tmp_path / "storage"]
    with open(tmp_path / "log", "w") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/trials.jsonl").exists() or len(read_trials(tmp_path / "run")) < at:
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        assert driver.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    return {record.number for record in read_trials(tmp_path / "run")}


@pytest.mark.parametrize(
    ("how", "period"),
    [
        pytest.param("restore", "0.2", marks=pytest.mark.slow),
        pytest.param("restore", "auto", marks=pytest.mark.slow),
        pytest.param("again", "auto", marks=pytest.mark.slow),
    ],
)
def test_after_a_kill_no_ended_trial_runs_again_and_none_is_lost(
    own_ray: None, pretend: Callable[..., Path], tmp_path: Path, how: str, period: str
) -> None:
    path = pretend(trials=20)
    before = killed(SCRIPT, path, tmp_path, at=8, TUNE_GLOBAL_CHECKPOINT_S=period)
    assert 8 <= len(before) < 20
    with TuneStudy(path, out=tmp_path / "run") as study:
        if how == "restore":
            tune.Tuner.restore(str(tmp_path / "storage/killed"), trainable=study.trainable).fit()
        else:
            fit(study, tmp_path / "storage", scheduler=None)
        records = study.history.records
        assert not study.ledger.pending
    assert sorted(record.number for record in records) == list(range(20))
    assert counts(records) == {"complete": 20}
    ran = calls(tmp_path)
    assert {ran[seed_of(number)] for number in before} == {EPOCHS}
    assert sum(ran.values()) < (20 + 3) * EPOCHS  # at most the two that ran when it was killed ran twice


@pytest.mark.slow
def test_trials_on_another_machine_bring_their_weights_home(pretend: Callable[..., Path], tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("a worker that cannot write to the study directory is made by a root that becomes nobody")
    path = pretend(trials=2, trouble={0: "nobody", 1: "nobody"})
    command = [sys.executable, "-c", FAR, path, tmp_path / "run", tmp_path / "storage"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert counts(read_trials(tmp_path / "run")) == {"complete": 2}
    assert all((tmp_path / f"run/artifacts/{number}/weights.safetensors").exists() for number in (0, 1))


def test_a_searcher_that_is_pickled_finds_its_open_study_again(pretend: Callable[..., Path], tmp_path: Path) -> None:
    with TuneStudy(pretend(), out=tmp_path / "run") as study:
        searcher = study.searcher
        first = searcher.suggest("a")
        pickled = cloudpickle.dumps(searcher)
        searcher.save(str(tmp_path / "state"))
        copy = StudySearcher(study)
        copy.restore(str(tmp_path / "state"))
        for other in (cloudpickle.loads(pickled), copy):
            assert other.study is study
            assert other.numbers == {"a": 0}
        assert first is not None
        assert copy.suggest("b") != first
    with pytest.raises(StoppedError, match=r"the study in .*run is not open in this process\. Open it with TuneStudy"):
        cloudpickle.loads(pickled)


def test_every_end_that_tune_can_tell_of_is_booked_as_what_it_is(pretend: Callable[..., Path], tmp_path: Path) -> None:
    with TuneStudy(pretend(trials=4), out=tmp_path / "run") as study:
        searcher = study.searcher
        names = "abcd"
        plans = [(searcher.suggest(name) or {})["plan"].plan for name in names]
        assert searcher.suggest("e") == Searcher.FINISHED
        searcher.on_trial_complete("a")  # stopped before it ran
        searcher.on_trial_complete("b", error=True)
        other = plans[0].record("complete", measured={"accuracy": 1.0, "macs": 1.0})
        searcher.on_trial_complete("c", {"record": json.dumps(other.to_json()), "status": "complete"})
        searcher.on_trial_complete("d", {"unwritable": "the disk is full."})
        a, b, c = study.history.records
        assert (a.status, a.fidelity) == ("truncated", {"epochs": 0})
        assert (b.status, b.failure) == ("failed", "worker_lost")
        assert (c.status, c.failure) == ("failed", "bug")
        assert "it ran as trial 0" in (c.error or "")
        assert str(study.end) == "the disk is full."
        assert set(study.ledger.pending) == {3}


@pytest.mark.slow
def test_the_example_of_the_manual_runs(study_file: Callable[..., Path], repository: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```py\n(.*?)```", (repository / "studies" / "README.md").read_text(), re.S)
    (code,) = (block for block in blocks if "nas.tune" in block)
    path = study_file(trials=3, training={"epochs": 10})
    code = code.replace("studies/quickstart.toml", str(path)).replace("runs/tune", str(tmp_path / "run"))
    environment = {**os.environ, "HOME": str(tmp_path)}  # where Tune keeps its results
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    study = nas.open(tmp_path / "run")
    assert study.status()["ended"] == 3
    assert study.front


def test_only_this_module_imports_ray_tune() -> None:
    code = (
        "import importlib, pkgutil, sys, nas\n"
        "names = [m.name for m in pkgutil.walk_packages(nas.__path__, 'nas.')]\n"
        "for name in names:\n"
        "    if name not in ('nas.tune', 'nas.__main__'): importlib.import_module(name)\n"
        "assert 'nas.search.driver' in names and 'nas.search.launch' in names\n"
        "print('ray.tune' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_trials_that_begin_with_the_weights_of_others_are_for_nas_search(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = study_file(training={"epochs": 1, "inherit": True})
    with pytest.raises(WrongInputError, match=r"all begin from scratch\. Leave training\.inherit out"):
        TuneStudy(path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
