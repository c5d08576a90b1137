"""Searches on Ray clusters of several nodes: raylets side by side, and machines of their own in namespaces."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from ray.cluster_utils import Cluster

from nas.plugins import Plugin, load_plugins
from nas.search.executors.ray_tasks import RayExecutor
from nas.settings import ExecutionSettings
from nas.store.history import read_events, read_trials
from nas.store.live import Report
from nas.trial import TrialOutcome, TrialPlan
from objectives import OBJECTIVES
from searchspaces import SEARCH_SPACES
from trainers import DATASETS, TRAINERS, Supervised, TrainingData, training_data

pytestmark = pytest.mark.slow

TOKEN = "0123456789abcdef" * 2
PATIENCE = 180.0
"""Seconds after which a test gives up; on a quiet machine nothing here takes more than twenty."""

PLUGIN = '''
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import ray
import torch

from trainers import Supervised
from trainers.trainer import trainer


@trainer("watched")
@dataclass(frozen=True)
class Watched(Supervised):
    """Notes where and when it runs and which memory the images lie in, and waits until the file ``open`` is there."""

    folder: str = ""
    seconds: float = 0.0

    def train(self, model, data, *, seed, report, checkpoints=None):
        images = data.train.images
        self.note("begin", seed, pages=pages(images), owned=bool(images.flags.owndata or images.flags.writeable))
        while not (Path(self.folder) / "open").exists():
            time.sleep(0.05)
        super().train(model, data, seed=seed, report=report, checkpoints=checkpoints)
        time.sleep(self.seconds)
        self.note("end", seed)

    def note(self, what, seed, **more):
        node = ray.get_runtime_context().get_node_id()
        line = {"what": what, "seed": seed, "node": node, "pid": os.getpid(), "time": time.time(), **more}
        with open(Path(self.folder) / "notes.jsonl", "a") as notes:
            notes.write(json.dumps(line) + "\\n")


def pages(array):
    """The file that an array is mapped from and the place in it: equal for two processes that share the memory."""
    address = array.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, offset, device, inode = line.split()[:5]
        start, end = (int(number, 16) for number in span.split("-"))
        if start <= address < end:
            return [device, inode, int(offset, 16) + address - start]


@trainer("hoarding")
@dataclass(frozen=True)
class Hoarding(Supervised):
    """Holds a share of the GPU's memory until ``others`` hold theirs."""

    folder: str = ""
    share: float = 0.0
    others: int = 0

    def train(self, model, data, *, seed, report, checkpoints=None):
        total = torch.cuda.get_device_properties(0).total_memory
        held = torch.empty(int(self.share * total), dtype=torch.uint8, device="cuda")
        (Path(self.folder) / f"holds-{seed}").write_text(str(torch.cuda.max_memory_reserved() / total))
        while len(list(Path(self.folder).glob("holds-*"))) < self.others:
            time.sleep(0.05)
        super().train(model, data, seed=seed, report=report, checkpoints=checkpoints)
        del held
