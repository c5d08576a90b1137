"""How a process joins Ray: its own, a private one, and what a stranger can do there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from nas.search.executors import ray_cluster
from nas.search.executors.ray_cluster import connect

StudyFile = Callable[..., Path]


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_a_folder_too_long_for_the_sockets_of_ray_is_refused_by_its_variable(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, "/" + 60 * "x")
    with pytest.raises(ValueError, match=rf"no private Ray can be started in {variable} = /x+, because paths"):
        connect(None, 1)


def test_a_ray_that_does_not_start_in_time_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*arguments: object, **options: object) -> None:
        raise Exception("The current node timed out during startup.")  # just that is what Ray raises

    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(ValueError, match=r"started: The current node timed out during startup\. It needs"):
        connect(None, 1)
    address = "127.0.0.1:6379"
    monkeypatch.setattr(ray_cluster, "_reached", lambda address: address)
    with pytest.raises(ValueError, match=f"no Ray cluster can be joined at {address}: The current node timed"):
        connect(address, 1)


def result(script: str, *arguments: object, **environment: str) -> dict[str, object]:
    """What a script prints as JSON in its last line, run in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**inherited, **environment},
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


NOTEBOOK = """
import json, sys
import nas, ray
from nas.errors import WrongInputError

ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
node, found = ray.get_runtime_context().get_node_id(), {}
for name in (None, "auto", "local"):
    try:
        study = nas.search(sys.argv[1], out=f"{sys.argv[2]}/{name}", workers=2, ray=name, trials=2)
        found[str(name)] = len(study.complete)
    except WrongInputError as error:
        found[str(name)] = str(error)
    assert ray.is_initialized() and ray.get_runtime_context().get_node_id() == node
print(json.dumps(found))
"""


@pytest.mark.slow
def test_where_ray_runs_in_the_process_a_search_uses_it_and_leaves_it_running(
    study_file: StudyFile, tmp_path: Path
) -> None:
    found = result(NOTEBOOK, study_file(), tmp_path)
    assert (found["None"], found["auto"]) == (2, 2)
    assert "'local' cannot be joined: this process belongs to the Ray at " in str(found["local"])


PRIVATE = """
import json, os, subprocess, sys
from pathlib import Path

import ray
from nas.search.executors.ray_cluster import connect

assert connect(None, 1)
assert ray.get(ray.remote(lambda: 1).remote())


def family(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(other for child in children for other in family(int(child)))]


sockets = set()
for pid in family(os.getpid()):
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(file))
        except OSError:
            pass
lines = [line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]
places = [line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]

stranger = '''
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1])
except AuthenticationError:
    print("refused")
'''
clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
asked = [sys.executable, "-c", stranger, ray.get_runtime_context().gcs_address]
answers = [
    subprocess.run(asked, env=clean | more, capture_output=True, text=True).stdout.strip()
    for more in ({}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": 32 * "0"}, dict(os.environ))
]
print(json.dumps({"places": places, "answers": answers}))
"""
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1 and ::1, as /proc/net writes them."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc")
def test_a_private_ray_listens_to_this_machine_only_and_refuses_who_has_no_token(tmp_path: Path) -> None:
    found = result(PRIVATE, HOME=str(tmp_path))
    assert found["places"]
    assert set(found["places"]) <= LOOPBACK  # type: ignore[call-overload]
    assert found["answers"] == ["refused", "refused", ""]