'''


def wait_until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen in {PATIENCE:g} s"
        time.sleep(0.05)


def environment(token: str = TOKEN) -> dict[str, str]:
    """That of a user who has a token and has decided nothing about it."""
    return {**{k: v for k, v in os.environ.items() if k != "RAY_AUTH_MODE"}, "RAY_AUTH_TOKEN": token}


class WatchedStudy:
    """A study in a folder of its own whose trials wait for `open`, and its search in a process of its own."""

    def __init__(self, folder: Path, table: dict[str, Any], *, trials: int, seconds: float = 0.0) -> None:
        folder.mkdir()
        self.folder, self.run, self.trials = folder, folder / "run", trials
        (folder / "watched.py").write_text(PLUGIN)
        changes = {
            "trials": trials,
            "objectives": ["accuracy", "macs"],
            "objective": {},
            "search": {"sampler": "random"},
            "plugins": ["watched.py"],
            "training": {"kind": "watched", "epochs": 1, "folder": str(folder), "seconds": seconds},
        }
        (folder / "study.toml").write_text(tomli_w.dumps({**table, **changes}))

    def search(self, *options: object, inside: tuple[str, ...] = (), token: str = TOKEN) -> None:
        """Starts the search."""
        command = [*inside, sys.executable, "-m", "nas", "search", self.folder / "study.toml", "--out", self.run]
        with open(self.folder / "output.txt", "a") as output:
            self.process = subprocess.Popen(
                [*map(str, command), *map(str, options)], stdout=output, stderr=output, env=environment(token)
            )

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def notes(self, what: str) -> list[dict[str, Any]]:
        path = self.folder / "notes.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [note for note in map(json.loads, filter(lambda x: x.endswith("\n"), lines)) if note["what"] == what]

    def begun(self, count: int) -> list[dict[str, Any]]:
        """What the trials noted at their start, once there are so many."""

        def there() -> bool:
            assert self.process.poll() is None, self.output
            return len(self.notes("begin")) >= count

        wait_until(there, f"the start of {count} trials")
        return self.notes("begin")

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in read_events(self.run) if event["event"] == kind]

    def open(self) -> None:
        """Lets the trials train."""
        (self.folder / "open").touch()

    def finish(self) -> None:
        """Waits for the end of the search and checks that it has exactly its trials."""
        self.open()
        assert self.process.wait(timeout=PATIENCE) == 0, self.output
        records = read_trials(self.run)
        assert sorted(record.number for record in records) == list(range(len(records)))
        assert Counter(record.status for record in records if record.status != "duplicate") == {"complete": self.trials}
        complete = [record for record in records if record.status == "complete"]
        assert len({record.key for record in complete}) == self.trials
        weights = {int(path.parent.name) for path in self.run.glob("artifacts/*/weights.safetensors")}
        assert weights == {record.number for record in complete}

    def end(self) -> None:
        """Stops what runs."""
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()


@pytest.fixture
def watched(tmp_path: Path, small: dict[str, Any]) -> Iterator[Callable[..., WatchedStudy]]:
    """Writes watched studies, and stops their searches at the end."""
    written: list[WatchedStudy] = []

    def write(name: str = "study", **details: Any) -> WatchedStudy:
        written.append(WatchedStudy(tmp_path / name, {**small, "name": name}, **details))
        return written[-1]

    yield write
    for study in written:
        study.end()


@pytest.fixture(scope="module")
def _token() -> Iterator[None]:
    """This process shows a token of its own, and so do the nodes that it starts."""
    from ray._raylet import AuthenticationTokenLoader, Config

    def refresh() -> None:
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        refresh()
        yield
    refresh()


@pytest.fixture
def cluster(_token: None) -> Iterator[Cluster]:
    """A head with two CPUs, to which nodes can be added."""
    opened = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield opened
    opened.shutdown()


def test_trials_of_a_node_that_is_killed_run_again_elsewhere_and_nothing_is_lost(
    cluster: Cluster, watched: Callable[..., WatchedStudy]
) -> None:
    nodes = [cluster.head_node, cluster.add_node(num_cpus=2), cluster.add_node(num_cpus=2)]
    study = watched(trials=12)
    study.search("--ray", cluster.address, "--workers", 6)
    begun = study.begun(6)
    assert Counter(note["node"] for note in begun) == {node.node_id: 2 for node in nodes}
    lost = {note["seed"] for note in begun if note["node"] == nodes[1].node_id}
    cluster.remove_node(nodes[1], allow_graceful=False)
    added = cluster.add_node(num_cpus=2)
    again = study.begun(8)[6:]
    assert {note["seed"] for note in again} == lost
    assert {note["node"] for note in again} == {added.node_id}
    study.finish()
    seeds = {record.number: record.seed for record in read_trials(study.run)}
    attempts = study.events("attempt")
    assert {seeds[event["number"]] for event in attempts} == lost
    assert all(event["error"].startswith("the machine was lost") for event in attempts)


def test_two_studies_share_a_cluster_and_each_gets_its_trials(
    cluster: Cluster, watched: Callable[..., WatchedStudy]
) -> None:
    cluster.add_node(num_cpus=2)
    studies = [watched(name, trials=6) for name in ("one", "two")]
    for study in studies:
        study.search("--ray", cluster.address, "--workers", 2)
    for study in studies:
        study.begun(2)
    for study in studies:
        study.finish()


def test_a_gpu_is_shared_by_as_many_trials_as_their_shares_allow(
    cluster: Cluster, watched: Callable[..., WatchedStudy]
) -> None:
    gpu = cluster.add_node(num_cpus=2, num_gpus=1)
    study = watched(trials=8, seconds=0.5)
    shares = {"cpus_per_trial": 0.25, "gpus_per_trial": 0.25, "device": "cpu"}
    options = [part for key, value in shares.items() for part in ("--set", f"execution.{key}={value}")]
    study.search("--ray", cluster.address, "--workers", 6, *options)
    study.begun(4)
    study.finish()
    begins, ends = study.notes("begin"), study.notes("end")
    assert {note["node"] for note in begins} == {gpu.node_id}
    changes = sorted([(note["time"], 1) for note in begins] + [(note["time"], -1) for note in ends])
    assert max(np.cumsum([change for _, change in changes])) == 4


def test_a_gpu_is_packed_by_the_memory_that_trials_need(cluster: Cluster, watched: Callable[..., WatchedStudy]) -> None:
    cluster.add_node(num_cpus=4, num_gpus=1)
    study = watched(trials=6, seconds=0.5)
    asked = {"gpus_per_trial": "auto", "gpu_memory_gb": 3.5, "device": "cpu", "cpus_per_trial": 0.25}  # 1.3 GB a trial
    options = [part for key, value in asked.items() for part in ("--set", f"execution.{key}={value}")]
    study.search("--ray", cluster.address, "--workers", 6, *options)
    study.begun(2)
    study.finish()
    changes = sorted((note["time"], 1) for note in study.notes("begin"))
    changes = sorted(changes + [(note["time"], -1) for note in study.notes("end")])
    assert max(np.cumsum([change for _, change in changes])) == 2


def test_the_data_lie_once_on_a_node_and_its_trials_share_the_pages(
    cluster: Cluster, watched: Callable[..., WatchedStudy], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(400, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=images, y_train=np.arange(400) % 4)
    cluster.add_node(num_cpus=2)
    study = watched(trials=4)
    options = ["--set", f"data.name=npz:{tmp_path / 'mine.npz'}", "--set", "data.limit=400"]
    study.search("--ray", cluster.address, "--workers", 4, *options)
    begun = study.begun(4)
    assert len({note["pid"] for note in begun}) == 4
    assert not any(note["owned"] for note in begun)
    pages = {(note["node"], *note["pages"]) for note in begun}
    assert len(pages) == len({note["node"] for note in begun}) == 2
    study.finish()


def test_a_killed_driver_leaves_nothing_running_and_the_same_command_goes_on(
    cluster: Cluster, watched: Callable[..., WatchedStudy]
) -> None:
    study = watched(trials=4)
    study.search("--ray", cluster.address, "--workers", 2)
    begun = study.begun(2)
    wait_until(lambda: len(study.events("started")) == 2, "news of both starts")
    study.end()
    wait_until(lambda: not any(is_running(note["pid"]) for note in begun), "the end of the tasks")
    study.search("--ray", cluster.address, "--workers", 2)
    study.begun(4)
    study.finish()
    started = [(event["number"], event["attempt"]) for event in study.events("started")]
    assert sorted(started) == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (3, 1)]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Ear:
    """Hears what goes on."""

    directory = Path("nowhere")

    def __init__(self) -> None:
        self.messages: list[str] = []

    def report(self, report: Report) -> None:
        pass

    def checkpoint(self, number: int, content: bytes) -> None:
        pass

    def say(self, message: str) -> None:
        self.messages.append(message)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return training_data(DATASETS["digits"](), limit=100, validation=0.2, seed=0)


def plan(data: TrainingData, number: int, trainer: Any = Supervised(epochs=1), **more: Any) -> TrialPlan:  # noqa: B008 (frozen)
    space = SEARCH_SPACES["convmixer"](data.input, 10)
    picks = space.first
    architecture = space.decode(picks)
    accuracy = {"accuracy": OBJECTIVES["accuracy"]()}
    return TrialPlan(number, picks, architecture.to_json(), architecture.key, number, trainer, accuracy, **more)


def outcome(executor: RayExecutor) -> TrialOutcome:
    found: list[TrialOutcome] = []

    def ended() -> bool:
        found.extend(filter(None, [executor.wait()]))
        return bool(found)

    wait_until(ended, "the end of a trial")
    return found[0]


def test_a_cluster_that_cannot_hold_a_trial_is_waited_for_whenever_that_is_so(
    cluster: Cluster, data: TrainingData
) -> None:
    ear = Ear()
    settings = ExecutionSettings(workers=1, ray=cluster.address, cpus_per_trial=0.5, gpus_per_trial=1, device="cpu")
    with RayExecutor(data, settings, ear) as executor:
        for number in (1, 2):
            executor.submit(plan(data, number))
            wait_until(lambda: executor.wait() is None and len(ear.messages) == number, "a message")  # noqa: B023
            assert ear.messages[-1].startswith("no machine can hold a trial, which asks for 0.5 CPU, 1 GPU; there is ")
            assert ear.messages[-1].endswith("Waiting for the cluster to grow.")
            node = cluster.add_node(num_cpus=1, num_gpus=1)
            assert outcome(executor).record.status == "complete"
            cluster.remove_node(node)
    assert len(ear.messages) == 2


def test_a_private_ray_that_cannot_hold_a_trial_is_refused_at_once(watched: Callable[..., WatchedStudy]) -> None:
    study = watched(trials=4)
    asked = ("execution.gpus_per_trial=64", "execution.device=cpu", "execution.memory_gb_per_trial=5000")
    study.search("--workers", 2, *(word for setting in asked for word in ("--set", setting)))
    assert study.process.wait(timeout=PATIENCE) == 2
    refusal = "execution: no machine can hold a trial, which asks for 1 CPU, 64 GPU, 5000 GB memory; there is 2 CPU, "
    assert refusal in study.output
    assert "Lower cpus_per_trial, gpus_per_trial or memory_gb_per_trial, or join a cluster." in study.output
    assert not study.notes("begin")


def test_an_address_where_nothing_listens_is_refused_at_once(watched: Callable[..., WatchedStudy]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    study = watched(trials=4)
    study.search("--ray", address)
    assert study.process.wait(timeout=PATIENCE) == 2
    assert f"execution.ray: no Ray cluster can be joined at {address}: Connection refused. Give the " in study.output


def test_a_token_that_a_cluster_does_not_accept_is_one_message(
    cluster: Cluster, watched: Callable[..., WatchedStudy]
) -> None:
    study = watched(trials=4)
    study.search("--ray", cluster.address, token=TOKEN[::-1])
    assert study.process.wait(timeout=PATIENCE) == 2
    assert "it asks for a token (RAY_AUTH_TOKEN or ~/.ray/auth_token), and refuses yours. Give the" in study.output
    assert "Unauthenticated" not in study.output


def ray_start(log: Path, *options: str, inside: tuple[str, ...] = (), **env: str) -> subprocess.Popen[bytes]:
    """A process that keeps a raylet, once that is up."""
    command = [*inside, str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats"]
    with open(log, "w") as output:
        process = subprocess.Popen(
            [*command, *options], stdout=output, stderr=output, env=environment() | env, start_new_session=True
        )

    def up() -> bool:
        assert process.poll() is None, log.read_text()
        return "Ray runtime started" in log.read_text()

    wait_until(up, "the start of Ray")
    return process


class Machine:
    """Namespaces of its own for network, processes, files under /tmp/ray and the host name, plugged into a bridge."""

    def __init__(self, folder: Path, bridge: str, number: int) -> None:
        self.name, self.address = f"machine{number}", f"10.213.7.{number}"
        self.folder, self.cable = folder / self.name, f"{bridge}-{number}"
        self.folder.mkdir()
        Path("/tmp/ray").mkdir(exist_ok=True)
        spaces = ["--net", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc"]
        script = 'hostname "$0" && mount --bind "$1" /tmp/ray && echo up && sleep infinity & wait'
        self.process = subprocess.Popen(
            ["unshare", *spaces, "sh", "-c", script, self.name, str(self.folder)], stdout=subprocess.PIPE
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"up\n"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        self.inside = ("nsenter", "--target", children.split()[0], "--net", "--mount", "--pid", "--uts")
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", children.split()[0])
        ip("link", "set", self.cable, "master", bridge, "up")
        ip("address", "add", f"{self.address}/24", "dev", "eth0", inside=self.inside)
        for device in ("eth0", "lo"):
            ip("link", "set", device, "up", inside=self.inside)

    def start(self, *options: str, **env: str) -> None:
        """Starts Ray."""
        address = ("--node-ip-address", self.address)
        self.ray = ray_start(self.folder / "start.log", *address, *options, inside=self.inside, **env)

    def kill(self) -> None:
        """Ends all of its processes at once."""
        self.process.kill()
        self.process.wait()

    def unplug(self) -> None:
        """Cuts it off, so that it falls silent without a word."""
        ip("link", "set", self.cable, "down")


def ip(*arguments: str, inside: tuple[str, ...] = ()) -> None:
    subprocess.run([*inside, "ip", *arguments], check=True, capture_output=True)


@dataclass
class Network:
    """A bridge and the machines that are plugged into it."""

    folder: Path
    bridge: str
    machines: list[Machine]

    def add(self) -> Machine:
        self.machines.append(Machine(self.folder, self.bridge, len(self.machines) + 1))
        return self.machines[-1]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    missing = [tool for tool in ("ip", "unshare", "nsenter") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"machines in namespaces need the programs {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("machines in namespaces need root")
    opened = Network(tmp_path, f"nas{os.getpid() % 100_000}", [])
    try:
        ip("link", "add", opened.bridge, "type", "bridge")
        subprocess.run(["unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--mount-proc", "true"], check=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"namespaces cannot be made here: {error}")
    try:
        ip("link", "set", opened.bridge, "up")
        yield opened
    finally:
        for machine in opened.machines:
            machine.kill()
            subprocess.run(["ip", "link", "del", machine.cable], capture_output=True)
        ip("link", "del", opened.bridge)


@pytest.mark.parametrize("loss", [Machine.kill, Machine.unplug])
def test_trials_of_a_machine_that_is_lost_run_again_elsewhere_and_nothing_is_lost(
    network: Network, watched: Callable[..., WatchedStudy], loss: Callable[[Machine], None]
) -> None:
    soon = {"RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "5000"}
    head, ours, theirs = (network.add() for _ in range(3))
    address = f"{head.address}:6379"
    head.start(
        "--head", "--port", "6379", "--num-cpus", "0", "--include-dashboard", "false", RAY_AUTH_MODE="token", **soon
    )
    for machine in (ours, theirs):
        machine.start("--address", address, "--num-cpus", "2", RAY_AUTH_MODE="token")
    study = watched(trials=8)
    study.search("--ray", address, "--workers", 4, inside=ours.inside)
    study.begun(4)
    wait_until(lambda: len(study.events("started")) == 4, "the start of four trials")
    started = study.events("started")
    assert Counter(event["host"] for event in started) == {ours.name: 2, theirs.name: 2}
    lost = {event["number"] for event in started if event["host"] == theirs.name}
    loss(theirs)
    network.add().start("--address", address, "--num-cpus", "2", RAY_AUTH_MODE="token")
    study.begun(6)
    study.finish()
    attempts = study.events("attempt")
    assert {event["number"] for event in attempts} == lost
    assert all(event["error"].startswith(f"the machine was lost on {theirs.name}") for event in attempts)
    again = [event for event in study.events("started") if event["attempt"] == 2]
    assert {(event["number"], event["host"]) for event in again} == {(n, network.machines[-1].name) for n in lost}


@pytest.mark.parametrize("mode", ["disabled", "token"])
def test_a_cluster_is_shown_the_token_that_it_asks_for_and_no_other(
    network: Network, watched: Callable[..., WatchedStudy], mode: str
) -> None:
    head = network.add()
    head.start("--head", "--port", "6379", "--num-cpus", "2", "--include-dashboard", "false", RAY_AUTH_MODE=mode)
    study = watched(trials=2)
    study.search("--ray", f"{head.address}:6379", "--workers", 2, inside=head.inside)
    study.finish()
    assert "Token authentication" not in study.output


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_four_trials_share_a_gpu_and_none_gets_more_memory_than_its_share(data: TrainingData, tmp_path: Path) -> None:
    (tmp_path / "watched.py").write_text(PLUGIN)
    load_plugins([tmp_path / "watched.py"])
    settings = ExecutionSettings(workers=4, cpus_per_trial=0.5, gpus_per_trial=0.25)
    given = {"device": "cuda", "gpu_share": 0.25, "plugins": (Plugin.read(tmp_path / "watched.py"),)}
    with RayExecutor(data, settings, Ear()) as executor:
        for number in range(4):
            trainer: Any = TRAINERS["hoarding"](epochs=1, folder=str(tmp_path), share=0.15, others=4)  # type: ignore[call-arg]
            executor.submit(plan(data, number, trainer, **given))
        records = [outcome(executor).record for _ in range(4)]
        assert [record.status for record in records] == ["complete"] * 4, [record.error for record in records]
        assert all(float(path.read_text()) <= 0.25 for path in tmp_path.glob("holds-*"))
        trainer = TRAINERS["hoarding"](epochs=1, folder=str(tmp_path), share=0.3)  # type: ignore[call-arg]
        executor.submit(plan(data, 4, trainer, **given))
        assert outcome(executor).record.failure == "out_of_memory"
